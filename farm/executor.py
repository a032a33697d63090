"""One attempt at one task, on either side of the farm: claim, keep the lease, do the work, leave the manifest.

The work itself is a function of a `Run`; it knows no lease, no queue and no retries. What ends it:

    it returns an Outcome     -> manifest into the store, task `succeeded`
    Interrupted               -> the task goes back; no attempt is used up
    the store or Redis away   -> the task goes back for a while; no attempt is used up
    FrameDamaged              -> the task goes back until the frame is made again; not without end
    a PermanentError          -> task `failed`
    anything else             -> `retrying`, on another worker first, or `failed` after the last attempt
    no sign of life           -> the same, and this process ends
    SIGTERM, and it goes on   -> the task goes back, and this process ends; no attempt is used up

Every end leaves the attempt's log lines in the store and asks a coordinator to look at the job.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from threading import Lock

from farm import retries
from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.errors import (
    FarmError,
    FrameDamaged,
    Interrupted,
    JobCanceled,
    LeaseLost,
    LedgerUnavailable,
    PermanentError,
    RetryableError,
    ShuttingDown,
    StoreUnavailable,
    TaskStuck,
)
from farm.contract.messages import STAGE_QUEUE, FrameRecord, Manifest, TaskMessage
from farm.contract.plan import Plan
from farm.contract.spec import Spec
from farm.contract.states import TaskState
from farm.lease import LeaseKeeper, LifeSigns
from farm.ledger import Lease, Ledger, TaskRecord, WorkerHealth
from farm.settings import Settings
from farm.store import Store
from farm.tasklog import TaskLog
from farm.video import FrameIndex

log = logging.getLogger(__name__)

HAND_BACK_S = 1.0
"""A task left to other workers is queued again after this long, by the next sweep."""

QUARANTINE_FAILURES = 3
"""So many different tasks that fail on a worker in a row put it in quarantine."""

KEPT_JOBS = 4
"""So many jobs' specs, plans and indexes are kept by a process."""

STORE_WAIT_S = 60.0
"""A worker that can't reach the store takes no other task for this long, unless the store answers before."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a work function leaves for the manifest."""

    frames: tuple[FrameRecord, ...] = ()
    device: str = "cpu"
    versions: dict[str, str] = field(default_factory=dict)
    peak_memory_bytes: int = 0  # the most its device's memory held; 0: not measured


