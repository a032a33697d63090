"""Keeping a lease while the work runs, and noticing what should stop the work: a thread beside it.

The work is stuck where it shows no sign of life (an optimisation step or a frame) for ten of its own median frame
times, and `stuck_s` at least. It can't be reasoned with then: its attempt ends as failed, and the process with it.

Work that goes on for `grace_s` after its process was told to end does not listen either. Its task goes back, which is
no failure, and the process ends: whoever sent SIGTERM will not wait much longer.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable

from farm.contract.errors import FarmError, Interrupted, JobCanceled, JobPaused, LeaseLost, ShuttingDown
from farm.contract.states import JOB_LIVE, JobState
from farm.ledger import Lease, Ledger

log = logging.getLogger(__name__)

STUCK_FRAMES = 10
"""So many median frame times without a sign of life are too many."""


class LifeSigns:
    """When the work last moved, and how long its frames take. Written by the work, read by the keeper's thread."""

    def __init__(self) -> None:
        self._moved_at = self._frame_at = time.monotonic()
        self._frame_times_s: deque[float] = deque(maxlen=64)
        self.allowance_s = 0.0  # no silence shorter than this counts, for a step that is known to be long

    def step(self) -> None:
        """The work moved."""
        self._moved_at = time.monotonic()

    def frame(self) -> None:
        """A frame was done."""
        self._moved_at = time.monotonic()
        self._frame_times_s.append(self._moved_at - self._frame_at)
        self._frame_at = self._moved_at

    @property
    def silent_s(self) -> float:
        """Seconds since the work last moved."""
        return time.monotonic() - self._moved_at

    def patience_s(self, floor_s: float) -> float:
        """How long a silence is still no reason to worry."""
        times_s = list(self._frame_times_s)
        frames_s = STUCK_FRAMES * statistics.median(times_s) if times_s else 0.0
        return max(floor_s, frames_s, self.allowance_s)


class LeaseKeeper:
    """Renews a lease from a thread, and watches for what should stop the work."""

    POLL_S = 0.5

    def __init__(
        self,
        ledger: Ledger,
        lease: Lease,
        lease_s: float,
        shutting_down: Callable[[], bool],
        stuck_s: float = 0.0,
        on_stuck: Callable[[float], None] | None = None,
        grace_s: float = 0.0,
        on_overdue: Callable[[], None] | None = None,
    ) -> None:
        self.signs = LifeSigns()
        self._ledger = ledger
        self._lease = lease
        self._lease_s = lease_s
        self._shutting_down = shutting_down
        self._stuck_s = stuck_s
        self._on_stuck = on_stuck  # called once with the seconds of silence
        self._grace_s = grace_s
        self._on_overdue = on_overdue  # called once
        self._told_to_end_at: float | None = None
        self._reason: Interrupted | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name=f"lease-{lease.task}", daemon=True)

    def __enter__(self) -> LeaseKeeper:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._ended.set()
        self._thread.join(timeout=10)

    def check(self) -> None:
        """Note a sign of life, and raise what should stop the work, if anything does."""
        self.signs.step()
        if self._reason is not None:
            raise self._reason

    def _keep(self) -> None:
        renew_at = time.monotonic() + self._lease_s / 3
        while not self._ended.wait(min(self.POLL_S, self._lease_s / 6)):
            if self._give_up_stuck() or self._give_up_overdue():
                return
            try:
                self._reason = self._reason or self._stop_reason()
                if time.monotonic() >= renew_at and not isinstance(self._reason, LeaseLost):
                    if not self._ledger.renew(self._lease, self._lease_s):
                        self._reason = LeaseLost(f"the lease of {self._lease.task} is another's now")
                    renew_at = time.monotonic() + self._lease_s / 3
            except FarmError as error:  # nobody else can take the task while Redis is away: go on, and renew after
                log.warning("can't reach the ledger: %s", error)

    def _give_up_stuck(self) -> bool:
        silent_s = self.signs.silent_s
        if not self._stuck_s or self._on_stuck is None or silent_s <= self.signs.patience_s(self._stuck_s):
            return False
        self._reason = LeaseLost(f"{self._lease.task} was given up after {silent_s:.0f} s without a sign of life")
        self._on_stuck(silent_s)
        return True

    def _give_up_overdue(self) -> bool:
        if self._on_overdue is None or not self._shutting_down():
            return False
        if self._told_to_end_at is None:
            self._told_to_end_at = time.monotonic()
        if time.monotonic() - self._told_to_end_at <= self._grace_s:
            return False
        self._on_overdue()
        return True

    def _stop_reason(self) -> Interrupted | None:
        if self._shutting_down():
            return ShuttingDown("this worker was asked to end")
        record = self._ledger.job(self._lease.job)
        if record is None:
            return LeaseLost(f"the ledger forgot {self._lease.job}")
        if record.state in JOB_LIVE:
            return None
        if record.state in (JobState.PAUSING, JobState.PAUSED):
            return JobPaused(f"{record.job} is {record.state}")
        return JobCanceled(f"{record.job} is {record.state}")
