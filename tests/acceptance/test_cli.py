"""The command line on a real farm: submit, watch, fetch, cancel, render, doctor, up and down."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import psutil
import pytest
from acceptance.test_farm import wait_until
from clips import make_clip
from numpy.typing import NDArray
from styled import styled_cache

from farm import video
from farm.client import Farm
from farm.png import png_read
from farm.settings import Settings
from farm.stack import Stack
from farm.stack.process import MARK

QUICK = ["--steps", "3", "--steps-anchor", "2", "--steps-next", "1", "--pyramid", "1", "--size", "64", "--chunk", "6"]
ENDLESS = ["--steps", "5000", "--steps-next", "5000", "--size", "64"]
COMMAND = [sys.executable, "-m", "farm.cli"]

pytestmark = pytest.mark.timeout(240)


class Shell:
    """Runs `farm` with the variables of one farm."""

    def __init__(self, environ: dict[str, str], folder: Path) -> None:
        self.environ = {**os.environ, **environ}
        self.folder = folder
        self._started: list[subprocess.Popen[str]] = []

    def __call__(self, *arguments: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        result = subprocess.run(
            [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=200, check=False,
            env=self.environ, cwd=self.folder,
        )  # fmt: skip
        assert result.returncode == code, result.stderr
        assert "\033" not in result.stdout + result.stderr
        return result

    def data(self, *arguments: str | Path, code: int = 0) -> Any:
        """The one JSON object a command with --json prints."""
        (line,) = self(*arguments, "--json", code=code).stdout.splitlines()
        return json.loads(line)

    def start(self, *arguments: str | Path) -> subprocess.Popen[str]:
        running = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=self.environ, cwd=self.folder,
        )  # fmt: skip
        self._started.append(running)
        return running

    def close(self) -> None:
        """End what a failed test left running."""
        for running in self._started:
            if running.poll() is None:
                running.kill()
                running.communicate(timeout=30)


@pytest.fixture
def shell(farm_stack: Stack, tmp_path: Path) -> Iterator[Shell]:
    shell = Shell(farm_stack.status().settings.environ(), tmp_path)
    yield shell
    shell.close()


@pytest.fixture
def alone(tmp_path: Path, kept_styles: Path) -> Iterator[Shell]:
    """No farm is configured."""
    cache = {"FARM_CACHE_DIR": str(styled_cache(tmp_path, kept_styles)), "FARM_HOME": "", "HOME": str(tmp_path)}
    shell = Shell({**cache, "FARM_DEVICE": "cpu", "FARM_THREADS": "2"}, tmp_path)
    yield shell
    shell.close()


@pytest.fixture
def clip(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A clip of 12 frames with sound; each test has another name, so another job."""
    name = re.sub(r"[\W_]+", "-", request.node.name)[:24].strip("-")
    return make_clip(tmp_path / f"{name}.mp4", frames=12, audio="aac").path


def frame_count(film: Path) -> int:
    with av.open(str(film)) as container:
        return sum(1 for _ in container.decode(container.streams.video[0]))


def is_in(sheet: NDArray[np.uint8], picture: NDArray[np.uint8]) -> bool:
    """Whether a sheet shows a picture, at the size that sheets show small ones."""
    scale = 240 / max(picture.shape[:2])
    shown = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)[:100]
    return float(cv2.matchTemplate(sheet, shown, cv2.TM_SQDIFF_NORMED).min()) < 1e-3


def processes_of(home: Path) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(str(home)):
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


def test_an_artist_submits_watches_and_fetches(shell: Shell, clip: Path, tmp_path: Path) -> None:
    job = shell("submit", clip, "--style", "swirl", *QUICK).stdout.strip()
    assert job.startswith(clip.stem)
    changes = [json.loads(line) for line in shell("watch", job, "--json").stdout.splitlines()]
    assert changes[-1]["state"] == "succeeded"
    assert {change["job"] for change in changes} == {job}
    assert [change["fraction"] for change in changes] == sorted(change["fraction"] for change in changes)
    fetched = shell.data("fetch", job, "-o", "film.mp4", "--contact", "c.png", "--report", "r.json")
    assert fetched == {"job": job, "film": "film.mp4", "contact": "c.png", "report": "r.json"}
    assert frame_count(tmp_path / "film.mp4") == 12
    assert json.loads((tmp_path / "r.json").read_text())["job"] == job
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    assert shell.data("preview", job, "-o", "p.png", "--frames", "4") == {"job": job, "preview": "p.png"}
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
    assert "give -o p.png" in shell("preview", job, "-o", "p.jpg", code=2).stderr
    os.mkfifo(tmp_path / "pipe.mp4")
    refused = shell("fetch", job, "-o", "pipe.mp4", code=2)
    assert "is not a file that can be written over" in refused.stderr
    assert (tmp_path / "pipe.mp4").is_fifo()