@dataclass(frozen=True)
class Executor:
    """Runs attempts for one process."""

    settings: Settings
    store: Store
    ledger: Ledger
    worker: str  # this process's name
    notify: Callable[[TaskMessage], None]  # tells a coordinator that an attempt ended
    shutting_down: Callable[[], bool] = lambda: False
    is_worker: bool = False  # failures count against it
    watched: bool = False  # its tasks must show signs of life, and what goes on after SIGTERM goes back: as a worker's
    end_process: Callable[[], None] = lambda: None  # where its task is stuck, or goes on after SIGTERM

    def execute(self, message: TaskMessage, work: Callable[[Run], Outcome]) -> bool:
        """Make one attempt; whether this process had the lease. Errors of the work end in the ledger, not here."""
        record = self.ledger.task(message.job, message.task)
        if self._declined(message, record):
            return False
        lease = self.ledger.claim(message, self.worker, self.settings.lease_s)
        if lease is None:
            log.info("not mine to run", extra=_facts(message))
            return False
        with TaskLog(f"attempt {lease.attempt} at {lease.task} on {self.worker}") as lines:
            self._make_attempt(_Attempt(message, lease, record, lines), work)
        self._leave_log(lease, lines)
        self._notify(message)
        return True

    @cached_property
    def _documents(self) -> Documents:
        return Documents(self.store)

    def quarantine(self) -> str:
        """Why this worker takes no task at present; empty where it does."""
        return self.ledger.health(self.worker).quarantine(time.time()) if self.is_worker else ""

    def _declined(self, message: TaskMessage, record: TaskRecord) -> bool:
        """Hand the task back where this worker is in quarantine, or another one should try it first."""
        queue, now_s = STAGE_QUEUE[message.stage], time.time()
        if self.quarantine():
            why = "this worker is in quarantine"
        elif self.worker in record.failed_on and (
            others := retries.left_to_others(
                record, self.worker, queue, self.ledger.workers(), now_s, self.settings.elsewhere_s
            )
        ):
            why = f"it failed here before, and is left to {', '.join(others)}"
        else:
            return False
        self.ledger.move_task(
            message.job, message.task, TaskState.WAITING, before=(TaskState.QUEUED,), retry_at_s=now_s + HAND_BACK_S
        )
        log.info("handed back: %s", why, extra=_facts(message))
        return True

    def _make_attempt(self, attempt: _Attempt, work: Callable[[Run], Outcome]) -> None:
        try:
            self._work(attempt, work)
        except Interrupted as stop:
            self._give_back(attempt.lease, stop)
        except FrameDamaged as error:
            self._await_frame(attempt, error)
        except Exception as error:
            self._fail(attempt, error)

    def _work(self, attempt: _Attempt, work: Callable[[Run], Outcome]) -> None:
        message, lease, settings = attempt.message, attempt.lease, self.settings
        started_s = time.time()
        stuck_s = settings.stuck_s if self.is_worker or self.watched else 0.0
        with LeaseKeeper(
            self.ledger, lease, settings.lease_s, self.shutting_down, stuck_s,
            on_stuck=lambda silent_s: self._end_stuck(attempt, silent_s), grace_s=settings.grace_s,
            on_overdue=(lambda: self._end_overdue(lease)) if self.is_worker or self.watched else None,
        ) as keeper:  # fmt: skip
            run = Run(message, self.store, self.ledger, keeper.check, keeper.signs, self._documents)
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
                peak_memory_bytes=outcome.peak_memory_bytes,
            )
            self.store.put_once(keys.manifest(message.job, message.task), to_json(manifest), "application/json")
        if not self._settle(lease, TaskState.SUCCEEDED, error="", damaged=()):
            raise LeaseLost(f"the lease of {lease.task} ended while its manifest was written", task=str(lease.task))
        self._note_health(None, "")
        log.info("done in %.1f s", time.time() - started_s, extra=_facts(message))

    def _give_back(self, lease: Lease, stop: Interrupted) -> None:
        after = TaskState.CANCELED if isinstance(stop, JobCanceled) else TaskState.WAITING
        self._settle(lease, after)
        log.info("given back: %s", stop, extra=_facts(lease))

    def _await_frame(self, attempt: _Attempt, error: FrameDamaged) -> None:
        """Not this attempt's fault: a coordinator sees to it that the frame is made again."""
        why, found = retries.reason(error), retries.damaged(attempt.record, error)
        times = found.count(found[-1])
        log.error("can't go on: %s", why, extra=_facts(attempt.lease))
        if times < retries.DAMAGED_TIMES:
            self._settle(attempt.lease, TaskState.WAITING, error=why, damaged=found)
        else:
            self._settle(attempt.lease, TaskState.FAILED, error=f"{why}, found so {times} times", damaged=())

    def _fail(self, attempt: _Attempt, error: Exception) -> None:
        lease, verdict, why = attempt.lease, retries.verdict(error), retries.reason(error)
        expected = isinstance(error, PermanentError | RetryableError)
        log.error("attempt failed: %s", why, exc_info=None if expected else error, extra=_facts(lease))
        now_s = time.time()
        changes = {"error": why, "failed_on": retries.failed_on(attempt.record, self.worker), "failed_s": now_s}
        if not verdict.uses_attempt:
            self._settle(lease, TaskState.WAITING, retry_at_s=now_s + retries.SERVICE_PAUSE_S, **changes)
        elif verdict.final or lease.attempt >= self.settings.max_attempts:
            self._settle(lease, TaskState.FAILED, **changes)
        else:
            retry_at_s = now_s + retries.retry_delay_s(lease.attempt)
            self._settle(lease, TaskState.RETRYING, retry_at_s=retry_at_s, **changes)
        if verdict.blames_worker:
            self._note_health(lease, why)
        if isinstance(error, StoreUnavailable):
            self._await_store()

    def _end_stuck(self, attempt: _Attempt, silent_s: float) -> None:
        """Runs in the keeper's thread: the work itself can't be reached."""
        task = attempt.lease.task
        error = TaskStuck(f"no sign of life for {silent_s:.0f} s on {self.worker}", task=str(task), silent_s=silent_s)
        self._fail(attempt, error)
        self._leave_log(attempt.lease, attempt.lines)
        self._notify(attempt.message)
        self.end_process()

    def _end_overdue(self, lease: Lease) -> None:
        """Runs in the keeper's thread. Neither log lines nor a message: either may be what the work waits for."""
        self._give_back(lease, ShuttingDown(f"the work went on for {self.settings.grace_s:.0f} s after SIGTERM"))
        self.end_process()

    def _note_health(self, lease: Lease | None, why: str) -> None:
        """A task failed on this worker, or, without one, succeeded."""
        if not self.is_worker:
            return
        with suppress(LedgerUnavailable):
            before = self.ledger.health(self.worker)
            after = WorkerHealth() if lease is None else _after_failure(before, lease, why, self.settings.quarantine_s)
            if lease is not None and after.quarantine(time.time()) and self._is_the_jobs(after, lease.job):
                return
            if after != before:
                self.ledger.set_health(self.worker, after)
            if reason := after.quarantine(time.time()):
                log.error("in quarantine for %.0f s: %s", self.settings.quarantine_s, reason)

    def _is_the_jobs(self, health: WorkerHealth, job: str) -> bool:
        """Whether the worker's failures are all of one job, which fails elsewhere, too."""
        if not all(failed.startswith(f"{job} ") for failed in health.failed):
            return False
        return retries.suspect(self.ledger.tasks(job), self.worker)

    def _settle(self, lease: Lease, after: TaskState, **changes: object) -> bool:
        """Settle, also where Redis is away for a moment; False where the lease is lost, or Redis stays away."""
        deadline = time.monotonic() + self.settings.lease_s
        while True:
            try:
                return self.ledger.settle(lease, after, **changes)
            except LedgerUnavailable as error:
                if time.monotonic() >= deadline:
                    log.warning("can't settle: %s", error, extra=_facts(lease))
                    return False
            time.sleep(0.5)

    def _await_store(self) -> None:
        """Take no other task as long as the store is away: it would only be given back, too."""
        deadline, pause_s = time.monotonic() + STORE_WAIT_S, 1.0
        while time.monotonic() < deadline and not self.shutting_down():
            with suppress(FarmError):
                self.store.check()
                return
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, 8.0)

    def _leave_log(self, lease: Lease, lines: TaskLog) -> None:
        key = keys.log(lease.job, lease.task, lease.attempt, lease.token)
        try:
            self.store.put(key, lines.text, "text/plain; charset=utf-8")
        except FarmError as error:
            log.warning("the log lines of %s are not kept: %s", lease.task, error, extra=_facts(lease))

    def _notify(self, message: TaskMessage) -> None:
        try:
            self.notify(message)
        except LedgerUnavailable as error:  # the sweep will look at the job
            log.warning("can't ask for an advance: %s", error, extra={"job": message.job})


