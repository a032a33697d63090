from __future__ import annotations

import time
from pathlib import Path

import pytest

from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import InvalidClip, ShuttingDown, StoreUnavailable
from farm.contract.messages import FrameRecord, Manifest, Stage, TaskMessage
from farm.contract.states import JobState, TaskState
from farm.executor import Executor, Outcome, Run
from farm.ledger import JobRecord, TaskRecord
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore

JOB = "clip-0123456789"
MESSAGE = TaskMessage(JOB, Stage.STYLIZE, 16, 1)


class Bench:
    def __init__(self, tmp_path: Path, lease_s: float = 30.0) -> None:
        self.store, self.ledger = MemoryStore(), MemoryLedger()
        self.notified: list[str] = []
        self.ending = False
        settings = Settings(home=tmp_path, cache_dir=tmp_path, lease_s=lease_s, max_attempts=2)
        self.executor = Executor(settings, self.store, self.ledger, "worker", self.notified.append, lambda: self.ending)
        self.ledger.create_job(JobRecord(JOB))
        self.ledger.move_task(JOB, MESSAGE.task, TaskState.QUEUED, attempt=1)

    @property
    def task(self) -> TaskRecord:
        return self.ledger.tasks(JOB)[MESSAGE.task]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def until_interrupted(run: Run) -> Outcome:
    for _ in range(500):
        run.check()
        time.sleep(0.02)
    return Outcome()


def test_work_done_leaves_its_manifest_and_asks_for_an_advance(bench: Bench) -> None:
    record = FrameRecord(16, "a" * 64, {"style": 0.5}, 3)

    def work(run: Run) -> Outcome:
        with run.span("paint"):
            run.progress(1)
        return Outcome((record,), "cpu")

    assert bench.executor.execute(MESSAGE, work)
    manifest = from_json(Manifest, bench.store.get(keys.manifest(JOB, MESSAGE.task)))
    assert (manifest.frames, manifest.worker, manifest.attempt) == ((record,), "worker", 1)
    assert set(manifest.timings_s) == {"paint"}
    assert bench.task.state is TaskState.SUCCEEDED
    assert bench.ledger.frames_done(JOB) == {MESSAGE.task: 1}
    assert bench.notified == [JOB]


def test_a_task_another_holds_is_not_touched(bench: Bench) -> None:
    assert bench.ledger.claim(MESSAGE, "other", 30)
    assert not bench.executor.execute(MESSAGE, lambda run: pytest.fail("it ran"))
    assert bench.notified == []


def test_a_passing_fault_is_tried_again_later_until_the_attempts_are_used_up(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise StoreUnavailable("the store does not answer")

    bench.executor.execute(MESSAGE, work)
    assert (bench.task.state, bench.task.error) == (TaskState.RETRYING, "the store does not answer")
    assert bench.task.retry_at_s > time.time()
    bench.ledger.move_task(JOB, MESSAGE.task, TaskState.QUEUED, attempt=2)
    bench.executor.execute(TaskMessage(JOB, Stage.STYLIZE, 16, 2), work)
    assert bench.task.state is TaskState.FAILED


def test_a_permanent_fault_fails_at_once(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise InvalidClip("the clip is broken")

    bench.executor.execute(MESSAGE, work)
    assert (bench.task.state, bench.task.error) == (TaskState.FAILED, "the clip is broken")


def test_a_fault_nobody_foresaw_is_named_with_its_kind(bench: Bench) -> None:
    bench.executor.execute(MESSAGE, lambda run: 1 / 0)  # type: ignore[arg-type, return-value]
    assert bench.task.error == "ZeroDivisionError: division by zero"


def test_a_shutdown_gives_the_task_back_without_using_an_attempt(bench: Bench) -> None:
    bench.ending = True
    bench.executor.execute(MESSAGE, until_interrupted)
    assert (bench.task.state, bench.task.attempt) == (TaskState.WAITING, 1)
    assert bench.ledger.leased(JOB, [MESSAGE.task]) == set()


def test_a_canceled_job_stops_its_work(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        bench.ledger.move_job(JOB, JobState.CANCELING)
        return until_interrupted(run)

    bench.executor.execute(MESSAGE, work)
    assert bench.task.state is TaskState.CANCELED
    assert list(bench.store.list(keys.manifests(JOB))) == []


def test_a_lease_is_renewed_for_as_long_as_the_work_takes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lease_s=0.6)

    def work(run: Run) -> Outcome:
        time.sleep(1.5)
        return Outcome()

    bench.executor.execute(MESSAGE, work)
    assert bench.task.state is TaskState.SUCCEEDED


def test_a_late_executor_whose_lease_is_anothers_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lease_s=0.6)

    def work(run: Run) -> Outcome:
        bench.ledger._leases[JOB, MESSAGE.task] = ("99:thief", time.monotonic() + 30)
        return until_interrupted(run)

    bench.executor.execute(MESSAGE, work)
    assert bench.task.state is TaskState.RUNNING
    assert list(bench.store.list(keys.manifests(JOB))) == []


def test_interrupted_is_no_failure(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise ShuttingDown("bye")

    bench.executor.execute(MESSAGE, work)
    assert bench.task.error == ""