def test_the_same_submit_is_the_same_job_and_says_so(shell: Shell, clip: Path, tmp_path: Path) -> None:
    first = shell("submit", clip, "--style", "swirl", *QUICK, "-o", "one.mp4").stdout
    second = shell("submit", clip, "--style", "swirl", *QUICK, "-o", "two.mp4")
    assert second.stdout == first
    assert "was submitted before and is succeeded" in second.stderr
    assert (tmp_path / "one.mp4").read_bytes() == (tmp_path / "two.mp4").read_bytes()


def test_a_job_is_found_by_the_beginning_of_its_name_or_as_the_newest(shell: Shell, clip: Path) -> None:
    job = shell("submit", clip, "--style", "swirl", *QUICK, "--watch").stdout.strip()
    assert shell.data("status", job[:-3])["job"] == job
    newest = shell("status", "--json")
    assert json.loads(newest.stdout)["job"] == job
    assert newest.stderr == f"the newest job, {job}\n"
    assert shell.data("list", "-n", "1")["jobs"][0]["job"] == job
    assert shell("list", "-n", "1").stdout.splitlines()[1].split()[:4] == [job, "succeeded", "12/12", "swirl"]


def test_styles_are_mixed_scaled_and_keep_the_clips_colours(shell: Shell, clip: Path, tmp_path: Path) -> None:
    how = ["--style-scale", "0.5", "--color", "content", *QUICK]
    first = shell("submit", clip, "-s", "ember", "-s", "swirl:2", *how, "-o", "one.mp4").stdout
    again = shell("submit", clip, "-s", "swirl:4", "-s", "ember:2", *how, "--watch")
    assert again.stdout == first
    status = shell.data("status", first.strip())
    assert (status["state"], status["style_name"]) == ("succeeded", "swirl 67% + ember 33%")
    shell("fetch", first.strip(), "-o", "film.mp4", "--report", "r.json")
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["styles"] == [{"name": "swirl", "weight": 1.0}, {"name": "ember", "weight": 0.5}]
    assert "'none' is no weight" in shell("submit", clip, "-s", "swirl:none", code=2).stderr


def test_a_part_of_a_clip_is_a_job_of_its_own_with_its_own_sound(shell: Shell, clip: Path, tmp_path: Path) -> None:
    """Of twelve frames, 40 ms each, those that begin at 200 to 400 ms."""
    part = ["submit", clip, "--style", "swirl", *QUICK]
    job = shell(*part, "--from", "0.2", "--to", "0:00.44", "-o", "part.mp4", "--watch").stdout.strip()
    assert shell(*part, "--from", "0:00.200", "--to", "0.4400", "--watch").stdout.strip() == job
    assert frame_count(tmp_path / "part.mp4") == 6
    with av.open(str(tmp_path / "part.mp4")) as film:
        sound = [packet for packet in film.demux(audio=0) if packet.size]
        assert 0.1 < float((sound[-1].pts - sound[0].pts) * sound[0].time_base) < 0.24
    shell("fetch", job, "-o", "again.mkv", "--codec", "ffv1", "--report", "r.json")
    assert frame_count(tmp_path / "again.mkv") == 6
    assert json.loads((tmp_path / "r.json").read_text())["excerpt"] == {"start_ms": 200, "stop_ms": 440}
    assert shell.data("status", job)["name"] == f"{clip.stem}, 0:00.2 to 0:00.44"
    assert len(shell.data("measure", job)["frames"]["error"]) == 6
    other = shell(*part, "--from", "0.24", "--to", "0.48", "--watch").stdout.strip()
    assert "another part of the clip" in shell("measure", job, "--against", other, code=2).stderr
    refused = shell(*part, "--from", "0.48", code=2).stderr
    assert refused.endswith("has no frame from 0:00.48: its last one begins at 0:00.44; give another --from or --to\n")
    assert "--from soon is no time in a clip" in shell(*part, "--from", "soon", code=2).stderr
    assert "--to 0:01 is not after --from 0:02" in shell(*part, "--from", "2", "--to", "1", code=2).stderr


