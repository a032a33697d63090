"""One worker's faults and its queue, with real Celery processes and a real Redis; the painting is left out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from light_worker import DIES, DONE, FAILS, HANGS, SLOW, STOPS

from farm.broker import make_app, publish
from farm.contract.errors import InvalidParameter
from farm.contract.messages import Priority, Queue, Stage, TaskId, TaskMessage
from farm.contract.states import TaskState
from farm.ledger import JobRecord, TaskRecord
from farm.redis_ledger import RedisLedger
from farm.settings import Settings

JOB = "clip-0123456789"
NAME = "light@here"

pytestmark = pytest.mark.timeout(90)


class Bench:
    """A queue, its ledger, and the processes that take from it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.ledger = RedisLedger(settings.redis_url)
        self.app = make_app(settings, "test")
        self.workers: list[subprocess.Popen[bytes]] = []
        self.ledger.create_job(JobRecord(JOB, created_s=1.0))
        self.ledger.move_job(JOB, "planning")  # type: ignore[arg-type]

    def start_worker(self, name: str = NAME, *how: str) -> None:
        script = Path(__file__).parent.parent / "light_worker.py"
        environ = {**os.environ, **self.settings.environ(), "PYTHONPATH": os.pathsep.join(sys.path)}
        command = [sys.executable, str(script), name, *how]
        self.workers.append(subprocess.Popen(command, env=environ, start_new_session=True))

    def end(self) -> None:
        for worker in self.workers:
            worker.terminate()
        for worker in self.workers:
            try:
                worker.wait(15)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()

    def queue(self, start: int, priority: Priority = Priority.NORMAL, attempt: int = 1) -> TaskId:
        message = TaskMessage(JOB, Stage.STYLIZE, start, attempt)
        assert self.ledger.move_task(JOB, message.task, TaskState.QUEUED, attempt=attempt)
        publish(self.app, message, priority)
        return message.task

    def state(self, task: TaskId) -> TaskState:
        return self.ledger.task(JOB, task).state

    def until(self, task: TaskId, state: TaskState) -> TaskRecord:
        until(lambda: self.state(task) is state)
        return self.ledger.task(JOB, task)

    @property
    def pids(self) -> set[int]:
        """The pool processes that send heartbeats."""
        return {info.pid for info in self.ledger.workers()}


