"""A segment that hangs in the encoder costs an attempt and a pool process, not the coordinator: real processes."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from integration.test_worker_faults import until
from painted_job import PaintedJob, paint_job
from running import running
from synthetic import pan

from farm.broker import make_app, publish
from farm.client import Farm
from farm.contract.messages import Priority, Stage, TaskId, TaskMessage
from farm.contract.states import JobState, TaskState
from farm.settings import Settings

pytestmark = pytest.mark.timeout(180)
FRAMES, FRAME_S = 12, 0.8
STUCK_S = 6.0
NAME = "films"


@pytest.fixture
def painted(farm_settings: Settings, tmp_path: Path) -> PaintedJob:
    settings = replace(farm_settings, home=tmp_path, lease_s=3.0, sweep_s=0.5, stuck_s=STUCK_S)
    return paint_job(Farm.from_settings(settings), pan((64, 48), FRAMES), tmp_path)


@pytest.fixture
def coordinator(painted: PaintedJob, tmp_path: Path) -> Iterator[psutil.Process]:
    environ = {
        **os.environ, **painted.farm.settings.environ(), "PYTHONPATH": os.pathsep.join(sys.path),
        "FARM_WORKER_NAME": NAME, "FRAME_S": str(FRAME_S), "HUNG": str(tmp_path / "hung"),
    }  # fmt: skip
    script = Path(__file__).parents[1] / "slow_coordinator.py"
    with running([sys.executable, str(script)], environ, start_new_session=True) as process:
        yield psutil.Process(process.pid)


def test_a_film_that_hangs_is_tried_again_by_a_new_process_and_one_that_is_slow_is_not(
    painted: PaintedJob, coordinator: psutil.Process, tmp_path: Path
) -> None:
    """The second attempt encodes for longer than a silence may last, but shows a sign of life at every frame."""
    assert FRAMES * FRAME_S > STUCK_S
    ledger, job, task = painted.farm.ledger, painted.job.name, TaskId(Stage.SEGMENT)
    ledger.move_job(job, JobState.PLANNING)
    app = make_app(painted.farm.settings)

    def queue(attempt: int) -> None:
        assert ledger.move_task(job, task, TaskState.QUEUED, attempt=attempt)
        publish(app, TaskMessage(job, Stage.SEGMENT, 0, attempt), Priority.NORMAL)

    queue(1)
    until((tmp_path / "hung").exists, 60)
    stuck = int((tmp_path / "hung").read_text())
    (work,) = (painted.farm.settings.cache_dir / "work").glob("segment-*")
    others = {child.pid for child in coordinator.children()} - {stuck}
    assert len(others) >= 2
    until(lambda: not psutil.pid_exists(stuck), STUCK_S + 20)
    record = ledger.task(job, task)
    said = re.match(rf"no sign of life for (\d+) s on {NAME}@", record.error)
    assert said
    assert int(said[1]) >= STUCK_S
    assert record.state is TaskState.RETRYING
    until(lambda: not work.exists())  # the process that follows clears what it left
    queue(2)
    until(lambda: ledger.task(job, task).state is not TaskState.QUEUED)
    until(lambda: ledger.task(job, task).state is not TaskState.RUNNING, 90)
    record = ledger.task(job, task)
    assert (record.state, record.attempt) == (TaskState.SUCCEEDED, 2)
    assert others <= {child.pid for child in coordinator.children()}
    assert not [worker.quarantine for worker in ledger.workers() if worker.quarantine]
    assert ledger.health(f"{NAME}@{os.uname().nodename}").failed == ()