def test_a_wedge_shows_one_frame_in_several_looks(shell: Shell, clip: Path, tmp_path: Path) -> None:
    how = [clip, "--at", "0.2", "--size", "64", "--steps", "3", "--pyramid", "1"]
    found = shell.data("wedge", *how, "--vary", "style=swirl,ember", "--vary", "style-scale=0.5,1", "-o", "look.png")
    captions = [f"{name}  ·  style-scale {scale}" for name in ("swirl", "ember") for scale in ("0.5", "1")]
    assert (found["wedge"], found["at_s"], [job["caption"] for job in found["jobs"]]) == ("look.png", 0.2, captions)
    jobs = [job["job"] for job in found["jobs"]]
    look = png_read((tmp_path / "look.png").read_bytes())
    shell("fetch", jobs[2], "--frames", "frames")
    assert [path.name for path in (tmp_path / "frames").iterdir()] == ["000000.png"]
    painted = png_read((tmp_path / "frames" / "000000.png").read_bytes())
    assert is_in(look, painted)
    again = shell("wedge", *how, "--vary", "style=ember,swirl", "--style-scale", "0.5", "-o", "b.png").stdout
    assert [line.split()[0] for line in again.splitlines()[1:]] == [jobs[2], jobs[0]]
    source = next(video.Reel(clip, video.index(clip), painted.shape[1::-1]).frames(5, 6))
    beside = png_read((tmp_path / "b.png").read_bytes())
    assert (is_in(beside, painted), is_in(beside, source), is_in(look, source)) == (True, True, False)
    assert (
        "ends at 0:00.48, before 0:09; give another --at"
        in shell("wedge", clip, "--at", "9", "--vary", "style=swirl", "-o", "b.png", code=2).stderr
    )


def test_an_unknown_job_is_refused_with_code_3(shell: Shell) -> None:
    for command in ("status", "watch", "fetch", "cancel", "resume"):
        assert "no job" in shell(command, "nothing-0123456789", code=3).stderr
        assert "no job" in shell(command, "../etc/passwd", code=3).stderr


def test_a_canceled_job_has_no_film_and_goes_on_when_resumed(shell: Shell, clip: Path) -> None:
    job = shell("submit", clip, "--style", "swirl", *ENDLESS).stdout.strip()
    assert "is not done" in shell("fetch", job, code=10).stderr
    assert "has no painted frame to show" in shell("preview", job, code=10).stderr
    assert shell.data("cancel", job)["state"] in ("canceling", "canceled")
    assert "`farm resume" in shell("watch", job, code=4).stderr
    assert shell.data("status", job)["state"] == "canceled"
    assert shell.data("resume", job)["ended"] is False
    try:
        wait_until(lambda: any(stage["tasks_running"] for stage in shell.data("status", job)["stages"]))
        assert shell.data("status", job)["state"] in ("planning", "rendering")
    finally:
        shell("cancel", job)


def test_on_a_terminal_the_progress_is_bars_in_colour(shell: Shell, clip: Path) -> None:
    job = shell("submit", clip, "--style", "swirl", *QUICK).stdout.strip()
    text = on_a_terminal(shell, "watch", job)
    for word in ("plan", "anchors", "stylize", "blend", "segments", "assemble", "━", "succeeded", "12/12", "\033["):
        assert word in text


def test_no_color_is_respected_on_a_terminal(shell: Shell, clip: Path) -> None:
    job = shell("submit", clip, "--style", "swirl", *QUICK, "--watch").stdout.strip()
    shell.environ["NO_COLOR"] = "1"
    assert re.findall(r"\033\[[0-9;]*m", on_a_terminal(shell, "watch", job)) == []


def on_a_terminal(shell: Shell, *arguments: str) -> str:
    leader, follower = pty.openpty()
    environ = {**shell.environ, "TERM": "xterm-256color", "COLUMNS": "100", "LINES": "24"}
    process = subprocess.Popen([*COMMAND, *arguments], stdin=follower, stdout=follower, stderr=follower, env=environ)
    os.close(follower)
    text = b""
    try:
        while chunk := os.read(leader, 4096):
            text += chunk
    except OSError:  # how Linux says that the other end is closed
        pass
    finally:
        os.close(leader)
    assert process.wait(timeout=20) == 0
    return text.decode()


