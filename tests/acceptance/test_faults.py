"""What goes wrong on a real farm, and what a user does about it; each ends with the frames of an undisturbed run."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from acceptance.conftest import QUICK
from acceptance.test_farm import NOTICED_S, WAIT_S, manifests, painted, stylized, wait_until
from clips import make_clip
from held import Held

from farm.client import Farm
from farm.contract import keys
from farm.contract.errors import JobFailed
from farm.contract.messages import Priority, Stage, TaskId
from farm.contract.params import Color
from farm.contract.states import JobState, TaskState
from farm.ledger import WorkerHealth
from farm.stack import Stack

pytestmark = pytest.mark.timeout(150)


def test_a_paused_job_stands_still_and_goes_on_to_the_same_frames(
    farm: Farm, tmp_path: Path, hold: Callable[..., Held]
) -> None:
    clip = make_clip(tmp_path / "pause.mp4", frames=24)
    job = farm.submit(clip.path, "swirl", params=QUICK, size_px=96, chunk_frames=12, hold=True)
    held = hold(job, passed=3)
    wait_until(lambda: held.waiting)
    job.pause()
    time.sleep(NOTICED_S)
    held.free()
    wait_until(lambda: job.status().state is JobState.PAUSED, 20)
    done = stylized(job)
    assert 3 <= len(done) < 24
    assert [item.what for item in job.explain()] == ["it is paused; the frames done are kept"]
    job.resume()
    job.wait(timeout_s=WAIT_S)
    whole = painted(farm, clip.path, size_px=96, chunk_frames=12, again=True)
    assert stylized(job) == stylized(whole)
    assert all(stylized(job)[name] == data for name, data in done.items())


def test_a_poisoned_shot_fails_alone_and_a_retry_after_the_cure_finishes_the_job(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "poison.mp4", frames=16, cuts=(8,))
    how = {"params": replace(QUICK, color=Color.MATCH), "size_px": 64, "chunk_frames": 4}
    job = farm.submit(clip.path, "swirl", **how, hold=True, priority=Priority.HIGH)
    poison, poisoned = keys.colors(job.name, 8), TaskId(Stage.ANCHOR, 8)
    # An object that is not the farm's: no worker can use it, and none may take it away.
    farm.store._client.put_object(Bucket=farm.settings.s3_bucket, Key=poison, Body=b"no colours")
    job.resume()
    with pytest.raises(JobFailed, match=r"anchor at frame 8: .*farm retry"):
        job.wait(timeout_s=WAIT_S)
    tasks = farm.ledger.tasks(job.name)
    assert tasks[poisoned].attempt == 3
    assert len(tasks[poisoned].failed_on) == 2  # tried on both workers
    assert {tasks[TaskId(Stage.STYLIZE, start)].state for start in (0, 4)} == {TaskState.SUCCEEDED}
    assert not any(info.quarantine for info in farm.workers())
    log = [item for item in job.logs(8) if item.task == poisoned]
    assert [item.attempt for item in log] == [1, 2, 3]
    assert all("attempt failed: " in item.text for item in log)
    before = set(manifests(job))
    farm.store.delete([poison])
    job.retry()
    job.wait(timeout_s=WAIT_S)
    assert manifests(job)[poisoned].attempt == 1
    assert {(task.stage, task.start // 8) for task in set(manifests(job)) - before} == {
        (Stage.ANCHOR, 1), (Stage.STYLIZE, 1), (Stage.BLEND, 1), (Stage.SEGMENT, 0), (Stage.ASSEMBLE, 0),
    }  # fmt: skip
    whole = farm.submit(clip.path, "swirl", **how, again=True)
    whole.wait(timeout_s=WAIT_S)
    assert stylized(job) == stylized(whole)


def test_a_worker_in_quarantine_gets_no_work_and_the_job_is_done_by_the_other(farm: Farm, tmp_path: Path) -> None:
    two = wait_until(lambda: len(found := farm.workers()) == 2 and found)
    bad, good = (info.name for info in two)
    farm.ledger.set_health(bad, WorkerHealth(("a", "b", "c"), "the device is broken", time.time() + 600))
    try:
        wait_until(lambda: next(info.quarantine for info in farm.workers() if info.name == bad))
        clip = make_clip(tmp_path / "quarantine.mp4", frames=12)
        job = farm.submit(clip.path, "swirl", params=QUICK, size_px=64, chunk_frames=4)
        wait_until(lambda: job.status().state is JobState.RENDERING)
        said = [item.what for item in job.explain()]
        assert f"{bad} is in quarantine: 3 tasks in a row failed on it, the last with: the device is broken" in said
        job.wait(timeout_s=WAIT_S)
        painters = {item.worker for task, item in manifests(job).items() if task.stage is Stage.STYLIZE}
        assert painters == {good}
    finally:
        farm.ledger.set_health(bad, WorkerHealth())
    wait_until(lambda: not any(info.quarantine for info in farm.workers()))


def test_a_redis_that_freezes_for_longer_than_a_lease_costs_no_attempt(
    farm: Farm, farm_stack: Stack, tmp_path: Path, hold: Callable[..., Held]
) -> None:
    redis = next(part.pid for part in farm_stack.status().parts if part.name == "redis")
    clip = make_clip(tmp_path / "frozen.mp4", frames=24)
    job = farm.submit(clip.path, "swirl", params=QUICK, size_px=96, chunk_frames=12, hold=True)
    held = hold(job, passed=2)
    wait_until(lambda: held.waiting)
    tasks = farm.ledger.tasks(job.name).items()
    chunks = {task for task, item in tasks if task.stage is Stage.STYLIZE and item.state is TaskState.RUNNING}
    assert chunks
    os.kill(redis, signal.SIGSTOP)
    try:
        time.sleep(2.5 * farm.settings.lease_s)
    finally:
        os.kill(redis, signal.SIGCONT)
    wait_until(lambda: farm.ledger.leased(job.name, chunks) == chunks, 20)
    held.free()
    job.wait(timeout_s=WAIT_S)
    assert {item.attempt for item in manifests(job).values()} == {1}
    assert not any(item.failed_on for item in farm.ledger.tasks(job.name).values())
    assert len(stylized(job)) == 24
