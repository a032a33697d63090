"""A thread by which a process tells the ledger that it is alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from farm.contract.errors import FarmError
from farm.ledger import Ledger, WorkerInfo

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
TTL_S = 15.0


class Heartbeat:
    """Sends `info()` every 2 s until stopped; the ledger forgets a worker after 15 s of silence."""

    def __init__(self, ledger: Ledger, info: Callable[[], WorkerInfo]) -> None:
        self._ledger = ledger
        self._info = info
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Send the first heartbeat, then go on in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread and say goodbye."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        try:
            self._ledger.forget_worker(self._info().name)
        except FarmError as error:
            log.info("no goodbye: %s", error)

    def _beat(self) -> None:
        while True:
            try:
                self._ledger.heartbeat(self._info(), TTL_S)
            except FarmError as error:
                log.warning("no heartbeat: %s", error)
            if self._ended.wait(HEARTBEAT_S):
                return
