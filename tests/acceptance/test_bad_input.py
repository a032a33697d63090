"""Bad input at the command line, with real Redis and S3: one line, an exit code, and nothing left in the store."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from clips import make_clip

from farm.settings import Settings
from farm.store import S3Store


def run_farm(settings: Settings, *arguments: str | Path, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "farm.cli", *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout_s, check=False, env={**os.environ, **settings.environ()},
    )  # fmt: skip


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """A clip that nothing is wrong with."""
    return make_clip(tmp_path / "clip.mp4", frames=12).path


@pytest.fixture
def style(tmp_path: Path) -> Path:
    """A style that nothing is wrong with."""
    path = tmp_path / "style.png"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))
    return path


def assert_refused(result: subprocess.CompletedProcess[str], words: str, code: int = 2) -> None:
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("farm: ")
    assert words in line
    assert result.returncode == code


def assert_empty(store: S3Store) -> None:
    assert list(store.list("")) == []


def write_text(path: Path) -> None:
    path.write_text("This is no film.\n" * 100)


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_half(path: Path) -> None:
    whole = make_clip(path.with_name("whole.mp4"), frames=24).path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def write_cut_at_the_end(path: Path) -> None:
    """The index lies in front, so that only the last frames are missing."""
    import av

    make_clip(path.with_name("whole.mp4"), frames=24)
    with (
        av.open(str(path.with_name("whole.mp4"))) as whole,
        av.open(str(path), "w", container_options={"movflags": "+faststart"}) as front,
    ):
        stream = front.add_stream_from_template(whole.streams.video[0])
        for packet in whole.demux(whole.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                front.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])


def write_picture(path: Path) -> None:
    _, data = cv2.imencode(".png", np.full((64, 96, 3), 128, np.uint8))
    path.write_bytes(data.tobytes())


def write_none(path: Path) -> None:
    del path


def write_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    "write",
    [write_none, write_text, write_nothing, write_half, write_cut_at_the_end, write_picture, write_folder],
)
def test_a_clip_that_is_none_is_refused(
    write: Callable[[Path], None], farm_settings: Settings, s3_store: S3Store, style: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.mp4"
    write(bad)
    assert_refused(run_farm(farm_settings, "submit", bad, "--style", style), str(bad))
    assert_empty(s3_store)


def test_a_picture_named_as_one_is_refused_as_a_clip(farm_settings: Settings, s3_store: S3Store, style: Path) -> None:
    assert_refused(run_farm(farm_settings, "submit", style, "--style", style), str(style))
    assert_empty(s3_store)


@pytest.mark.parametrize("write", [write_none, write_text, write_nothing])
def test_a_style_that_is_no_picture_is_refused(
    write: Callable[[Path], None], farm_settings: Settings, s3_store: S3Store, clip: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "style.jpg"
    write(bad)
    assert_refused(run_farm(farm_settings, "submit", clip, "--style", bad), str(bad))
    assert_empty(s3_store)


def test_an_unknown_style_name_is_refused_with_the_names(
    farm_settings: Settings, s3_store: S3Store, clip: Path
) -> None:
    result = run_farm(farm_settings, "submit", clip, "--style", "swirrl")
    assert_refused(result, "'swirrl'")
    assert "swirl" in result.stderr
    assert_empty(s3_store)


@pytest.mark.parametrize(
    ("flag", "value"), [("--size", "0"), ("--size", "-5"), ("--chunk", "-1"), ("--chunk", "0"), ("--codec", "divx")]
)
def test_a_value_that_cannot_be_is_refused(
    flag: str, value: str, farm_settings: Settings, s3_store: S3Store, clip: Path, style: Path
) -> None:
    assert_refused(run_farm(farm_settings, "submit", clip, "--style", style, flag, value), flag)
    assert_empty(s3_store)


def test_a_film_that_would_overwrite_its_clip_is_refused(
    farm_settings: Settings, s3_store: S3Store, clip: Path, style: Path
) -> None:
    assert_refused(run_farm(farm_settings, "submit", clip, "--style", style, "-o", clip), "is the clip itself")
    assert_empty(s3_store)


def test_render_refuses_before_it_starts_a_farm(tmp_path: Path, style: Path) -> None:
    alone = Settings(home=tmp_path / "home", cache_dir=tmp_path / "cache")
    result = run_farm(alone, "render", tmp_path / "no.mp4", "--style", style, "-o", tmp_path / "film.mp4")
    assert_refused(result, "no.mp4")
    assert not (tmp_path / "home").exists()
    assert not (tmp_path / "film.mp4").exists()


def test_a_wrong_s3_key_is_said_and_nothing_is_written(
    farm_settings: Settings, s3_store: S3Store, clip: Path, style: Path
) -> None:
    wrong = replace(farm_settings, s3_secret_key="0" * 40)
    assert_refused(run_farm(wrong, "submit", clip, "--style", style), "FARM_S3", code=7)
    assert_empty(s3_store)


def test_redis_that_is_down_is_said_and_nothing_is_written(
    s3_settings: Settings, s3_store: S3Store, clip: Path, style: Path
) -> None:
    down = replace(s3_settings, redis_url="redis://127.0.0.1:1/0")
    assert_refused(run_farm(down, "submit", clip, "--style", style), "Redis at 127.0.0.1:1 does not answer", code=8)
    assert_empty(s3_store)


def test_a_wrong_redis_password_is_said_without_showing_it(
    farm_settings: Settings, s3_store: S3Store, clip: Path, style: Path
) -> None:
    host = farm_settings.redis_url.rpartition("@")[2]
    wrong = replace(farm_settings, redis_url=f"redis://:open-sesame@{host}")
    result = run_farm(wrong, "submit", clip, "--style", style)
    assert_refused(result, "FARM_REDIS_URL", code=7)
    assert "open-sesame" not in result.stderr
    assert_empty(s3_store)


def test_no_worker_alive_is_said_at_once_after_a_submit(farm_settings: Settings, clip: Path, style: Path) -> None:
    result = run_farm(farm_settings, "submit", clip, "--style", style)
    assert result.returncode == 0
    assert result.stdout.startswith("clip-")
    assert "nobody is at work" in result.stderr
    assert "`farm up`" in result.stderr


def test_no_worker_alive_is_said_while_watching_after_ten_seconds(
    farm_settings: Settings, clip: Path, style: Path
) -> None:
    job = run_farm(farm_settings, "submit", clip, "--style", style).stdout.strip()
    began_s = time.monotonic()
    watching = subprocess.Popen(
        [sys.executable, "-m", "farm.cli", "watch", job], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, **farm_settings.environ()},
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        line = next(line for line in watching.stdout if "nobody is at work" in line)
        assert 10 <= time.monotonic() - began_s < 30
        assert "`farm up`" in line
    finally:
        watching.kill()
        watching.communicate()


def test_ctrl_c_while_watching_leaves_the_job_and_says_how_to_end_it(
    farm_settings: Settings, clip: Path, style: Path
) -> None:
    job = run_farm(farm_settings, "submit", clip, "--style", style).stdout.strip()
    watching = subprocess.Popen(
        [sys.executable, "-m", "farm.cli", "watch", job], text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **farm_settings.environ()},
    )  # fmt: skip
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith(f"{job}: submitted")
        watching.send_signal(2)
        _, said = watching.communicate(timeout=20)
    finally:
        watching.kill()
        watching.wait()
    assert watching.returncode == 130
    assert said.splitlines()[-1] == f"{job} goes on; `farm watch {job}` follows it, `farm cancel {job}` ends it"
    assert run_farm(farm_settings, "list").stdout.splitlines()[1].split()[:2] == [job, "submitted"]
