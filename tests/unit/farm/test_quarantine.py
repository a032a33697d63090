"""What failures mean for the worker they happened on: who tries next, and when it takes no more."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest
from executor_bench import JOB, MESSAGE, Bench

from farm.contract.errors import InvalidClip
from farm.contract.messages import Stage, TaskMessage
from farm.contract.states import TaskState
from farm.executor import Outcome, Run
from farm.ledger import JobRecord, WorkerInfo
from farm.redis_ledger import RedisLedger
from farm.testing import MemoryLedger


@pytest.fixture(params=["redis", "memory"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    redis = request.param == "redis"
    return Bench(tmp_path, ledger=RedisLedger(request.getfixturevalue("redis_url")) if redis else MemoryLedger())


def failing(run: Run) -> Outcome:
    raise RuntimeError("the device is broken")


def other_worker(bench: Bench, name: str = "other", quarantine: str = "") -> None:
    bench.ledger.heartbeat(WorkerInfo(name, "host", 1, "cpu", ("stylize",), quarantine=quarantine), 30)


def test_what_failed_here_is_left_to_another_worker_first(bench: Bench) -> None:
    bench.executor.execute(MESSAGE, failing)
    assert bench.task.failed_on == ("worker",)
    other_worker(bench)
    assert not bench.executor.execute(bench.again(2), lambda run: pytest.fail("it ran"))
    assert (bench.task.state, bench.task.attempt) == (TaskState.WAITING, 2)
    assert bench.task.retry_at_s > time.time()


@pytest.mark.parametrize("why", ["nobody else is alive", "the other is in quarantine", "it failed there, too"])
def test_what_failed_here_is_tried_here_again_where(bench: Bench, why: str) -> None:
    bench.executor.execute(MESSAGE, failing)
    if why == "the other is in quarantine":
        other_worker(bench, quarantine="broken")
    message = bench.again(2)
    if why == "it failed there, too":
        other_worker(bench)
        bench.ledger.move_task(JOB, MESSAGE.task, TaskState.QUEUED, failed_on=("worker", "other"))
    assert bench.executor.execute(message, lambda run: Outcome())
    assert bench.task.state is TaskState.SUCCEEDED


def test_the_wait_for_another_worker_ends(bench: Bench) -> None:
    bench.executor.execute(MESSAGE, failing)
    other_worker(bench)
    message = bench.again(2)
    bench.ledger.move_task(JOB, MESSAGE.task, TaskState.QUEUED, failed_s=time.time() - 121)
    assert bench.executor.execute(message, lambda run: Outcome())


def test_three_tasks_that_fail_in_a_row_are_a_quarantine(bench: Bench) -> None:
    for start in (16, 32, 48):
        assert bench.executor.quarantine() == ""
        bench.executor.execute(bench.again(1, start), failing)
    assert bench.executor.quarantine() == (
        "3 tasks in a row failed on it, the last with: RuntimeError: the device is broken"
    )
    message = bench.again(1, 64)
    assert not bench.executor.execute(message, lambda run: pytest.fail("it ran"))
    assert bench.ledger.task(JOB, message.task).state is TaskState.WAITING


@pytest.mark.parametrize(
    ("elsewhere", "job_is_to_blame"), [("nothing", False), ("a failure", True), ("a failure and a success", False)]
)
def test_a_job_that_fails_everywhere_takes_no_worker_from_the_others(
    bench: Bench, elsewhere: str, job_is_to_blame: bool
) -> None:
    other = replace(bench.executor, worker="other")
    if elsewhere != "nothing":
        other.execute(bench.again(1, 160), failing)
    if elsewhere == "a failure and a success":
        other.execute(bench.again(1, 176), lambda run: Outcome())
    for start in (16, 32, 48, 64):
        message = bench.again(1, start)
        if bench.executor.quarantine() == "":
            bench.executor.execute(message, failing)
    assert (bench.executor.quarantine() == "") is job_is_to_blame
    assert len(bench.ledger.health("worker").failed) == (2 if job_is_to_blame else 3)


def test_a_worker_that_fails_at_several_jobs_is_put_in_quarantine_whatever_others_do(bench: Bench) -> None:
    replace(bench.executor, worker="other").execute(bench.again(1, 160), failing)
    bench.ledger.create_job(JobRecord(second := "other-0123456789"))
    message = TaskMessage(second, Stage.STYLIZE, 0, 1)
    assert bench.ledger.move_task(second, message.task, TaskState.QUEUED, attempt=1)
    bench.executor.execute(message, failing)
    for start in (16, 32):
        bench.executor.execute(bench.again(1, start), failing)
    assert bench.executor.quarantine() != ""


def test_a_success_clears_the_failures_before_it(bench: Bench) -> None:
    for start in (16, 32):
        bench.executor.execute(bench.again(1, start), failing)
    bench.executor.execute(bench.again(1, 48), lambda run: Outcome())
    bench.executor.execute(bench.again(1, 64), failing)
    assert bench.executor.quarantine() == ""


def test_a_poison_task_and_a_bad_job_put_no_worker_in_quarantine(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise InvalidClip("the clip is broken")

    bench.executor.execute(MESSAGE, failing)
    bench.executor.execute(bench.again(2), failing)
    for start in (32, 48, 64, 80):
        bench.executor.execute(bench.again(1, start), work)
    assert bench.executor.quarantine() == ""
