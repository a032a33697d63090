"""A coordinator whose queue is full of segments still looks at jobs at once: real processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from integration.test_worker_faults import until
from painted_job import PaintedJob, paint_job
from running import running
from synthetic import pan

from farm.broker import make_app, publish, publish_advance
from farm.client import Farm
from farm.contract.messages import Priority, Stage, TaskId, TaskMessage
from farm.contract.states import JobState, TaskState
from farm.coordinator.turns import POOL_PROCESSES
from farm.ledger import JobRecord
from farm.segments import segments
from farm.settings import Settings

pytestmark = pytest.mark.timeout(180)
OTHER = "other-0123456789"
FRAME_S = 0.5
LOOK_S = 10.0
"""A look at a job takes milliseconds; a busy machine, its time."""


@pytest.fixture
def painted(farm_settings: Settings, tmp_path: Path) -> PaintedJob:
    """A job of four segments; no sweep comes to help."""
    settings = replace(farm_settings, home=tmp_path, lease_s=6.0, sweep_s=600.0)
    return paint_job(Farm.from_settings(settings), pan((64, 48), 384), tmp_path, chunk_frames=48)


@pytest.fixture
def coordinator(painted: PaintedJob) -> Iterator[subprocess.Popen[bytes]]:
    environ = {
        **os.environ, **painted.farm.settings.environ(), "PYTHONPATH": os.pathsep.join(sys.path),
        "FRAME_S": str(FRAME_S),
    }  # fmt: skip
    script = Path(__file__).parents[1] / "slow_coordinator.py"
    with running([sys.executable, str(script)], environ, start_new_session=True) as process:
        yield process


def test_segments_leave_a_process_for_short_work(painted: PaintedJob, coordinator: subprocess.Popen[bytes]) -> None:
    ledger, job = painted.farm.ledger, painted.job.name
    ledger.move_job(job, JobState.PLANNING)
    app = make_app(painted.farm.settings)
    tasks = [TaskId(Stage.SEGMENT, segment.start) for segment in segments(painted.plan)]
    assert len(tasks) > POOL_PROCESSES
    for task in tasks:
        ledger.move_task(job, task, TaskState.QUEUED, attempt=1)
        publish(app, TaskMessage(job, task.stage, task.start, 1), Priority.NORMAL)

    def running() -> list[TaskId]:
        return [task for task in tasks if ledger.task(job, task).state is TaskState.RUNNING]

    until(lambda: len(running()) == POOL_PROCESSES - 1, 60)
    ledger.create_job(JobRecord(OTHER))
    began_s = time.monotonic()
    publish_advance(app, OTHER)
    plan = TaskId(Stage.PLAN)
    until(lambda: ledger.task(OTHER, plan).state is not TaskState.WAITING, LOOK_S)
    assert time.monotonic() - began_s < LOOK_S
    assert len(running()) == POOL_PROCESSES - 1
    assert coordinator.poll() is None
    waiting = {f"{OTHER}/{plan}/1", *(f"{job}/{task}/1" for task in tasks if task not in running())}
    until(lambda: painted.farm.ledger.queued("media") == waiting, LOOK_S)  # type: ignore[attr-defined]
