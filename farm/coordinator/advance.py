"""Level-triggered coordination: look at what exists, queue what is missing.

`advance(job)` may run twice, late, at the same time as another, or after a crash; every change goes
through the ledger's atomic moves, so the result is the same. No chords, no callbacks.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import FarmError, ObjectNotFound, PermanentError
from farm.contract.messages import STAGE_QUEUE, Stage, TaskId, TaskMessage
from farm.contract.plan import Plan
from farm.contract.states import JOB_LIVE, JobState, TaskState
from farm.coordinator.graph import ASSEMBLE_TASK, PLAN_TASK, frames_of, render_tasks
from farm.ledger import JobRecord, Ledger, TaskRecord
from farm.settings import Settings
from farm.store import Store

log = logging.getLogger(__name__)

LOST_MESSAGE_S = 10.0
"""A task queued this long ago, with its queue empty and no executor, has lost its message."""

_OPEN = (TaskState.WAITING, TaskState.RETRYING)
_UNDONE = (TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING)


@dataclass
class Coordinator:
    """Moves jobs on. Holds no state of its own but plans, which are immutable."""

    settings: Settings
    store: Store
    ledger: Ledger
    publish: Callable[[TaskMessage], None]
    queue_length: Callable[[str], int]
    _plans: dict[str, Plan] = field(default_factory=dict)

    def advance(self, job: str) -> None:
        """Bring a job as far as what exists allows."""
        steps = {
            JobState.SUBMITTED: self._begin,
            JobState.PLANNING: self._await_plan,
            JobState.RENDERING: self._render,
            JobState.ASSEMBLING: self._assemble,
            JobState.CANCELING: self._cancel,
            JobState.PAUSING: self._pause,
        }
        state = None
        while (record := self.ledger.job(job)) is not None and record.state is not state:
            state = record.state
            if state not in steps:
                return
            try:
                steps[state](record)
            except PermanentError as error:
                self._fail(job, str(error))

    def sweep(self) -> None:
        """Mend and advance every job that is under way. Runs on a timer."""
        for record in self.ledger.jobs():
            if record.state not in JOB_LIVE and record.state not in (JobState.CANCELING, JobState.PAUSING):
                continue
            try:
                self._mend(record.job)
                self.advance(record.job)
            except FarmError as error:  # one job's trouble must not keep the others waiting
                log.warning("sweep: %s", error, extra={"job": record.job})

    def _begin(self, record: JobRecord) -> None:
        self._restore(record.job)
        self.ledger.move_job(record.job, JobState.PLANNING)

    def _restore(self, job: str) -> None:
        """Tell the ledger of every manifest in the store: all there is to know after a wipe."""
        known = self.ledger.tasks(job)
        for key in self.store.list(keys.manifests(job)):
            task = keys.task_of_manifest(key)
            if known.get(task, TaskRecord()).state is TaskState.SUCCEEDED:
                continue
            self.ledger.move_task(job, task, TaskState.SUCCEEDED)
            if task != PLAN_TASK:
                self.ledger.progress(job, task, frames_of(self._plan(job), task))

    def _await_plan(self, record: JobRecord) -> None:
        tasks = self.ledger.tasks(record.job)
        self._queue(record.job, PLAN_TASK, tasks.get(PLAN_TASK, TaskRecord()))
        if self._any_failed(record.job, tasks) or not _done(tasks, PLAN_TASK):
            return
        plan = self._plan(record.job)
        self.ledger.progress(record.job, PLAN_TASK, plan.frame_count)
        self.ledger.move_job(
            record.job,
            JobState.RENDERING,
            started_s=record.started_s or time.time(),
            frame_count=plan.frame_count,
            chunk_count=len(plan.chunks),
            boundary_count=len(plan.boundaries),
            blend_frame_count=sum(len(boundary.frames) for boundary in plan.boundaries),
        )

    def _render(self, record: JobRecord) -> None:
        tasks = self.ledger.tasks(record.job)
        if self._any_failed(record.job, tasks):
            return
        needs = render_tasks(self._plan(record.job))
        for task, needed in needs.items():
            if all(_done(tasks, other) for other in needed):
                self._queue(record.job, task, tasks.get(task, TaskRecord()))
        if all(_done(tasks, task) for task in needs):
            self.ledger.move_job(record.job, JobState.ASSEMBLING)

    def _assemble(self, record: JobRecord) -> None:
        tasks = self.ledger.tasks(record.job)
        self._queue(record.job, ASSEMBLE_TASK, tasks.get(ASSEMBLE_TASK, TaskRecord()))
        if not self._any_failed(record.job, tasks) and _done(tasks, ASSEMBLE_TASK):
            self.ledger.move_job(record.job, JobState.SUCCEEDED, finished_s=time.time())

    def _cancel(self, record: JobRecord) -> None:
        if self._stand_down(record.job, TaskState.CANCELED):
            self.ledger.move_job(record.job, JobState.CANCELED, finished_s=time.time())

    def _pause(self, record: JobRecord) -> None:
        if self._stand_down(record.job, TaskState.WAITING):
            self.ledger.move_job(record.job, JobState.PAUSED)

    def _stand_down(self, job: str, after: TaskState) -> bool:
        """Take back every task that nobody holds; whether none is held any more."""
        undone = [task for task, item in self.ledger.tasks(job).items() if item.state in _UNDONE]
        for task in undone:
            self.ledger.move_task(job, task, after)
        return not self.ledger.leased(job, undone)

    def _queue(self, job: str, task: TaskId, record: TaskRecord) -> None:
        if record.state not in _OPEN or record.retry_at_s > time.time():
            return
        hand_back = record.state is TaskState.WAITING and record.attempt > 0
        attempt = record.attempt if hand_back else record.attempt + 1
        if self.ledger.move_task(job, task, TaskState.QUEUED, before=_OPEN, attempt=attempt):
            self.publish(TaskMessage(job, task.stage, task.start, attempt))

    def _any_failed(self, job: str, tasks: dict[TaskId, TaskRecord]) -> bool:
        failed = sorted(task for task, item in tasks.items() if item.state is TaskState.FAILED)
        if failed:
            first = failed[0]
            where = "" if first.stage in (Stage.PLAN, Stage.ASSEMBLE) else f" at frame {first.start}"
            self._fail(job, f"{first.stage}{where}: {tasks[first].error}")
        return bool(failed)

    def _fail(self, job: str, why: str) -> None:
        self.ledger.move_job(job, JobState.FAILED, error=why, finished_s=time.time())
        log.error("job failed: %s", why, extra={"job": job})

    def _mend(self, job: str) -> None:
        tasks = self.ledger.tasks(job)
        running = [task for task, item in tasks.items() if item.state is TaskState.RUNNING]
        for task in set(running) - self.ledger.leased(job, running):
            self._mend_lost(job, task, tasks[task])
        for task, item in tasks.items():
            if item.state is TaskState.QUEUED and time.time() - item.since_s > LOST_MESSAGE_S:
                self._mend_unsent(job, task, item)

    def _mend_lost(self, job: str, task: TaskId, record: TaskRecord) -> None:
        """A task's executor is gone: its manifest tells whether it had finished; if not, that was an attempt."""
        if self.store.head(keys.manifest(job, task)) is not None:
            self.ledger.move_task(job, task, TaskState.SUCCEEDED)
            return
        why = f"its worker {record.worker} died or lost its lease"
        if record.attempt >= self.settings.max_attempts:
            self.ledger.move_task(job, task, TaskState.FAILED, error=f"{why}, after {record.attempt} attempts")
        else:
            self.ledger.move_task(job, task, TaskState.RETRYING, error=why)

    def _mend_unsent(self, job: str, task: TaskId, record: TaskRecord) -> None:
        if self.queue_length(STAGE_QUEUE[task.stage]):
            return
        if self.ledger.move_task(job, task, TaskState.QUEUED, before=(TaskState.QUEUED,)):
            self.publish(TaskMessage(job, task.stage, task.start, record.attempt))

    def _plan(self, job: str) -> Plan:
        if job not in self._plans:
            try:
                self._plans[job] = from_json(Plan, self.store.get(keys.plan(job)))
            except ObjectNotFound as error:
                raise PermanentError(f"the plan of {job} is gone from the store; submit the clip again") from error
            while len(self._plans) > 16:
                del self._plans[next(iter(self._plans))]
        return self._plans[job]


def _done(tasks: dict[TaskId, TaskRecord], task: TaskId) -> bool:
    return task in tasks and tasks[task].state is TaskState.SUCCEEDED
