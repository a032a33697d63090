"""One attempt at one task, on either side of the farm: claim, keep the lease, do the work, leave the manifest.

The work itself is a function of a `Run`; it knows no lease, no queue and no retries. What ends it:

    it returns an Outcome     -> manifest into the store, task `succeeded`
    Interrupted               -> the task goes back; no attempt is used up
    a PermanentError          -> task `failed`, and its job with it
    anything else             -> `retrying`, or `failed` after the last attempt

Every end asks a coordinator to look at the job.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.errors import (
    FarmError,
    Interrupted,
    JobCanceled,
    JobPaused,
    LeaseLost,
    PermanentError,
    RetryableError,
    ShuttingDown,
    WeightsMismatch,
)
from farm.contract.messages import FrameRecord, Manifest, TaskMessage
from farm.contract.plan import Plan
from farm.contract.spec import Spec
from farm.contract.states import JOB_LIVE, JobState, TaskState
from farm.ledger import Lease, Ledger
from farm.settings import Settings
from farm.store import Store

log = logging.getLogger(__name__)

RETRY_BASE_S = 2.0
"""An attempt that failed is tried again after this long, then twice as long, and so on."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a work function leaves for the manifest."""

    frames: tuple[FrameRecord, ...] = ()
    device: str = "cpu"
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Executor:
    """Runs attempts for one process."""

    settings: Settings
    store: Store
    ledger: Ledger
    worker: str  # this process's name
    notify: Callable[[str], None]  # asks a coordinator to look at a job
    shutting_down: Callable[[], bool] = lambda: False

    def execute(self, message: TaskMessage, work: Callable[[Run], Outcome]) -> bool:
        """Make one attempt; whether this process had the lease. Errors of the work end in the ledger, not here."""
        lease = self.ledger.claim(message, self.worker, self.settings.lease_s)
        if lease is None:
            log.info("not mine to run", extra=_facts(message))
            return False
        try:
            self._attempt(message, lease, work)
        except Interrupted as stop:
            self._give_back(lease, stop)
        except Exception as error:
            self._fail(lease, error)
        self.notify(message.job)
        return True

    def _attempt(self, message: TaskMessage, lease: Lease, work: Callable[[Run], Outcome]) -> None:
        started_s = time.time()
        with LeaseKeeper(self, lease) as keeper:
            run = Run(message, self.store, self.ledger, keeper.check)
            outcome = work(run)
            keeper.check()
            manifest = Manifest(
                job=message.job,
                stage=message.stage,
                start=message.start,
                attempt=message.attempt,
                worker=self.worker,
                device=outcome.device,
                started_s=started_s,
                finished_s=time.time(),
                frames=outcome.frames,
                timings_s=dict(run.timings_s),
                versions=outcome.versions,
            )
            self.store.put_once(keys.manifest(message.job, message.task), to_json(manifest), "application/json")
        if not self.ledger.settle(lease, TaskState.SUCCEEDED, error=""):
            raise LeaseLost(f"the lease of {lease.task} ended while its manifest was written", task=str(lease.task))
        log.info("done in %.1f s", time.time() - started_s, extra=_facts(message))

    def _give_back(self, lease: Lease, stop: Interrupted) -> None:
        after = TaskState.CANCELED if isinstance(stop, JobCanceled) else TaskState.WAITING
        self.ledger.settle(lease, after)
        log.info("given back: %s", stop, extra=_facts(lease))

    def _fail(self, lease: Lease, error: Exception) -> None:
        why = str(error) if isinstance(error, FarmError) else f"{type(error).__name__}: {error}"
        why = why.splitlines()[0][:500]
        # A worker with other weights is wrong for this task; the task is not wrong.
        final = isinstance(error, PermanentError) and not isinstance(error, WeightsMismatch)
        if final or lease.attempt >= self.settings.max_attempts:
            self.ledger.settle(lease, TaskState.FAILED, error=why)
        else:
            retry_at_s = time.time() + RETRY_BASE_S * 2 ** (lease.attempt - 1)
            self.ledger.settle(lease, TaskState.RETRYING, error=why, retry_at_s=retry_at_s)
        expected = isinstance(error, PermanentError | RetryableError)
        log.error("attempt failed: %s", why, exc_info=None if expected else error, extra=_facts(lease))


class Run:
    """What a work function may use."""

    def __init__(self, message: TaskMessage, store: Store, ledger: Ledger, check: Callable[[], None]) -> None:
        self.message = message
        self.store = store
        self.timings_s: defaultdict[str, float] = defaultdict(float)
        self._ledger = ledger
        self._check = check

    @property
    def job(self) -> str:
        """The job's name."""
        return self.message.job

    @cached_property
    def spec(self) -> Spec:
        """The job's spec."""
        return from_json(Spec, self.store.get(keys.spec(self.job)))

    @cached_property
    def plan(self) -> Plan:
        """The job's plan."""
        return from_json(Plan, self.store.get(keys.plan(self.job)))

    def check(self) -> None:
        """Raise Interrupted if the work is to stop. Costs nothing: call it at every optimisation step."""
        self._check()

    def progress(self, frames: int) -> None:
        """So many frames of the task are done."""
        self._ledger.progress(self.job, self.message.task, frames)

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the manifest's timings."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            self.timings_s[name] += time.perf_counter() - start_s


class LeaseKeeper:
    """Renews a lease from a thread, and watches for what should stop the work."""

    POLL_S = 0.5

    def __init__(self, executor: Executor, lease: Lease) -> None:
        self._executor = executor
        self._lease = lease
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
        """Raise what should stop the work, if anything does."""
        if self._reason is not None:
            raise self._reason

    def _keep(self) -> None:
        lease_s = self._executor.settings.lease_s
        held_until = time.monotonic() + lease_s
        renew_at = time.monotonic() + lease_s / 3
        while not self._ended.wait(min(self.POLL_S, lease_s / 6)) and self._reason is None:
            try:
                self._reason = self._stop_reason()
                if self._reason is None and time.monotonic() >= renew_at:
                    if not self._executor.ledger.renew(self._lease, lease_s):
                        self._reason = LeaseLost(f"the lease of {self._lease.task} is another's now")
                    held_until = time.monotonic() + lease_s
                    renew_at = time.monotonic() + lease_s / 3
            except FarmError as error:  # Redis is away for a moment: the lease may outlast that
                log.warning("can't reach the ledger: %s", error, extra=_facts(self._lease))
                if time.monotonic() >= held_until:
                    self._reason = LeaseLost(f"the lease of {self._lease.task} ran out while Redis was away")

    def _stop_reason(self) -> Interrupted | None:
        if self._executor.shutting_down():
            return ShuttingDown("this worker was asked to end")
        record = self._executor.ledger.job(self._lease.job)
        if record is None:
            return LeaseLost(f"the ledger forgot {self._lease.job}")
        if record.state in JOB_LIVE:
            return None
        if record.state in (JobState.PAUSING, JobState.PAUSED):
            return JobPaused(f"{record.job} is {record.state}")
        return JobCanceled(f"{record.job} is {record.state}")


def _facts(item: TaskMessage | Lease) -> dict[str, object]:
    return {"job": item.job, "task": str(item.task), "attempt": item.attempt}