@dataclass(frozen=True, slots=True)
class _Attempt:
    message: TaskMessage
    lease: Lease
    record: TaskRecord  # as it was before
    lines: TaskLog


class Documents:
    """Specs, plans and frame indexes, as the store has them: written once, so those of the last few jobs are kept.

    Those of a million frames have megabytes, and every task needs them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.spec = lru_cache(maxsize=KEPT_JOBS)(self._spec)
        self.plan = lru_cache(maxsize=KEPT_JOBS)(self._plan)
        self.index = lru_cache(maxsize=KEPT_JOBS)(self._index)

    def _spec(self, job: str) -> Spec:
        return from_json(Spec, self._store.get(keys.spec(job)))

    def _plan(self, job: str) -> Plan:
        return from_json(Plan, self._store.get(keys.plan(job)))

    def _index(self, job: str) -> FrameIndex:
        return from_json(FrameIndex, self._store.get(keys.index(job)))


class Run:
    """What a work function may use."""

    def __init__(
        self,
        message: TaskMessage,
        store: Store,
        ledger: Ledger,
        check: Callable[[], None],
        signs: LifeSigns | None = None,
        documents: Documents | None = None,
    ) -> None:
        self.message = message
        self.store = store
        self.timings_s: defaultdict[str, float] = defaultdict(float)
        self._timing = Lock()
        self._ledger = ledger
        self._check = check
        self._signs = signs or LifeSigns()
        self._documents = documents or Documents(store)

    @property
    def job(self) -> str:
        """The job's name."""
        return self.message.job

    @property
    def spec(self) -> Spec:
        """The job's spec."""
        return self._documents.spec(self.job)

    @property
    def plan(self) -> Plan:
        """The job's plan."""
        return self._documents.plan(self.job)

    @property
    def index(self) -> FrameIndex:
        """The frame index of the job's source."""
        return self._documents.index(self.job)

    def check(self) -> None:
        """Raise Interrupted if the work is to stop. Costs nothing: call it at every optimisation step."""
        self._check()

    def progress(self, frames: int) -> None:
        """So many frames of the task are done."""
        self._signs.frame()
        try:
            self._ledger.progress(self.job, self.message.task, frames)
        except LedgerUnavailable as error:  # a number for people: no reason to lose the work
            log.warning("progress is not noted: %s", error, extra={"job": self.job})

    @contextmanager
    def slow(self, limit_s: float) -> Iterator[None]:
        """A step that can show no sign of life, e.g. a library's download: it is given up only after `limit_s`."""
        self._signs.allowance_s = limit_s
        try:
            yield
        finally:
            self._signs.step()
            self._signs.allowance_s = 0.0

    @contextmanager
    def span(self, name: str) -> Iterator[None]:
        """Add the time spent inside to the manifest's timings, whichever thread it is spent in."""
        start_s = time.perf_counter()
        try:
            yield
        finally:
            with self._timing:
                self.timings_s[name] += time.perf_counter() - start_s


def _after_failure(before: WorkerHealth, lease: Lease, why: str, quarantine_s: float) -> WorkerHealth:
    return retries.health_after_failure(
        before,
        f"{lease.job} {lease.task}",
        why,
        now_s=time.time(),
        limit=QUARANTINE_FAILURES,
        quarantine_s=quarantine_s,
    )


def _facts(item: TaskMessage | Lease) -> dict[str, object]:
    return {"job": item.job, "task": str(item.task), "attempt": item.attempt}
