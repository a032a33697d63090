"""Uploads held back between the store and the worker that waits for their answer: work that is surely under way."""

from __future__ import annotations

import threading

from farm.contract import keys
from farm.job import Job


class Held:
    """A job's painted frames that the store has, but whose uploads get no answer before `free` is called.

    For a `FaultProxy`'s `on_stored`. The first few may pass. A chunk has one upload under way, and goes one frame on
    beside it at the most.
    """

    LIMIT_S = 60.0

    def __init__(self, job: Job, passed: int = 0) -> None:
        self.waiting = 0
        self._left = passed
        self._prefix = f"{keys.job_prefix(job.name)}stylized/"
        self._counting = threading.Lock()
        self._freed = threading.Event()

    def __call__(self, key: str) -> None:
        if not key.startswith(self._prefix) or self._freed.is_set():
            return
        with self._counting:
            self._left -= 1
            if self._left >= 0:
                return
            self.waiting += 1
        self._freed.wait(self.LIMIT_S)

    def free(self) -> None:
        """Let all go, from now on."""
        self._freed.set()
