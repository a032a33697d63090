"""What the parent does about a quarantine and about a pool process without a pulse; its Celery consumer is a fake."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from farm.contract.errors import LedgerUnavailable
from farm.ledger import WorkerHealth
from farm.testing import MemoryLedger
from worker.warden import HUNG_LOOKS, HUNG_S, Pulse, Warden

NAME = "worker@here"
QUEUES = ("stylize", "blend")


class Consumer:
    """Celery's, as the warden knows it: `loop` runs what it was asked to call soon."""

    def __init__(self) -> None:
        self.pool = SimpleNamespace(info={"processes": []})
        self.queues = set(QUEUES)
        self.soon: list[Callable[[], object]] = []
        self.is_connected = True

    def call_soon(self, call: Callable[..., object], *args: object) -> None:
        self.soon.append(lambda: call(*args))

    def loop(self) -> None:
        asked, self.soon = self.soon, []
        for call in asked:
            call()

    def add_task_queue(self, queue: str) -> None:
        self._connected()
        self.queues.add(queue)

    def cancel_task_queue(self, queue: str) -> None:
        self._connected()
        self.queues.discard(queue)

    def _connected(self) -> None:
        if not self.is_connected:
            raise AttributeError("'NoneType' object has no attribute 'cancel_by_queue'")


class Watch:
    """A warden, and what it looks at."""

    def __init__(self, pid: int) -> None:
        self.ledger, self.consumer, self.pulse = MemoryLedger(), Consumer(), Pulse()
        self.warden = Warden(self.ledger, NAME, QUEUES, self.pulse)
        self.consumer.pool.info["processes"] = [pid]
        self.silent(pid, 0.0)

    def silent(self, pid: int, silent_s: float) -> None:
        self.pulse._shared[:] = [float(pid), time.monotonic() - silent_s]

    def look(self, times: int = 1) -> None:
        for _ in range(times):
            self.warden.look(self.consumer)

    def quarantine(self, until_s: float) -> None:
        self.ledger.set_health(NAME, WorkerHealth(("a", "b", "c"), "the device is broken", until_s))


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A pool process."""
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


@pytest.fixture
def watch(child: subprocess.Popen[bytes]) -> Watch:
    return Watch(child.pid)


def test_a_process_found_without_a_pulse_at_three_looks_in_a_row_is_ended(
    watch: Watch, child: subprocess.Popen[bytes]
) -> None:
    watch.silent(child.pid, HUNG_S + 1)
    watch.look(HUNG_LOOKS - 1)
    watch.silent(child.pid, 0.0)  # it was the machine that paused
    watch.look()
    watch.silent(child.pid, HUNG_S + 1)
    watch.look(HUNG_LOOKS - 1)
    time.sleep(0.1)
    assert child.poll() is None
    watch.look()
    assert child.wait(10) == -signal.SIGKILL


def test_a_process_that_is_none_of_the_pools_is_left_alone(watch: Watch, child: subprocess.Popen[bytes]) -> None:
    watch.silent(child.pid, HUNG_S + 1)
    watch.consumer.pool.info["processes"] = [child.pid + 1]  # one that has not beaten yet
    watch.look(2 * HUNG_LOOKS)
    time.sleep(0.1)
    assert child.poll() is None


def test_the_queues_are_left_in_quarantine_and_come_back_after_it_by_celerys_own_loop(watch: Watch) -> None:
    watch.look()
    assert watch.consumer.soon == []
    watch.quarantine(time.time() + 600)
    watch.look()
    assert watch.consumer.queues == set(QUEUES)  # not by the warden's thread
    watch.consumer.loop()
    assert watch.consumer.queues == set()
    watch.look()
    assert watch.consumer.soon == []
    watch.quarantine(time.time() - 1)
    watch.look()
    watch.consumer.loop()
    assert watch.consumer.queues == set(QUEUES)


def test_a_quarantine_that_came_while_celery_was_without_a_connection_holds_once_it_has_one(watch: Watch) -> None:
    watch.quarantine(time.time() + 600)
    watch.consumer.is_connected = False
    watch.look()
    watch.consumer.loop()
    watch.consumer.is_connected = True
    watch.look()
    watch.consumer.loop()
    assert watch.consumer.queues == set()


@pytest.mark.parametrize("in_quarantine", [True, False])
def test_a_redis_that_is_away_changes_nothing(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, in_quarantine: bool
) -> None:
    if in_quarantine:
        watch.quarantine(time.time() + 600)
    watch.look()
    watch.consumer.loop()
    before = set(watch.consumer.queues)

    def gone(_worker: str) -> Any:
        raise LedgerUnavailable("Redis is away")

    monkeypatch.setattr(watch.ledger, "health", gone)
    watch.look(2)
    assert watch.consumer.soon == []
    assert watch.consumer.queues == before