def test_doctor_finds_a_whole_farm_in_order(shell: Shell) -> None:
    found = shell.data("doctor")
    assert found["ok"] is True
    assert {"codecs", "disk", "settings", "Redis", "store", "coordinator", "workers"} <= {
        c["name"] for c in found["checks"]
    }
    assert "✗" not in shell("doctor").stdout


def test_workers_are_listed_with_what_each_is_at(shell: Shell, clip: Path) -> None:
    job = shell("submit", clip, "--style", "swirl", *ENDLESS).stdout.strip()
    try:
        at = wait_until(lambda: [work for info in shell.data("workers")["workers"] for work in info["at"]])
        assert {work["job"] for work in at} == {job}
        assert {work["task"] for work in at} <= {"plan/00000000", "anchor/00000000"}
        text = wait_until(lambda: f"{job}: anchor 0, for 0:" in (found := shell("workers").stdout) and found)
    finally:
        shell("cancel", job)
    head, *workers, last = text.splitlines()
    assert head.split() == ["NAME", "DEVICE", "MEMORY", "AT"]
    assert workers == sorted(workers)
    assert len(workers) == 2
    assert "coordinator" in last


def test_where_nobody_is_alive_that_is_said_with_its_cure(farm_settings: Settings, tmp_path: Path) -> None:
    found = Shell(farm_settings.environ(), tmp_path)("workers")
    assert found.stdout == ""
    assert "`farm worker`" in found.stderr
    assert "`farm coordinator`" in found.stderr


def test_doctor_says_how_to_mend_what_is_missing(farm_settings: Settings, tmp_path: Path) -> None:
    found = Shell(farm_settings.environ(), tmp_path).data("doctor", code=1)
    failed = {check["name"]: check["cure"] for check in found["checks"] if check["verdict"] == "fail"}
    assert set(failed) == {"coordinator", "workers"}
    assert "`farm worker`" in failed["workers"]


def test_doctor_without_a_farm_says_how_to_get_one(alone: Shell) -> None:
    result = alone("doctor", code=1)
    assert "✗ settings" in result.stdout
    assert "`farm up`" in result.stdout


def test_render_makes_a_film_and_leaves_nothing_running(alone: Shell, clip: Path, tmp_path: Path) -> None:
    done = alone.data("render", clip, "--style", "wheat", "-o", "out/film.mp4", *QUICK)
    assert (done["state"], done["frame_count"]) == ("succeeded", 12)
    assert frame_count(tmp_path / "out/film.mp4") == 12
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "film.contact.png", "film.mp4", "film.report.json",
    ]  # fmt: skip
    assert processes_of(tmp_path) == []
    assert list((tmp_path / "cache").glob("private/farm-*")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_render_that_is_stopped_ends_its_farm(
    number: signal.Signals, alone: Shell, clip: Path, tmp_path: Path
) -> None:
    rendering = alone.start("render", clip, "--style", "wheat", "-o", "film.mp4", *ENDLESS)
    assert rendering.stderr is not None
    assert any("rendering" in line for line in iter(rendering.stderr.readline, ""))
    rendering.send_signal(number)
    rendering.communicate(timeout=60)
    assert rendering.returncode == 128 + number
    assert processes_of(tmp_path) == []
    assert not (tmp_path / "film.mp4").exists()


def test_up_says_where_it_is_and_down_what_it_ended(alone: Shell, tmp_path: Path) -> None:
    alone.environ["FARM_HOME"] = str(tmp_path / "home")
    try:
        first = alone.data("up", "--workers", "0")
        assert {part["name"] for part in first["parts"]} == {"redis", "store", "coordinator", "flower"}
        again = alone("up", "--workers", "0")
        assert again.stderr.startswith("it is up already")
        assert first["monitor"]["url"] in again.stdout
        assert "***" in again.stdout  # Redis' password is not for the screen
    finally:
        ended = alone.data("down")["ended"]
    assert set(ended) == {"redis", "store", "coordinator", "flower"}
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize("command", ["worker", "coordinator"])
def test_a_worker_and_a_coordinator_end_at_a_signal_like_their_modules(shell: Shell, farm: Farm, command: str) -> None:
    running = shell.start(command)
    name = f"{command}-{running.pid}@{os.uname().nodename}"  # by the process started: it replaced itself

    def names() -> set[str]:
        return {info.name for info in farm.ledger.workers()}

    wait_until(lambda: name in names(), 90)
    running.send_signal(signal.SIGTERM)
    running.communicate(timeout=60)
    assert running.returncode == 0
    wait_until(lambda: name not in names(), 5)
