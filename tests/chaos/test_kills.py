"""Workers killed at seeded random moments, two executors of one chunk at once, and reports that never came."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from contextlib import suppress

import pytest
from chaos.conftest import WORKERS
from chaos.tally import Row, Tally
from chaos.yard import Painted, Yard, until

from farm.contract import keys
from farm.contract.messages import Stage, TaskId
from farm.contract.states import JobState, TaskState
from farm.job import Job

UNTIL = "the task killed is at work again, or done"
CHILD, PARENT, WHOLE = "its child", "its parent process alone", "parent and child at once"


def kill(yard: Yard, name: str, what: str) -> None:
    """SIGKILL a part of the worker, or all of it, and start it again where nothing else does."""
    if what == CHILD:
        pid = until(lambda: yard.painter_pid(name), f"a pool process of {name}")
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        return
    yard.kill(name, group=what == WHOLE)
    yard.start_worker(name)


def hit(yard: Yard, job: Job, name: str) -> dict[TaskId, str]:
    """The tasks that worker has in hand, with the tokens of their leases."""
    tasks = yard.farm.ledger.tasks(job.name)
    mine = {task: item for task, item in tasks.items() if item.worker.startswith(f"{name}@")}
    return {task: item.token for task, item in mine.items() if item.state is TaskState.RUNNING}


def at_work_again(yard: Yard, job: Job, before: dict[TaskId, str]) -> bool:
    tasks = yard.farm.ledger.tasks(job.name)
    return all(
        tasks[task].state is TaskState.SUCCEEDED
        or (tasks[task].state is TaskState.RUNNING and tasks[task].token != token)
        for task, token in before.items()
    )


def kill_at_random(yard: Yard, reference: Painted, tally: Tally, row: Row, what: str, times: int, seed: int) -> None:
    """Kill one of the workers again and again, each time after a random pause while it has a task in hand."""
    dice, job, left = random.Random(seed), yard.submit(), times
    while True:
        name, pause_s = dice.choice(WORKERS), dice.uniform(0.0, 0.6)
        until(lambda: hit(yard, job, name) or yard.job_state(job) is JobState.SUCCEEDED, "a task in hand")  # noqa: B023
        time.sleep(pause_s)
        tasks = hit(yard, job, name)
        if tasks and left:
            kill(yard, name, what)
            began_s, left = time.monotonic(), left - 1
            row.injected += 1
            until(lambda: at_work_again(yard, job, tasks), "the task killed")  # noqa: B023
            row.recovery_s.append(time.monotonic() - began_s)
        if yard.job_state(job) is JobState.SUCCEEDED or not left:
            yard.finish(job)
            yard.await_parts(len(WORKERS))
            tally.prove(row, yard, job, reference)
            if not left:
                return
            job = yard.submit()


@pytest.mark.timeout(300)
def test_a_child_killed_at_random_costs_no_frame(yard: Yard, reference: Painted, tally: Tally) -> None:
    kill_at_random(yard, reference, tally, tally.row(f"worker: SIGKILL of {CHILD}", UNTIL), CHILD, 1, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("what", [CHILD, WHOLE, PARENT])
def test_workers_killed_at_random_cost_no_frame(yard: Yard, reference: Painted, tally: Tally, what: str) -> None:
    times = {CHILD: 20, WHOLE: 20, PARENT: 5}[what]
    kill_at_random(yard, reference, tally, tally.row(f"worker: SIGKILL of {what}", UNTIL), what, times, seed=1)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_of_two_executors_at_once_the_late_one_changes_nothing(yard: Yard, reference: Painted, tally: Tally) -> None:
    """The first stands still past its lease and the visibility timeout, and wakes up beside the second."""
    row = tally.row("two executors at once: SIGSTOP of a child past lease and visibility timeout", UNTIL)
    job = yard.submit()
    task = until(lambda: yard.running(job, Stage.STYLIZE), "a chunk at work")[0]
    before = yard.farm.ledger.task(job.name, task)
    name = before.worker.partition("@")[0]
    late = until(lambda: yard.painter_pid(name), "its process")
    os.kill(late, signal.SIGSTOP)
    began_s = time.monotonic()
    try:
        until(lambda: at_work_again(yard, job, {task: before.token}), "the second executor", 60)
        row.recovery_s.append(time.monotonic() - began_s)
        time.sleep(max(0.0, began_s + yard.settings.visibility_timeout_s + 1 - time.monotonic()))
        now = yard.farm.ledger.task(job.name, task)
        assert now.token != before.token
    finally:
        os.kill(late, signal.SIGCONT)
    yard.finish(job)
    until(lambda: "given back" in (yard.log_dir / f"{name}.log").read_text(), "the late one to notice", 60)
    assert yard.farm.ledger.task(job.name, task).token == now.token
    tally.prove(row, yard, job, reference, 1)


@pytest.mark.chaos
@pytest.mark.timeout(300)
def test_a_chunk_that_outlasts_the_visibility_timeout_is_painted_by_one(
    yard: Yard, reference: Painted, tally: Tally
) -> None:
    """Nobody stands still: the message comes again while its first executor works, and is dropped."""
    row = tally.row("a message redelivered while its task is at work")
    yard.proxy.on_stored = lambda key: time.sleep(2.5) if "/stylized/" in key else None
    try:
        job = yard.submit()
        yard.finish(job)
    finally:
        yard.proxy.on_stored = lambda _key: None
    logs = "".join((yard.log_dir / f"{name}.log").read_text() for name in WORKERS)
    dropped = [line for line in logs.splitlines() if "not mine to run" in line and job.name in line]
    assert dropped, "no message was redelivered"
    assert {item.attempt for item in yard.farm.ledger.tasks(job.name).values()} == {1}
    assert yard.painted_twice(job) == 0
    tally.prove(row, yard, job, reference, len(dropped))


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("what", ["stylized frame", "stylize manifest", "anchor", "anchor manifest", "blended frame"])
def test_a_report_lost_after_an_upload_costs_no_frame(yard: Yard, reference: Painted, tally: Tally, what: str) -> None:
    """The child is killed when the store has the object, before the child hears of it."""
    row = tally.row(f"report lost: SIGKILL once the store has the {what}", UNTIL)
    folder = {
        "stylized frame": "/stylized/", "stylize manifest": "/manifests/stylize/", "anchor": "/anchors/",
        "anchor manifest": "/manifests/anchor/", "blended frame": "/blended/",
    }[what]  # fmt: skip
    job, once, killed = yard.submit(hold=True), threading.Lock(), threading.Event()
    found: dict[TaskId, str] = {}

    def lose(key: str) -> None:
        if folder not in key or not key.startswith(keys.job_prefix(job.name)) or not once.acquire(blocking=False):
            return
        for name in WORKERS:
            for task, token in hit(yard, job, name).items():
                if _is_of(task, key):
                    found[task] = token
                    kill(yard, name, CHILD)
                    killed.set()

    yard.proxy.on_stored = lose
    try:
        job.resume()
        until(killed.is_set, "the upload")
        began_s = time.monotonic()
        until(lambda: at_work_again(yard, job, found), "the task killed")
        row.recovery_s.append(time.monotonic() - began_s)
        yard.finish(job)
    finally:
        yard.proxy.on_stored = lambda _key: None
    assert found
    tally.prove(row, yard, job, reference, 1)


def _is_of(task: TaskId, key: str) -> bool:
    """Whether the task stores that object."""
    number = int(key.rsplit("/", 1)[1].partition(".")[0])
    if "/manifests/" in key:
        return str(task) in key
    folder = {Stage.ANCHOR: "/anchors/", Stage.STYLIZE: "/stylized/", Stage.BLEND: "/blended/"}[task.stage]
    return folder in key and 0 <= number - task.start < 4
