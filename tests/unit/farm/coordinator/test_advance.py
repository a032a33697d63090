"""The coordinator against the shipped in-memory store and ledger: what it queues, and what it never does twice."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from farm import retries
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.errors import AccessDenied, FarmError, UnknownVersion
from farm.contract.messages import Manifest, Priority, Stage, TaskId, TaskMessage
from farm.contract.states import JobState, TaskState
from farm.coordinator import advance as advance_module
from farm.coordinator.advance import Coordinator
from farm.ledger import JobRecord
from farm.plan import make_plan
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore

JOB = "clip-0123456789"
PLAN = make_plan(12, (64, 48), (), 4, 2, "x")


class Bench:
    """A coordinator, and an executor that does what is queued at once or not at all."""

    def __init__(self, tmp_path: Path) -> None:
        self.settings = Settings(home=tmp_path, cache_dir=tmp_path, max_attempts=2)
        self.store, self.ledger = MemoryStore(), MemoryLedger()
        self.queue: list[TaskMessage] = []
        self.sent: list[TaskMessage] = []
        self.priorities: set[Priority] = set()
        self.coordinator = self.new_coordinator()
        self.ledger.create_job(JobRecord(JOB, created_s=1.0))

    def new_coordinator(self) -> Coordinator:
        return Coordinator(self.settings, self.store, self.ledger, self._publish, self._queued)

    def _queued(self, _queue: str) -> set[str]:
        return {message.name for message in self.queue}

    def _publish(self, message: TaskMessage, priority: Priority) -> None:
        self.priorities.add(priority)
        self.queue.append(message)
        self.sent.append(message)

    def do(self, message: TaskMessage) -> None:
        lease = self.ledger.claim(message, "worker", 30)
        assert lease is not None
        if message.stage is Stage.PLAN:
            self.store.put_once(keys.plan(JOB), to_json(PLAN))
        self.store.put_once(keys.manifest(JOB, message.task), to_json(_manifest(message)))
        self.ledger.settle(lease, TaskState.SUCCEEDED)

    def fail(self, message: TaskMessage, error: str = "it broke") -> None:
        lease = self.ledger.claim(message, "worker", 30)
        assert lease is not None
        self.ledger.settle(lease, TaskState.FAILED, error=error)

    def plan(self) -> None:
        self.coordinator.advance(JOB)
        self.do(self.queue.pop())
        self.coordinator.advance(JOB)

    def sweep(self) -> None:
        """Two sweeps: only the second believes that an executor is gone."""
        self.coordinator.sweep()
        self.coordinator.sweep()

    def do_all(self) -> None:
        """Work until nothing is queued, an advance after each task."""
        self.coordinator.advance(JOB)
        while self.queue:
            self.do(self.queue.pop(0))
            self.coordinator.advance(JOB)

    @property
    def state(self) -> JobState:
        record = self.ledger.job(JOB)
        assert record is not None
        return record.state


def _manifest(message: TaskMessage) -> Manifest:
    return Manifest(JOB, message.stage, message.start, message.attempt, "worker", "cpu", 0.0, 1.0)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_job_goes_its_way_and_each_task_is_queued_once(bench: Bench) -> None:
    bench.do_all()
    assert bench.state is JobState.SUCCEEDED
    tasks = [message.task for message in bench.sent]
    assert len(tasks) == len(set(tasks)) == 1 + 3 + 3 + 2 + 1 + 1
    assert tasks[0].stage is Stage.PLAN
    assert [task.stage for task in tasks[-2:]] == [Stage.SEGMENT, Stage.ASSEMBLE]


def test_nothing_is_queued_before_what_it_needs_is_done(bench: Bench) -> None:
    bench.coordinator.advance(JOB)
    bench.do(bench.queue.pop())
    bench.coordinator.advance(JOB)
    assert [message.task for message in bench.queue] == [TaskId(Stage.ANCHOR, 0)]


def test_advancing_again_queues_nothing_again(bench: Bench) -> None:
    for _ in range(3):
        bench.coordinator.advance(JOB)
        bench.new_coordinator().advance(JOB)
    assert len(bench.sent) == 1


def test_a_wiped_ledger_is_filled_from_the_store(bench: Bench) -> None:
    bench.coordinator.advance(JOB)
    for _ in range(4):
        bench.do(bench.queue.pop(0))
        bench.coordinator.advance(JOB)
    done = list(bench.store.list(keys.manifests(JOB)))
    bench.ledger = bench.coordinator.ledger = MemoryLedger()
    bench.queue.clear()
    bench.sent.clear()
    bench.ledger.create_job(JobRecord(JOB))
    bench.do_all()
    assert bench.state is JobState.SUCCEEDED
    assert len(bench.sent) == 11 - len(done)


def test_a_lost_executor_uses_up_an_attempt_and_its_task_is_queued_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.coordinator.advance(JOB)
    message = bench.queue.pop()
    assert bench.ledger.claim(message, "killed", 0.0) is not None
    bench.coordinator.sweep()
    assert bench.ledger.task(JOB, message.task).state is TaskState.RUNNING  # it may only have been cut off
    bench.coordinator.sweep()
    assert bench.queue == []  # not at once
    monkeypatch.setattr(advance_module.time, "time", lambda: time.monotonic() + 1e10)
    bench.coordinator.sweep()
    assert [item.attempt for item in bench.queue] == [2]
    assert bench.ledger.task(JOB, message.task).failed_on == ("killed",)
    assert b"its worker killed died" in next(data for key, (data, _) in bench.store.objects.items() if "/logs/" in key)


def test_an_executor_lost_after_its_manifest_had_finished(bench: Bench) -> None:
    bench.coordinator.advance(JOB)
    message = bench.queue.pop()
    assert bench.ledger.claim(message, "killed", 0.0) is not None
    bench.store.put_once(keys.plan(JOB), to_json(PLAN))
    bench.store.put_once(keys.manifest(JOB, message.task), to_json(_manifest(message)))
    bench.sweep()
    assert [item.task for item in bench.queue] == [TaskId(Stage.ANCHOR, 0)]


def test_the_last_attempt_lost_fails_the_job_and_says_where(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retries, "RETRY_BASE_S", 0.0)
    bench.coordinator.advance(JOB)
    bench.do(bench.queue.pop())
    bench.coordinator.advance(JOB)
    for _ in range(2):
        assert bench.ledger.claim(bench.queue.pop(), "killed", 0.0) is not None
        bench.sweep()
        bench.sweep()
    record = bench.ledger.job(JOB)
    assert record is not None
    assert record.state is JobState.FAILED
    assert record.error == "anchor at frame 0: its worker killed died or lost its lease, after 2 attempts"


def test_a_lost_message_is_sent_again_but_only_where_it_is_in_no_queue(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.coordinator.advance(JOB)
    monkeypatch.setattr(advance_module, "LOST_MESSAGE_S", -1.0)
    bench.coordinator.sweep()
    assert len(bench.sent) == 1
    bench.queue[:] = [TaskMessage("other-0123456789", Stage.PLAN, 0, 1)]  # a busy farm's queues are never empty
    bench.coordinator.sweep()
    assert bench.sent == [bench.sent[0], bench.sent[0]]


def test_a_task_to_be_retried_waits_for_its_time(bench: Bench) -> None:
    bench.coordinator.advance(JOB)
    lease = bench.ledger.claim(bench.queue.pop(), "worker", 30)
    assert lease is not None
    bench.ledger.settle(lease, TaskState.RETRYING, error="no memory", retry_at_s=4e9)
    bench.coordinator.advance(JOB)
    assert bench.queue == []


def test_a_task_given_back_is_queued_again_with_the_same_attempt(bench: Bench) -> None:
    bench.coordinator.advance(JOB)
    lease = bench.ledger.claim(bench.queue.pop(), "worker", 30)
    assert lease is not None
    bench.ledger.settle(lease, TaskState.WAITING)
    bench.coordinator.advance(JOB)
    assert [item.attempt for item in bench.queue] == [1]


def test_canceling_waits_for_the_executors_and_takes_back_the_rest(bench: Bench) -> None:
    bench.coordinator.advance(JOB)
    lease = bench.ledger.claim(bench.queue.pop(), "worker", 30)
    assert lease is not None
    bench.ledger.move_job(JOB, JobState.CANCELING)
    bench.coordinator.advance(JOB)
    assert bench.state is JobState.CANCELING
    bench.ledger.settle(lease, TaskState.CANCELED)
    bench.coordinator.advance(JOB)
    assert bench.state is JobState.CANCELED


def test_a_plan_gone_from_the_store_fails_the_job_in_plain_words(bench: Bench) -> None:
    bench.coordinator.advance(JOB)
    bench.do(bench.queue.pop())
    bench.store.delete([keys.plan(JOB)])
    bench.coordinator.advance(JOB)
    record = bench.ledger.job(JOB)
    assert record is not None
    assert record.state is JobState.FAILED
    assert "is gone from the store" in record.error


class ClosedStore(MemoryStore):
    """Has what another store has, and gives none of it."""

    def __init__(self, other: MemoryStore, error: FarmError) -> None:
        super().__init__()
        self.objects, self.error = other.objects, error

    def get(self, key: str) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    "error", [AccessDenied("the S3 server refuses the plan: InvalidAccessKeyId"), UnknownVersion("Plan has version 9")]
)
def test_a_coordinator_that_can_not_read_a_plan_fails_no_job(
    bench: Bench, caplog: pytest.LogCaptureFixture, error: FarmError
) -> None:
    """It was started again with another key, or is of another release; the next one may be able to."""
    bench.plan()
    bench.coordinator = bench.new_coordinator()
    bench.coordinator.store = ClosedStore(bench.store, error)
    caplog.clear()
    bench.coordinator.sweep()
    assert bench.state is JobState.RENDERING
    assert [(item.message, item.exc_info) for item in caplog.records] == [(f"sweep: {error}", None)]
    bench.coordinator = bench.new_coordinator()
    bench.do_all()
    assert bench.state is JobState.SUCCEEDED


def test_an_error_nobody_thought_of_keeps_no_other_job_waiting(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    younger = "clip-9999999999"
    bench.ledger.create_job(JobRecord(younger, created_s=2.0))  # swept first
    bench.store.put(keys.manifests(younger) + "stray.txt", b"")
    bench.coordinator.sweep()
    assert [message.job for message in bench.queue] == [JOB]
    assert bench.state is JobState.PLANNING
    (record,) = caplog.records
    assert record.exc_info
    assert vars(record)["job"] == younger


def test_a_job_whose_tasks_were_forgotten_goes_on_from_what_the_store_has(bench: Bench) -> None:
    bench.plan()
    bench.do(bench.queue.pop(0))
    bench.coordinator.advance(JOB)
    bench.fail(bench.queue.pop(0))
    bench.coordinator.advance(JOB)
    assert bench.state is JobState.FAILED
    assert bench.ledger.forget_tasks(JOB)
    bench.sent.clear()
    assert bench.ledger.move_job(JOB, JobState.SUBMITTED)
    bench.do_all()
    assert bench.state is JobState.SUCCEEDED
    assert len(bench.sent) == 11 - 2


def test_a_sweep_leaves_ended_jobs_alone(bench: Bench) -> None:
    bench.do_all()
    before = bench.ledger.job(JOB)
    bench.coordinator.sweep()
    assert before is not None
    assert bench.ledger.job(JOB) == before
    assert len(bench.sent) == 11


def test_a_poisoned_chunk_lets_the_others_finish_and_then_fails_the_job(bench: Bench) -> None:
    bench.plan()
    while bench.queue:
        message = bench.queue.pop(0)
        if message.task == TaskId(Stage.STYLIZE, 4):
            bench.fail(message, "a frame that can't be painted")
        else:
            bench.do(message)
        assert bench.state is JobState.RENDERING
        bench.coordinator.advance(JOB)
    record = bench.ledger.job(JOB)
    assert record is not None
    assert (record.state, record.error) == (JobState.FAILED, "stylize at frame 4: a frame that can't be painted")
    done = {task for task, item in bench.ledger.tasks(JOB).items() if item.state is TaskState.SUCCEEDED}
    assert {TaskId(Stage.STYLIZE, 0), TaskId(Stage.STYLIZE, 8), TaskId(Stage.ANCHOR, 8)} <= done


def test_too_many_failed_tasks_stop_a_job_early(bench: Bench) -> None:
    bench.coordinator.settings = replace(bench.settings, max_failed_tasks=2)
    bench.plan()
    for _ in range(3):
        bench.do(next(item for item in bench.queue if item.stage is Stage.ANCHOR))
        bench.queue[:] = [item for item in bench.queue if item.stage is not Stage.ANCHOR]
        bench.coordinator.advance(JOB)
    first, second, third = bench.queue
    bench.fail(first)
    bench.coordinator.advance(JOB)
    assert bench.state is JobState.RENDERING
    bench.fail(second)
    bench.coordinator.advance(JOB)
    record = bench.ledger.job(JOB)
    assert record is not None
    assert (record.state, record.error) == (
        JobState.FAILED,
        "stylize at frame 0: it broke (and stylize at frame 4)",
    )
    assert bench.ledger.task(JOB, third.task).state is TaskState.QUEUED


def test_what_every_task_needs_fails_the_job_at_once(bench: Bench) -> None:
    bench.plan()
    bench.fail(bench.queue.pop())
    bench.coordinator.advance(JOB)
    assert bench.state is JobState.FAILED


def test_a_task_canceled_after_its_job_was_resumed_is_done_after_all(bench: Bench) -> None:
    bench.plan()
    message = bench.queue.pop()
    lease = bench.ledger.claim(message, "worker", 30)
    assert lease is not None
    bench.ledger.settle(lease, TaskState.CANCELED)
    bench.coordinator.sweep()
    assert bench.queue == [message]


def test_a_worker_that_dies_on_three_tasks_is_put_in_quarantine(bench: Bench) -> None:
    bench.coordinator.settings = replace(bench.settings, max_attempts=9)
    bench.plan()
    for number, start in enumerate((0, 4, 8), start=1):
        task = TaskId(Stage.STYLIZE, start)
        bench.ledger.move_task(JOB, task, TaskState.QUEUED, attempt=1)
        assert bench.ledger.claim(TaskMessage(JOB, Stage.STYLIZE, start, 1), "dying", 0.0) is not None
        bench.sweep()
        assert bool(bench.ledger.health("dying").quarantine(time.time())) == (number == 3)


def test_tasks_are_queued_with_their_jobs_priority(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.ledger._jobs[JOB] = replace(bench.ledger._jobs[JOB], priority=Priority.HIGH)
    bench.do_all()
    assert bench.priorities == {Priority.HIGH}
