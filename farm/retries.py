"""What a failure means: for the task, for the worker it happened on, and for who tries next. Pure.

A task is tried again after a pause that doubles, and on another worker first: a worker hands back what failed on it
as long as a healthy one that has not tried it is alive, for `elsewhere_s` at the most.

A worker that fails three different tasks in a row takes no more for a while (`quarantine_s`), or until it is started
again. Its first failure after that sends it back at once; a success clears it. The same task failing again says
nothing new about the worker, so a poison task can't quarantine the only worker there is. Nor does a job of which
nobody has painted anything and that fails on others, too: else one bad job would take all workers from the rest.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from farm.contract.errors import (
    AccessDenied,
    FarmError,
    FrameDamaged,
    LedgerUnavailable,
    PermanentError,
    RetryableError,
    StoreUnavailable,
    TaskStuck,
    WeightsMismatch,
)
from farm.contract.messages import STAGE_QUEUE, Queue, TaskId
from farm.contract.states import TaskState
from farm.ledger import TaskRecord, WorkerHealth, WorkerInfo

RETRY_BASE_S = 2.0
"""An attempt that failed is tried again after this long, then twice as long, and so on."""

RETRY_MAX_S = 60.0

SERVICE_PAUSE_S = 5.0
"""A task that met a store or a Redis that is away is tried again after this long."""

DAMAGED_TIMES = 3
"""A task that finds the same stored frame damaged so often fails: the store does not keep what it is given."""

_WORKERS_FAULT = (WeightsMismatch, AccessDenied)
"""Permanent errors that are a worker's, not a task's: it has other weights, or other credentials."""

_SERVICES_FAULT = (StoreUnavailable, LedgerUnavailable, FrameDamaged)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What follows from an attempt's error."""

    uses_attempt: bool = True  # False: a service is away, which is neither the task's fault nor the worker's
    final: bool = False  # trying again changes nothing, on whatever worker
    blames_worker: bool = True  # counts towards the worker's quarantine


def verdict(error: Exception) -> Verdict:
    """Whose fault an error is."""
    if isinstance(error, _SERVICES_FAULT):
        return Verdict(uses_attempt=False, blames_worker=False)
    if isinstance(error, _WORKERS_FAULT):
        return Verdict()
    if isinstance(error, PermanentError):
        return Verdict(final=True, blames_worker=False)
    return Verdict(blames_worker=isinstance(error, TaskStuck) or not isinstance(error, RetryableError))


def reason(error: Exception) -> str:
    """An error on one line, as the ledger keeps it."""
    text = str(error) if isinstance(error, FarmError) else f"{type(error).__name__}: {error}"
    return (text.splitlines() or [type(error).__name__])[0][:500]


def retry_delay_s(attempt: int) -> float:
    """The pause after the `attempt`-th attempt failed; attempts count from 1."""
    return float(min(RETRY_MAX_S, RETRY_BASE_S * 2.0 ** (attempt - 1)))


def sweep_pause_s(sweep_s: float) -> float:
    """How long a coordinator waits for its next sweep: `sweep_s` and up to a third more, by chance.

    A worker asks Redis for a message anew every second, and who has asked for longest gets it. With whole seconds from
    sweep to sweep that is the same worker each time: what it hands back, as it failed there, would come back to it.
    """
    return sweep_s * random.uniform(1.0, 1.33)


def damaged(record: TaskRecord, error: FrameDamaged) -> tuple[str, ...]:
    """The damaged frames a task found, with one more."""
    return (*record.damaged, str(error.stored))


def failed_on(record: TaskRecord, worker: str) -> tuple[str, ...]:
    """The workers a task failed on, with one more; each once, the last one last."""
    return (*(name for name in record.failed_on if name != worker), worker)


def left_to_others(
    record: TaskRecord, worker: str, queue: Queue, workers: Iterable[WorkerInfo], now_s: float, elsewhere_s: float
) -> tuple[str, ...]:
    """The workers that `worker` should leave a task to, as it failed here and not yet there; none: it may take it."""
    if worker not in record.failed_on or now_s >= record.failed_s + elsewhere_s:
        return ()
    return tuple(
        info.name
        for info in workers
        if info.name not in record.failed_on and queue in info.queues and not info.quarantine
    )


def suspect(tasks: Mapping[TaskId, TaskRecord], worker: str) -> bool:
    """Whether a job's own tasks say that its failures are its own: none was ever painted, and not on `worker` alone."""
    painting = [item for task, item in tasks.items() if STAGE_QUEUE[task.stage] in (Queue.STYLIZE, Queue.BLEND)]
    elsewhere = any(name != worker for item in painting for name in item.failed_on)
    return elsewhere and not any(item.state is TaskState.SUCCEEDED for item in painting)


def health_after_failure(
    health: WorkerHealth, task: str, why: str, *, now_s: float, limit: int, quarantine_s: float
) -> WorkerHealth:
    """A worker's health after `task` (job and task) failed on it."""
    failed = health.failed if task in health.failed else (*health.failed, task)[-limit:]
    until_s = now_s + quarantine_s if len(failed) >= limit else health.until_s
    return replace(health, failed=failed, error=why, until_s=until_s)