def until(ready: Callable[[], Any], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not ready():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[Bench]:
    settings = Settings(
        redis_url=redis_url, home=tmp_path, cache_dir=tmp_path, lease_s=2.0, quarantine_s=8.0, stuck_s=1.0
    )
    one = Bench(settings)
    yield one
    one.end()


def test_high_goes_before_normal_before_low_whatever_came_first(bench: Bench) -> None:
    order = [Priority.LOW, Priority.NORMAL, Priority.HIGH, Priority.LOW, Priority.HIGH, Priority.NORMAL]
    tasks = {bench.queue(DONE + number, priority): priority for number, priority in enumerate(order)}
    assert bench.ledger.queued(Queue.STYLIZE) == {f"{JOB}/{task}/1" for task in tasks}
    bench.start_worker()
    until(lambda: all(bench.state(task) is TaskState.SUCCEEDED for task in tasks))
    records = bench.ledger.tasks(JOB)
    done = sorted(tasks, key=lambda task: records[task].since_s)
    assert [(tasks[task], task.start) for task in done] == [
        (Priority.HIGH, 2), (Priority.HIGH, 4), (Priority.NORMAL, 1), (Priority.NORMAL, 5),
        (Priority.LOW, 0), (Priority.LOW, 3),
    ]  # fmt: skip


def test_a_worker_on_which_three_tasks_failed_takes_no_more_until_its_time_is_over(bench: Bench) -> None:
    bench.start_worker()
    for number in range(3):
        bench.until(bench.queue(FAILS + number), TaskState.RETRYING)
    until(lambda: [info.quarantine for info in bench.ledger.workers() if "this task is broken" in info.quarantine])
    until_s = bench.ledger.health(NAME).until_s
    until(lambda: time.time() > until_s - 2.5)  # the warden looked
    waiting = bench.queue(DONE)
    record = bench.until(waiting, TaskState.SUCCEEDED)
    assert record.since_s >= until_s
    until(lambda: not any(info.quarantine for info in bench.ledger.workers()))


def test_a_task_that_hangs_is_given_up_and_the_worker_goes_on(bench: Bench) -> None:
    bench.start_worker()
    record = bench.until(bench.queue(HANGS), TaskState.RETRYING)
    assert record.error.startswith("no sign of life for")
    assert record.failed_on == (NAME,)
    bench.until(bench.queue(DONE), TaskState.SUCCEEDED)


def test_a_process_that_stopped_altogether_is_ended(bench: Bench) -> None:
    bench.settings = replace(bench.settings, stuck_s=60.0)
    bench.start_worker()
    task = bench.queue(STOPS)
    until(lambda: bench.ledger.leased(JOB, [task]))
    until(lambda: not bench.ledger.leased(JOB, [task]))  # nobody renews it
    assert bench.state(task) is TaskState.RUNNING  # the coordinator's sweep counts it as an attempt
    bench.until(bench.queue(DONE), TaskState.SUCCEEDED)


def test_a_process_that_dies_is_replaced(bench: Bench) -> None:
    bench.settings = replace(bench.settings, stuck_s=60.0)  # its next task is silent for a second
    bench.start_worker()
    until(lambda: bench.pids)
    before = bench.pids
    bench.queue(DIES)
    bench.until(bench.queue(SLOW), TaskState.SUCCEEDED)
    until(lambda: bench.pids and not bench.pids & before)


DIES_LOOKING = """
import os, signal
from kombu.transport.redis import Mutex
from farm.broker import make_app
from farm.settings import Settings
app = make_app(Settings.load())
with app.connection_for_read() as connection:
    channel = connection.default_channel
    assert app.amqp.queues["stylize"].bind(channel).get(no_ack=False)
    with Mutex(channel.client, channel.unacked_mutex_key, channel.unacked_mutex_expire):
        os.kill(os.getpid(), signal.SIGKILL)
"""
"""A worker's parent that dies with a message in hand while it looks for messages of the dead."""


def test_what_a_worker_had_in_hand_comes_back_though_it_died_while_it_looked_for_such_messages(bench: Bench) -> None:
    bench.settings = replace(bench.settings, visibility_timeout_s=2)
    task = bench.queue(DONE)
    environ = {**os.environ, **bench.settings.environ(), "PYTHONPATH": os.pathsep.join(sys.path)}
    died = subprocess.run([sys.executable, "-c", DIES_LOOKING], env=environ, timeout=30, check=False)
    assert died.returncode == -signal.SIGKILL
    assert bench.ledger.queued(Queue.STYLIZE) == set()
    bench.start_worker()
    bench.until(task, TaskState.SUCCEEDED)


@pytest.mark.parametrize("tell", [os.kill, os.killpg])
def test_a_task_that_does_not_listen_is_handed_back_within_the_grace_and_the_worker_ends(
    bench: Bench, tell: Callable[[int, int], None]
) -> None:
    """Also where SIGTERM comes to the parent and to the process that does the work, in one moment."""
    bench.settings = replace(bench.settings, stuck_s=60.0, grace_s=1.0)
    bench.start_worker()
    task = bench.queue(HANGS)
    until(lambda: bench.ledger.leased(JOB, [task]) and bench.pids)
    (child,) = bench.pids
    tell(bench.workers[0].pid, signal.SIGTERM)
    bench.workers[0].wait(bench.settings.grace_s + 10)
    until(lambda: not psutil.pid_exists(child), 1.0)
    record = bench.ledger.task(JOB, task)
    assert (record.state, record.attempt, record.failed_on, record.error) == (TaskState.WAITING, 1, (), "")
    assert bench.ledger.leased(JOB, [task]) == set()
    assert bench.ledger.health(NAME).failed == ()


def test_a_worker_without_its_device_ends_with_one_line_and_takes_no_task(bench: Bench) -> None:
    """Celery by itself would go on, and answer every task with an error."""
    task = bench.queue(DONE)
    environ = {**os.environ, **replace(bench.settings, device="cuda:99").environ()}
    environ |= {"PYTHONPATH": os.pathsep.join(sys.path), "FARM_WORKER_NAME": "blind"}
    ended = subprocess.run(
        [sys.executable, "-m", "worker"], env=environ, capture_output=True, text=True, timeout=80, check=False
    )
    assert ended.returncode == InvalidParameter.exit_code
    (line,) = [line for line in ended.stderr.splitlines() if " critical " in line]
    assert "can't paint, and ends: FARM_DEVICE=cuda:99: " in line
    assert "Traceback" not in ended.stderr
    assert bench.state(task) is TaskState.QUEUED
    bench.start_worker()
    bench.until(task, TaskState.SUCCEEDED)
