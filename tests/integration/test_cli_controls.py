"""The commands that control a job, through the real command line, a real Redis and a real store; nobody works on it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip

from farm.cli.app import run
from farm.client import Farm
from farm.contract import keys
from farm.contract.messages import Stage, TaskId
from farm.contract.states import JobState, TaskState
from farm.png import png_bytes
from farm.settings import Settings

Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def shell(farm_settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    for name, value in farm_settings.environ().items():
        monkeypatch.setenv(name, value)

    def call(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def farm(farm_settings: Settings) -> Farm:
    return Farm.from_settings(farm_settings)


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    style = tmp_path / "style.png"
    style.write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))
    return make_clip(tmp_path / "clip.mp4", frames=2).path, style


def test_a_held_job_says_how_it_begins(shell: Shell, farm: Farm, files: tuple[Path, Path]) -> None:
    clip, style = files
    code, out, err = shell("submit", clip, "--style", style, "--hold", "--priority", "high")
    job = out.strip()
    assert (code, f"it is paused; `farm resume {job}` goes on" in err) == (0, True)
    assert shell("explain", job)[1] == f"• it is held since it was submitted\n  → `farm resume {job}`\n"
    assert ("priority" in (status := shell("status", job)[1]), "high" in status) == (True, True)
    assert shell("resume", job)[1] == f"{job} submitted\n"
    reasons = json.loads(shell("explain", job, "--json")[1])["reasons"]
    assert [item["cure"] for item in reasons[:1]] == ["`farm coordinator`, or `farm up`"]
    assert shell("pause", job)[1] == f"{job} pausing\n"
    _, out, err = shell("retry", job)
    assert (out, f"nothing of {job} failed: it is pausing" in err) == (f"{job} pausing\n", True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--priority", "urgent"], "--priority 'urgent' is not known; give low, normal, high"),
        (["--hold", "--watch"], "--hold does not go with --watch or --output"),
    ],
)
def test_a_submit_that_makes_no_sense_is_refused(
    shell: Shell, files: tuple[Path, Path], words: list[str], said: str
) -> None:
    code, _, err = shell("submit", files[0], "--style", files[1], *words)
    assert (code, said in err) == (2, True)


def test_a_failed_job_is_explained_with_its_log_and_retried(shell: Shell, farm: Farm, files: tuple[Path, Path]) -> None:
    job = farm.submit(*files)
    task = TaskId(Stage.PLAN)
    farm.ledger.move_task(job.name, task, TaskState.QUEUED, attempt=3)
    farm.ledger.move_task(job.name, task, TaskState.FAILED, error="no space")
    farm.ledger.move_job(job.name, JobState.FAILED, error="plan: no space", finished_s=1.0)
    farm.store.put(keys.log(job.name, task, 3, "7:one"), b"it said\n  Traceback\n\x1b[31mred\n")
    assert "it failed: plan: no space" in shell("explain", job.name)[1]
    assert shell("logs", job.name)[1] == "plan/00000000, attempt 3\n  it said\n    Traceback\n  �[31mred\n"
    assert shell("logs", job.name, "--chunk", "x")[0] == 2
    code, out, err = shell("gc", "--dry-run")
    assert (code, "frames of a job that failed" in out, "1 objects would be removed" in err) == (0, True, True)
    assert shell("retry", job.name)[1] == f"{job.name} submitted\n"
    assert farm.ledger.task(job.name, task).state is TaskState.WAITING
    assert "nothing to remove" in shell("gc")[2]


def test_a_job_nobody_knows_is_code_3(shell: Shell) -> None:
    for command in ("explain", "logs", "pause", "retry"):
        assert shell(command, "nothing-0123456789")[0] == 3
