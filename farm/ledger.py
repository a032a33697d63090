"""The ledger: live state in Redis — jobs, tasks, leases, progress, workers. What the farm asks of one.

A cache: the store is the truth, and a wiped ledger is filled again from the store's manifests.
`farm.redis_ledger.RedisLedger` is the real one; `farm.testing.MemoryLedger` passes the same tests.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Protocol

from farm.contract.messages import Priority, Queue, TaskId, TaskMessage
from farm.contract.states import TASK_TRANSITIONS, JobState, TaskState


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the ledger sees it."""

    job: str
    state: JobState = JobState.SUBMITTED
    name: str = ""
    style_name: str = ""
    created_s: float = 0.0  # Unix time, as all `_s` below
    started_s: float = 0.0  # first frame may be painted: the plan is there
    finished_s: float = 0.0
    error: str = ""  # why the job failed, one line
    frame_count: int = 0  # 0 until planned
    chunk_count: int = 0
    boundary_count: int = 0
    blend_frame_count: int = 0  # frames inside all blend windows
    segment_count: int = 0
    priority: Priority = Priority.NORMAL  # of its tasks in their queues
    in_hand: int = 0  # tasks queued or running; the ledger counts them as it moves them


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """A task as the ledger sees it. Its times are Unix seconds, true to 0.1 ms."""

    state: TaskState = TaskState.WAITING
    attempt: int = 0  # the last one queued; the first is 1
    since_s: float = 0.0  # when it came into this state
    began_s: float = 0.0  # when the last executor took it; 0 where none did, or it is done by its manifest alone
    began_frames: int = 0  # its frames that were there then
    retry_at_s: float = 0.0  # not queued again before this time
    error: str = ""  # of the last attempt that failed
    worker: str = ""  # the last executor
    token: str = ""  # of its lease
    failed_on: tuple[str, ...] = ()  # workers on which attempts failed, each once, the last one last
    failed_s: float = 0.0  # when the last attempt failed
    damaged: tuple[str, ...] = ()  # stored frames it could not use since it was last done, each time; the last one last


@dataclass(frozen=True, slots=True)
class Lease:
    """An executor's hold on a task, fenced by a token that no earlier holder has."""

    job: str
    task: TaskId
    attempt: int
    worker: str
    token: str


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker says of itself with each heartbeat."""

    name: str
    host: str
    pid: int
    device: str  # "cpu" or the GPU's name
    queues: tuple[str, ...]
    threads: int = 1
    memory_bytes: int = 0  # of the GPU, or of the machine
    weights: dict[str, str] = field(default_factory=dict)  # backbone -> SHA-256 of the weights it has
    versions: dict[str, str] = field(default_factory=dict)
    quarantine: str = ""  # why it takes no tasks at present; empty where it does

    @property
    def is_worker(self) -> bool:
        """Whether it paints."""
        return bool({Queue.STYLIZE, Queue.BLEND} & set(self.queues))

    @property
    def is_coordinator(self) -> bool:
        """Whether it plans and encodes."""
        return Queue.COORDINATE in self.queues


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """What went wrong on a worker since its last success. See `farm.retries`."""

    failed: tuple[str, ...] = ()  # job and task of the last failures in a row, each once
    error: str = ""  # of the last one
    until_s: float = 0.0  # Unix time; it takes no task before

    def quarantine(self, now_s: float) -> str:
        """Why the worker takes no task now; empty where it does."""
        if now_s >= self.until_s:
            return ""
        if len(self.failed) < 2:
            return f"its last task failed: {self.error}"
        return f"{len(self.failed)} tasks in a row failed on it, the last with: {self.error}"


class Ledger(Protocol):
    """What the farm asks of a ledger. Implementations: `farm.redis_ledger.RedisLedger`, `farm.testing.MemoryLedger`."""

    def ping(self) -> None:
        """Return if the ledger answers; LedgerUnavailable or AccessDenied if not."""

    def create_job(self, record: JobRecord) -> bool:
        """Add a job; False where it is there already (nothing is changed)."""

    def job(self, job: str) -> JobRecord | None:
        """One job, or None."""

    def jobs(self, states: Collection[JobState] = tuple(JobState)) -> list[JobRecord]:
        """The jobs in one of `states`, newest first. Costs little for each that is in none of them."""

    def move_job(self, job: str, after: JobState, **changes: Any) -> bool:
        """Bring a job to state `after` if its table has that way, with other fields; False if it has not."""

    def set_priority(self, job: str, priority: Priority) -> None:
        """Change a job's priority; nothing where the ledger does not know it."""

    def tasks(self, job: str, only: Collection[TaskId] | None = None) -> dict[TaskId, TaskRecord]:
        """The tasks the ledger knows of a job, all of them or of `only` these; one it does not know is waiting."""

    def task(self, job: str, task: TaskId) -> TaskRecord:
        """One task."""

    def move_task(
        self,
        job: str,
        task: TaskId,
        after: TaskState,
        *,
        before: Collection[TaskState] = tuple(TaskState),
        **changes: Any,
    ) -> bool:
        """Bring a task from one of `before` to `after` if its table has that way and nobody holds its lease."""

    def frames_done(self, job: str) -> dict[TaskId, int]:
        """Frames done, by task."""

    def forget_tasks(self, job: str) -> bool:
        """Drop what is known of the tasks of a job that ended; the job stays. False where it has not ended."""

    def claim(self, message: TaskMessage, worker: str, lease_s: float) -> Lease | None:
        """Take the task's lease and set it running; None where it is held, done or stale, or its job not live."""

    def renew(self, lease: Lease, lease_s: float) -> bool:
        """Hold the lease for another `lease_s`; False where it is lost.

        One that ran out is still the last holder's while nobody else took the task: the ledger may have been away.
        """

    def settle(self, lease: Lease, after: TaskState, **changes: Any) -> bool:
        """End the lease and bring its task to state `after`; False where the lease was lost (nothing is changed)."""

    def leased(self, job: str, tasks: Collection[TaskId]) -> set[TaskId]:
        """Those of `tasks` that an executor holds."""

    def progress(self, job: str, task: TaskId, frames: int) -> None:
        """Note how many frames of the task are done."""

    def heartbeat(self, info: WorkerInfo, ttl_s: float) -> None:
        """A worker is alive; it is forgotten after `ttl_s` without another heartbeat."""

    def workers(self) -> list[WorkerInfo]:
        """The workers alive, by name."""

    def forget_worker(self, name: str) -> None:
        """A worker ended on purpose."""

    def health(self, worker: str) -> WorkerHealth:
        """What went wrong on a worker of late."""

    def set_health(self, worker: str, health: WorkerHealth) -> None:
        """Note what went wrong on a worker; forgotten after a day."""

    def mark(self, name: str, ttl_s: float) -> None:
        """Leave a mark for others to see, for `ttl_s` at the most."""

    def marked(self, name: str) -> bool:
        """Whether somebody left that mark."""

    def unmark(self, name: str) -> None:
        """Take a mark away."""

    def take_turn(self, name: str, ttl_s: float) -> bool:
        """True for the first caller in each `ttl_s`: of many coordinators one sweeps."""


HEALTH_TTL_S = 86400.0
"""How long a worker's failures are remembered."""


def task_sources(after: TaskState, before: Collection[TaskState]) -> list[TaskState]:
    """The states among `before` from which the table has a way to `after`."""
    return [state for state, ways in TASK_TRANSITIONS.items() if after in ways and state in before]
