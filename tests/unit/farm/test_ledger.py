"""One suite for every ledger: the one in Redis (a real server) and the one in memory."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from redis.connection import Connection
from redis.exceptions import TimeoutError as AnswerLost

from farm.contract.codec import to_plain
from farm.contract.errors import AccessDenied, LedgerUnavailable
from farm.contract.messages import Priority, Stage, TaskId, TaskMessage
from farm.contract.states import JOB_ENDED, JobState, TaskState
from farm.ledger import JobRecord, Ledger, WorkerHealth, WorkerInfo
from farm.redis_ledger import RedisLedger
from farm.testing import MemoryLedger

JOB = "clip-0123456789"
TASK = TaskId(Stage.STYLIZE, 16)
MESSAGE = TaskMessage(JOB, Stage.STYLIZE, 16, 1)
CLOCK_S = 1e-4  # a ledger's times may be off by it: Redis's JSON writes 14 digits of a number


@pytest.fixture(params=["redis", "memory"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    if request.param == "memory":
        return MemoryLedger()
    return RedisLedger(request.getfixturevalue("redis_url"))


def _queued(ledger: Ledger) -> None:
    ledger.create_job(JobRecord(JOB, name="clip", created_s=1.5))
    assert ledger.move_task(JOB, TASK, TaskState.QUEUED, attempt=1)


def test_a_job_is_created_once(ledger: Ledger) -> None:
    assert ledger.create_job(JobRecord(JOB, name="first", created_s=2.5))
    assert not ledger.create_job(JobRecord(JOB, name="second"))
    assert ledger.job(JOB) == JobRecord(JOB, name="first", created_s=2.5)
    assert ledger.job("other-0123456789") is None


def test_jobs_are_listed_newest_first(ledger: Ledger) -> None:
    for at, job in enumerate(["a-0000000000", "b-0000000000", "c-0000000000"]):
        ledger.create_job(JobRecord(job, created_s=float(at)))
    assert [record.job[0] for record in ledger.jobs()] == ["c", "b", "a"]


def test_jobs_are_listed_by_state(ledger: Ledger) -> None:
    for at, state in enumerate(JobState):
        ledger.create_job(JobRecord(f"{state}-0123456789", state, created_s=float(at)))
    wanted = (JobState.RENDERING, JobState.FAILED, JobState.PAUSED)
    assert [record.state for record in ledger.jobs(wanted)] == [JobState.FAILED, JobState.PAUSED, JobState.RENDERING]
    assert ledger.jobs(()) == []
    assert len(ledger.jobs()) == len(JobState)


@pytest.mark.parametrize("state", JobState)
def test_the_tasks_of_a_job_are_forgotten_only_once_it_ended(ledger: Ledger, state: JobState) -> None:
    _queued(ledger)
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    assert ledger.settle(lease, TaskState.SUCCEEDED)
    ledger.progress(JOB, TASK, 7)
    ended = JobRecord("ended-0123456789", state, name="clip", created_s=2.5, finished_s=3.5, frame_count=48)
    ledger.create_job(ended)
    ledger.move_task(ended.job, TASK, TaskState.QUEUED, attempt=1)  # left behind when its job failed
    ledger.progress(ended.job, TASK, 3)
    before = ledger.job(ended.job)
    assert ledger.forget_tasks(ended.job) == (state in JOB_ENDED)
    if state in JOB_ENDED:
        assert (ledger.tasks(ended.job), ledger.frames_done(ended.job)) == ({}, {})
        assert ledger.job(ended.job) == ended
    else:
        assert (len(ledger.tasks(ended.job)), ledger.frames_done(ended.job)) == (1, {TASK: 3})
        assert ledger.job(ended.job) == before
    assert (ledger.task(JOB, TASK).state, ledger.frames_done(JOB)) == (TaskState.SUCCEEDED, {TASK: 7})


def test_nothing_is_forgotten_of_a_job_that_is_not_there(ledger: Ledger) -> None:
    assert not ledger.forget_tasks(JOB)


def test_a_job_moves_only_as_its_table_allows(ledger: Ledger) -> None:
    ledger.create_job(JobRecord(JOB))
    assert not ledger.move_job(JOB, JobState.SUCCEEDED)
    assert ledger.move_job(JOB, JobState.PLANNING)
    assert ledger.move_job(JOB, JobState.RENDERING, frame_count=48, started_s=3.25)
    record = ledger.job(JOB)
    assert record is not None
    assert (record.state, record.frame_count, record.started_s) == (JobState.RENDERING, 48, 3.25)
    assert not ledger.move_job("other-0123456789", JobState.PLANNING)


def test_a_task_the_ledger_does_not_know_is_waiting(ledger: Ledger) -> None:
    ledger.create_job(JobRecord(JOB))
    assert ledger.tasks(JOB) == {}
    assert not ledger.move_task(JOB, TASK, TaskState.RUNNING)
    assert ledger.move_task(JOB, TASK, TaskState.SUCCEEDED)
    assert ledger.tasks(JOB)[TASK].state is TaskState.SUCCEEDED


def test_of_two_who_queue_a_task_one_succeeds(ledger: Ledger) -> None:
    ledger.create_job(JobRecord(JOB))
    before = (TaskState.WAITING, TaskState.RETRYING)
    won: list[bool] = []
    threads = [
        threading.Thread(target=lambda: won.append(ledger.move_task(JOB, TASK, TaskState.QUEUED, before=before)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(won) == [False] * 7 + [True]


def test_one_executor_holds_a_task_at_a_time(ledger: Ledger) -> None:
    _queued(ledger)
    first = ledger.claim(MESSAGE, "one", 30)
    assert first is not None
    assert ledger.claim(MESSAGE, "two", 30) is None
    assert ledger.leased(JOB, [TASK, TaskId(Stage.BLEND, 16)]) == {TASK}
    record = ledger.tasks(JOB)[TASK]
    assert (record.state, record.worker) == (TaskState.RUNNING, "one")


def test_a_held_task_is_moved_by_its_holder_alone(ledger: Ledger) -> None:
    _queued(ledger)
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    assert not ledger.move_task(JOB, TASK, TaskState.RETRYING)
    assert ledger.settle(lease, TaskState.SUCCEEDED)
    assert ledger.leased(JOB, [TASK]) == set()
    assert not ledger.settle(lease, TaskState.FAILED)


def test_a_lease_that_ran_out_is_lost_to_the_next(ledger: Ledger) -> None:
    _queued(ledger)
    late = ledger.claim(MESSAGE, "late", 0.05)
    assert late is not None
    time.sleep(0.1)
    new = ledger.claim(MESSAGE, "new", 30)
    assert new is not None
    assert new.token != late.token
    assert not ledger.renew(late, 30)
    assert not ledger.settle(late, TaskState.SUCCEEDED)
    assert ledger.tasks(JOB)[TASK].worker == "new"
    assert ledger.renew(new, 30)


def test_a_lease_that_ran_out_while_nobody_else_came_is_still_its_holders(ledger: Ledger) -> None:
    _queued(ledger)
    lease = ledger.claim(MESSAGE, "cut off", 0.05)
    assert lease is not None
    time.sleep(0.1)
    assert ledger.leased(JOB, [TASK]) == set()
    assert ledger.renew(lease, 30)
    assert ledger.leased(JOB, [TASK]) == {TASK}
    assert ledger.renew(lease, 0.05)
    time.sleep(0.1)
    assert ledger.leased(JOB, [TASK]) == set()
    assert ledger.settle(lease, TaskState.SUCCEEDED)
    assert ledger.tasks(JOB)[TASK].state is TaskState.SUCCEEDED


def test_a_lease_whose_attempt_was_counted_as_lost_is_lost(ledger: Ledger) -> None:
    _queued(ledger)
    lease = ledger.claim(MESSAGE, "cut off", 0.05)
    assert lease is not None
    time.sleep(0.1)
    assert ledger.move_task(JOB, TASK, TaskState.RETRYING)
    assert not ledger.renew(lease, 30)
    assert not ledger.settle(lease, TaskState.SUCCEEDED)


def test_a_task_keeps_when_it_was_taken_and_with_how_many_frames(ledger: Ledger) -> None:
    _queued(ledger)
    ledger.progress(JOB, TASK, 7)
    before_s = time.time()
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    taken = ledger.task(JOB, TASK)
    assert (taken.began_s, taken.began_frames) == (taken.since_s, 7)
    time.sleep(0.05)
    assert ledger.settle(lease, TaskState.SUCCEEDED)
    done = ledger.task(JOB, TASK)
    assert done.began_s == pytest.approx(taken.began_s, abs=CLOCK_S)
    assert before_s - CLOCK_S <= done.began_s < done.since_s <= time.time() + CLOCK_S


def test_a_task_that_is_done_without_being_taken_has_no_beginning(ledger: Ledger) -> None:
    """Its manifest was in the store: what it took is not known, though an earlier executor had begun it."""
    _queued(ledger)
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    assert ledger.settle(lease, TaskState.WAITING)
    assert ledger.move_task(JOB, TASK, TaskState.SUCCEEDED)
    assert ledger.task(JOB, TASK).began_s == 0.0


def test_a_message_of_an_earlier_attempt_is_not_run(ledger: Ledger) -> None:
    ledger.create_job(JobRecord(JOB))
    ledger.move_task(JOB, TASK, TaskState.QUEUED, attempt=2)
    assert ledger.claim(MESSAGE, "one", 30) is None
    assert ledger.claim(TaskMessage(JOB, Stage.STYLIZE, 16, 2), "one", 30) is not None


def test_nothing_of_a_canceled_job_is_run(ledger: Ledger) -> None:
    _queued(ledger)
    ledger.move_job(JOB, JobState.CANCELING)
    assert ledger.claim(MESSAGE, "one", 30) is None


def test_the_error_of_an_attempt_stays_with_its_task(ledger: Ledger) -> None:
    _queued(ledger)
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    ledger.settle(lease, TaskState.RETRYING, error="no memory", retry_at_s=12.5)
    record = ledger.tasks(JOB)[TASK]
    assert (record.state, record.error, record.retry_at_s, record.attempt) == (TaskState.RETRYING, "no memory", 12.5, 1)


def test_frames_done_are_counted_by_task(ledger: Ledger) -> None:
    ledger.create_job(JobRecord(JOB))
    ledger.progress(JOB, TASK, 3)
    ledger.progress(JOB, TASK, 4)
    assert ledger.frames_done(JOB) == {TASK: 4}


def test_a_worker_without_heartbeat_is_forgotten(ledger: Ledger) -> None:
    silent = WorkerInfo("silent", "host", 1, "cpu", ("stylize",), weights={"vgg19": "dc"})
    alive = WorkerInfo("alive", "host", 2, "cpu", ("stylize", "blend"), threads=2)
    ledger.heartbeat(silent, 0.05)
    ledger.heartbeat(alive, 30)
    time.sleep(0.1)
    assert ledger.workers() == [alive]
    ledger.forget_worker("alive")
    assert ledger.workers() == []


def test_the_workers_a_task_failed_on_stay_with_it(ledger: Ledger) -> None:
    _queued(ledger)
    assert ledger.task(JOB, TASK).failed_on == ()
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    ledger.settle(lease, TaskState.RETRYING, failed_on=("zero", "one"), failed_s=2.5)
    ledger.move_task(JOB, TASK, TaskState.QUEUED, attempt=2)
    record = ledger.task(JOB, TASK)
    assert (record.failed_on, record.failed_s, record.attempt) == (("zero", "one"), 2.5, 2)
    ledger.move_task(JOB, TASK, TaskState.WAITING, failed_on=())
    assert ledger.tasks(JOB)[TASK].failed_on == ()


def test_the_damaged_frames_a_task_found_stay_with_it_until_it_is_done(ledger: Ledger) -> None:
    _queued(ledger)
    assert ledger.task(JOB, TASK).damaged == ()
    lease = ledger.claim(MESSAGE, "zero", 30)
    assert lease is not None
    assert ledger.settle(lease, TaskState.WAITING, damaged=("anchor/00000016/00000016",))
    ledger.move_task(JOB, TASK, TaskState.QUEUED, attempt=1)
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    assert ledger.task(JOB, TASK).damaged == ("anchor/00000016/00000016",)
    assert ledger.settle(lease, TaskState.SUCCEEDED, damaged=())
    assert ledger.task(JOB, TASK).damaged == ()
    assert ledger.task(JOB, TaskId(Stage.BLEND, 16)).state is TaskState.WAITING


def test_a_workers_failures_are_remembered(ledger: Ledger) -> None:
    assert ledger.health("one") == WorkerHealth()
    health = WorkerHealth(("clip stylize/00000016",), "no memory", 12.5)
    ledger.set_health("one", health)
    assert ledger.health("one") == health
    assert (health.quarantine(12.0), health.quarantine(13.0)) == (
        "its last task failed: no memory",
        "",
    )


def test_a_job_may_begin_paused_and_keeps_its_priority(ledger: Ledger) -> None:
    held = JobRecord(JOB, JobState.PAUSED, created_s=1.0, priority=Priority.HIGH)
    assert ledger.create_job(held)
    assert ledger.job(JOB) == held
    assert ledger.move_job(JOB, JobState.SUBMITTED)
    ledger.set_priority(JOB, Priority.LOW)
    ledger.set_priority("other-0123456789", Priority.LOW)
    changed = ledger.job(JOB)
    assert changed is not None
    assert (changed.priority, changed.state) == (Priority.LOW, JobState.SUBMITTED)
    assert ledger.job("other-0123456789") is None


def test_a_mark_is_seen_by_all_until_it_is_taken_away_or_ends(ledger: Ledger) -> None:
    assert not ledger.marked("use:x")
    ledger.mark("use:x", 30)
    ledger.mark("use:y", 0.05)
    assert ledger.marked("use:x")
    ledger.unmark("use:x")
    time.sleep(0.1)
    assert not ledger.marked("use:x")
    assert not ledger.marked("use:y")


def test_one_of_many_takes_the_turn(ledger: Ledger) -> None:
    assert [ledger.take_turn("sweep", 30) for _ in range(3)] == [True, False, False]


def test_a_turn_that_is_over_is_the_next_ones(ledger: Ledger) -> None:
    assert ledger.take_turn("sweep", 0.05)
    time.sleep(0.1)
    assert ledger.take_turn("sweep", 30)


def test_a_redis_that_is_not_there_is_named_with_the_cure() -> None:
    with pytest.raises(LedgerUnavailable, match=r"Redis at 127.0.0.1:1 does not answer.*farm up") as caught:
        RedisLedger("redis://:secret@127.0.0.1:1/0", timeout_s=0.5).ping()
    assert "secret" not in str(caught.value)


def test_a_wrong_password_is_access_denied(redis_url: str) -> None:
    _, at, host = redis_url.rpartition("@")
    with pytest.raises(AccessDenied, match="check the password"):
        RedisLedger(f"redis://:wrong{at}{host}").ping()


def test_records_of_another_release_are_read_without_the_fields_it_has_more(redis_url: str) -> None:
    """A client or worker may be newer or older than what wrote them."""
    ledger = RedisLedger(redis_url)
    ledger.create_job(JobRecord(JOB))
    info = WorkerInfo("one", "host", 1, "cpu", ("stylize",))
    with Redis.from_url(redis_url, decode_responses=True) as redis:
        redis.set("farm:worker:one", json.dumps(to_plain(info) | {"later": 1}), px=5000)
        redis.set("farm:health:one", json.dumps({"error": "no memory", "later": 1}), px=5000)
        redis.hset(f"farm:{{{JOB}}}:tasks", str(TASK), json.dumps({"state": "queued", "attempt": 2, "later": 1}))
        redis.hset(f"farm:{{{JOB}}}", "later", "1")
    assert ledger.workers() == [info]
    assert ledger.health("one").error == "no memory"
    assert ledger.task(JOB, TASK).attempt == 2
    assert ledger.job(JOB) == JobRecord(JOB)


@pytest.fixture
def losing(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], RedisLedger]:
    """A ledger with a job and a queued task; from the call on, its next answer is lost, and redis-py sends again."""
    ledger, lost, read = RedisLedger(redis_url), list[bool](), Connection.read_response
    for script in ledger._scripts.values():  # so that the answer lost is that of its run
        ledger._redis.script_load(script.script)
    _queued(ledger)

    def read_or_lose(self: Connection, *args: Any, **options: Any) -> Any:
        answer = read(self, *args, **options)
        if lost:
            lost.pop()
            raise AnswerLost("Timeout reading from socket")
        return answer

    def lose() -> RedisLedger:
        monkeypatch.setattr(Connection, "read_response", read_or_lose)
        lost[:] = [True]
        return ledger

    return lose


def test_a_claim_whose_answer_was_lost_has_its_lease(losing: Callable[[], RedisLedger]) -> None:
    ledger = losing()
    lease = ledger.claim(MESSAGE, "one", 30)
    assert lease is not None
    record = ledger.task(JOB, TASK)
    assert (record.state, record.token, lease.token) == (TaskState.RUNNING, lease.token, "1:one:" + lease.token[-8:])
    assert ledger.claim(MESSAGE, "one", 30) is None  # another call, though of the same name
    assert ledger.settle(lease, TaskState.SUCCEEDED)


def test_a_settled_task_whose_answer_was_lost_is_settled(losing: Callable[[], RedisLedger]) -> None:
    lease = losing().claim(MESSAGE, "one", 30)
    assert lease is not None
    ledger = losing()
    assert ledger.settle(lease, TaskState.SUCCEEDED)
    assert not ledger.settle(lease, TaskState.SUCCEEDED)


def test_a_move_whose_answer_was_lost_has_moved_and_is_counted_once(losing: Callable[[], RedisLedger]) -> None:
    other, before = TaskId(Stage.BLEND, 16), (TaskState.WAITING, TaskState.RETRYING)
    ledger = losing()
    assert ledger.move_task(JOB, other, TaskState.QUEUED, before=before, attempt=1)
    assert not ledger.move_task(JOB, other, TaskState.QUEUED, before=before, attempt=1)
    record = ledger.job(JOB)
    assert record is not None
    assert record.in_hand == 2
    ledger = losing()
    assert ledger.move_job(JOB, JobState.PLANNING)
    assert not ledger.move_job(JOB, JobState.PLANNING)
