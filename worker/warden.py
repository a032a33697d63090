"""What a worker's parent process watches over: whether to take tasks, and whether its pool process still lives.

A worker in quarantine stops asking the queues for tasks, and asks again when the quarantine is over. A pool process
that hangs where not even its threads run (a driver that holds the interpreter, a stopped process) is ended; Celery
starts a new one, and the task's lease runs out.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from contextlib import suppress
from typing import Any

from farm.contract.errors import FarmError
from farm.ledger import Ledger

log = logging.getLogger(__name__)

LOOK_S = 2.0
HUNG_S = 30.0
HUNG_LOOKS = 3
"""So many looks in a row must find the pool process hung: after a pause of the whole machine the first is wrong."""


class Pulse:
    """The pool process's pulse in shared memory, beaten by a thread there. Made before the fork."""

    BEAT_S = 1.0

    def __init__(self) -> None:
        # Process id and time.monotonic() of the last beat; that clock is the machine's, not the process's.
        self._shared = multiprocessing.get_context("fork").RawArray("d", 2)

    def start(self) -> None:
        """In the pool process: begin to beat."""
        self.beat()
        threading.Thread(target=self._run, name="pulse", daemon=True).start()

    def beat(self) -> None:
        """Beat once."""
        self._shared[:] = [float(os.getpid()), time.monotonic()]

    @property
    def pid(self) -> int:
        """The process that beat last; 0 before the first beat."""
        return int(self._shared[0])

    @property
    def silent_s(self) -> float:
        """Seconds since the last beat."""
        return time.monotonic() - float(self._shared[1])

    def _run(self) -> None:
        while True:
            time.sleep(self.BEAT_S)
            self.beat()


class Warden:
    """The parent's thread. `consumer` is Celery's, from its signal `worker_ready`."""

    def __init__(
        self, ledger: Ledger, worker: str, queues: tuple[str, ...], pulse: Pulse, hung_s: float = HUNG_S
    ) -> None:
        self._ledger = ledger
        self._worker = worker
        self._queues = queues
        self._pulse = pulse
        self._hung_s = hung_s
        self._consuming = True
        self._hung_looks = 0
        self._ended = threading.Event()

    def start(self, consumer: Any) -> None:
        """Begin; a second call changes nothing."""
        if not hasattr(self, "_thread"):
            self._thread = threading.Thread(target=self._run, args=(consumer,), name="warden", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End, within a moment."""
        self._ended.set()

    def look(self, consumer: Any) -> None:
        """Look once."""
        self._end_hung(consumer)
        try:
            why = self._ledger.health(self._worker).quarantine(time.time())
        except FarmError:  # Redis is away: no task comes from there either
            return
        if bool(why) == self._consuming:
            log.warning("takes no tasks: %s", why) if why else log.info("takes tasks again")
            consumer.call_soon(self._set_consuming, consumer, not why)

    def _run(self, consumer: Any) -> None:
        while not self._ended.wait(LOOK_S):
            self.look(consumer)

    def _set_consuming(self, consumer: Any, wanted: bool) -> None:
        """Runs in Celery's own loop: its consumers belong to it."""
        with suppress(AttributeError):  # the connection to Redis is being made anew: at the next look
            for queue in self._queues:
                (consumer.add_task_queue if wanted else consumer.cancel_task_queue)(queue)
            self._consuming = wanted

    def _end_hung(self, consumer: Any) -> None:
        pid = self._pulse.pid
        hung = pid in _pool_pids(consumer) and self._pulse.silent_s > self._hung_s
        self._hung_looks = self._hung_looks + 1 if hung else 0
        if self._hung_looks >= HUNG_LOOKS:
            log.error("pool process %d has shown no pulse for %.0f s: ending it", pid, self._pulse.silent_s)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            self._hung_looks = 0


def _pool_pids(consumer: Any) -> list[int]:
    return list(consumer.pool.info.get("processes", ()))
