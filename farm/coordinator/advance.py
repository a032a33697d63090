"""Level-triggered coordination: look at what exists, queue what is missing.

`advance(job)` may run twice, late, at the same time as another, or after a crash; every change goes
through the ledger's atomic moves, so the result is the same. No chords, no callbacks.

`advance(job, ended)` looks only at what needs that task, and leaves the rest to whoever ends last: the ledger counts
the tasks in hand, and where none is left the whole job is looked at. So a task costs the same in a job of any length.
It is a hint: where it is lost, late or wrong, the sweep, which looks at all, does what it would have done.

A task that used up its attempts does not end its job at once: the job's other tasks finish first, so that a retry
after the cure has little left to do. Only where `max_failed_tasks` have failed the job stops early.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from farm import retries
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import AccessDenied, FarmError, ObjectNotFound, PermanentError, UnknownVersion
from farm.contract.messages import STAGE_QUEUE, Priority, Queue, Stage, TaskId, TaskMessage
from farm.contract.plan import Plan
from farm.contract.states import JOB_LIVE, JobState, TaskState
from farm.coordinator.folders import WorkFolders
from farm.coordinator.graph import ASSEMBLE_TASK, PLAN_TASK, Graph, frames_by_task, task_graph
from farm.coordinator.repair import Repair
from farm.executor import QUARANTINE_FAILURES
from farm.ledger import JobRecord, Ledger, TaskRecord
from farm.segments import segments
from farm.settings import Settings
from farm.store import Store
from farm.tasklog import log_line

log = logging.getLogger(__name__)

LOST_MESSAGE_S = 10.0
"""A task queued this long ago, whose message is not in its queue and that no executor holds, has lost it."""

KEPT_TASKS = 300_000
"""So many tasks of graphs are kept in memory, those used last; 1,000,000 frames in chunks of 48 are 62,500."""

_NOT_THE_JOBS = (AccessDenied, UnknownVersion)
"""Permanent errors that are this coordinator's, not a job's: it has other credentials, or is of another release."""

_UNDER_WAY = JOB_LIVE | {JobState.CANCELING, JobState.PAUSING}
_OPEN = (TaskState.WAITING, TaskState.RETRYING)
_UNDONE = (TaskState.WAITING, TaskState.QUEUED, TaskState.RUNNING, TaskState.RETRYING)


@dataclass
class Coordinator:
    """Moves jobs on. Holds no state of its own but graphs of plans, which are immutable."""

    settings: Settings
    store: Store
    ledger: Ledger
    publish: Callable[[TaskMessage, Priority], None]
    queued: Callable[[str], Collection[str]]  # names of the messages that wait in a queue
    _graphs: dict[str, Graph] = field(default_factory=dict)

    def advance(self, job: str, ended: TaskId | None = None) -> None:
        """Bring a job as far as what exists allows, or as far as the end of an attempt at that task does."""
        try:
            if ended is None or not self._advance_after(job, ended):
                self._advance_all(job)
        except _NOT_THE_JOBS:  # the sweep tries again, and so does whoever comes after us
            raise
        except PermanentError as error:
            self._fail(job, str(error))

    def _advance_after(self, job: str, ended: TaskId) -> bool:
        """Queue what waited for that task; False where the whole job is to be looked at."""
        record = self.ledger.job(job)
        if record is None or record.state not in (JobState.RENDERING, JobState.CANCELING, JobState.PAUSING):
            return False
        if record.state is JobState.RENDERING and not self._render_after(record, ended):
            return False
        record = self.ledger.job(job)
        return record is not None and record.in_hand > 0

    def _render_after(self, record: JobRecord, ended: TaskId) -> bool:
        graph = self._graph(record.job)
        if ended not in graph.needs:
            return False
        near = (ended, *graph.later[ended])
        tasks = self.ledger.tasks(record.job, {*near, *(other for task in near for other in graph.needs[task])})
        damage = any(item.damaged and item.state is TaskState.WAITING for item in tasks.values())
        if damage or tasks.get(ended, TaskRecord()).state is TaskState.FAILED:
            return False
        for task in near:
            if all(_done(tasks, other) for other in graph.needs[task]):
                self._queue(record, task, tasks)
        return True

    def _advance_all(self, job: str) -> None:
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
            steps[state](record)

    def sweep(self) -> None:
        """Mend and advance every job that is under way. Runs on a timer."""
        queued = cache(self.queued)
        for record in self.ledger.jobs(_UNDER_WAY):
            try:
                self._mend(record, queued)
                self.advance(record.job)
            except FarmError as error:  # one job's trouble must not keep the others waiting
                log.warning("sweep: %s", error, extra={"job": record.job})
            except Exception:
                log.exception("sweep", extra={"job": record.job})

    def _begin(self, record: JobRecord) -> None:
        self._restore(record.job)
        self.ledger.move_job(record.job, JobState.PLANNING)

    def _restore(self, job: str) -> None:
        """Tell the ledger of every manifest in the store: all there is to know after a wipe."""
        known, frames = self.ledger.tasks(job), cache(lambda: frames_by_task(self._plan(job)))
        for key in self.store.list(keys.manifests(job)):
            task = keys.task_of_manifest(key)
            if known.get(task, TaskRecord()).state is TaskState.SUCCEEDED:
                continue
            self.ledger.move_task(job, task, TaskState.SUCCEEDED)
            if task != PLAN_TASK:  # a segment that another release cut elsewhere counts for nothing
                self.ledger.progress(job, task, frames().get(task, 0))

    def _await_plan(self, record: JobRecord) -> None:
        tasks = self.ledger.tasks(record.job)
        self._queue(record, PLAN_TASK, tasks)
        if self._failed_for_good(record.job, tasks, ()) or not _done(tasks, PLAN_TASK):
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
            segment_count=len(segments(plan)),
        )

    def _render(self, record: JobRecord) -> None:
        tasks = self._mended_tasks(record.job)
        needs = self._graph(record.job).needs
        ready = [task for task, needed in needs.items() if all(_done(tasks, other) for other in needed)]
        if self._failed_for_good(record.job, tasks, [task for task in ready if not _ended(tasks, task)]):
            return
        for task in ready:
            self._queue(record, task, tasks)
        if all(_done(tasks, task) for task in needs):
            self.ledger.move_job(record.job, JobState.ASSEMBLING)

    def _assemble(self, record: JobRecord) -> None:
        tasks = self._mended_tasks(record.job)
        encoded = all(_done(tasks, task) for task in self._graph(record.job).needs)
        if not encoded and not _done(tasks, ASSEMBLE_TASK):  # segments it found damaged are made again
            self.ledger.move_job(record.job, JobState.RENDERING)
            return
        self._queue(record, ASSEMBLE_TASK, tasks)
        if self._failed_for_good(record.job, tasks, ()) or not _done(tasks, ASSEMBLE_TASK):
            return
        if self.ledger.move_job(record.job, JobState.SUCCEEDED, finished_s=time.time()):
            self._drop_segments(record.job)

    def _drop_segments(self, job: str) -> None:
        """The film has what was in them. What is left where this fails goes with the frames (`farm gc --frames`)."""
        try:
            self.store.delete(self.store.list(keys.segments(job)))
        except FarmError as error:
            log.warning("segments are left: %s", error, extra={"job": job})

    def _mended_tasks(self, job: str) -> dict[TaskId, TaskRecord]:
        """The job's tasks; those whose stored frames others found damaged are to be done again."""
        tasks = self.ledger.tasks(job)
        repair = Repair(job, self.store, self.ledger, WorkFolders(self.settings.cache_dir))
        return self.ledger.tasks(job) if repair.mend(tasks) else tasks

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

    def _queue(self, record: JobRecord, task: TaskId, tasks: dict[TaskId, TaskRecord]) -> None:
        item = tasks.get(task, TaskRecord())
        if item.state not in _OPEN or item.retry_at_s > time.time():
            return
        hand_back = item.state is TaskState.WAITING and item.attempt > 0
        attempt = item.attempt if hand_back else item.attempt + 1
        if self.ledger.move_task(record.job, task, TaskState.QUEUED, before=_OPEN, attempt=attempt):
            self.publish(TaskMessage(record.job, task.stage, task.start, attempt), record.priority)

    def _failed_for_good(self, job: str, tasks: dict[TaskId, TaskRecord], ready: Collection[TaskId]) -> bool:
        """Fail the job if tasks failed and none of `ready` is left to finish first, or too many failed to go on."""
        failed = sorted(task for task, item in tasks.items() if item.state is TaskState.FAILED)
        if not failed or (ready and len(failed) < self.settings.max_failed_tasks):
            return False
        why = f"{_where(failed[0])}: {tasks[failed[0]].error}"
        if len(failed) > 1:
            why += f" (and {', '.join(map(_where, failed[1:3]))}{' …' if len(failed) > 3 else ''})"
        self._fail(job, why)
        return True

    def _fail(self, job: str, why: str) -> None:
        self.ledger.move_job(job, JobState.FAILED, error=why, finished_s=time.time())
        log.error("job failed: %s", why, extra={"job": job})

    def _mend(self, record: JobRecord, queued: Callable[[str], Collection[str]]) -> None:
        job, tasks = record.job, self.ledger.tasks(record.job)
        running = [task for task, item in tasks.items() if item.state is TaskState.RUNNING]
        for task in set(running) - self.ledger.leased(job, running):
            if self._is_lost(job, task, tasks[task].token):
                self._mend_lost(job, task, tasks[task])
        for task, item in tasks.items():
            if item.state is TaskState.QUEUED and time.time() - item.since_s > LOST_MESSAGE_S:
                self._mend_unsent(record, task, item, queued)
            elif item.state is TaskState.CANCELED and record.state in JOB_LIVE:
                # Its executor saw the cancel only after the job had been resumed.
                self.ledger.move_task(job, task, TaskState.WAITING)

    def _is_lost(self, job: str, task: TaskId, token: str) -> bool:
        """At the second look: after Redis was away, executors need a moment to renew leases that ran out meanwhile."""
        name = f"lost:{job}:{task}:{token}"
        if self.ledger.marked(name):
            return True
        self.ledger.mark(name, 10 * self.settings.sweep_s + 30)
        return False

    def _mend_lost(self, job: str, task: TaskId, record: TaskRecord) -> None:
        """A task's executor is gone: its manifest tells whether it had finished; if not, that was an attempt."""
        if self.store.head(keys.manifest(job, task)) is not None:
            self.ledger.move_task(job, task, TaskState.SUCCEEDED)
            return
        why, now_s = f"its worker {record.worker} died or lost its lease", time.time()
        last = record.attempt >= self.settings.max_attempts
        if last:
            why += f", after {record.attempt} attempts"
        failed_on = retries.failed_on(record, record.worker)
        changes: dict[str, Any] = {"error": why, "failed_on": failed_on, "failed_s": now_s}
        if last:
            moved = self.ledger.move_task(job, task, TaskState.FAILED, **changes)
        else:
            retry_at_s = now_s + retries.retry_delay_s(record.attempt)
            moved = self.ledger.move_task(job, task, TaskState.RETRYING, retry_at_s=retry_at_s, **changes)
        if moved:
            self._blame(job, task, record, why)

    def _blame(self, job: str, task: TaskId, record: TaskRecord, why: str) -> None:
        """The dead can't do it themselves: count the failure against the worker, and leave a line in the task's log."""
        if STAGE_QUEUE[task.stage] in (Queue.STYLIZE, Queue.BLEND):
            health = retries.health_after_failure(
                self.ledger.health(record.worker), f"{job} {task}", why,
                now_s=time.time(), limit=QUARANTINE_FAILURES, quarantine_s=self.settings.quarantine_s,
            )  # fmt: skip
            self.ledger.set_health(record.worker, health)
        line = log_line(time.time(), "error", f"attempt {record.attempt} at {task}: {why}")
        self.store.put(keys.log(job, task, record.attempt, "0"), f"{line}\n".encode(), "text/plain; charset=utf-8")

    def _mend_unsent(
        self, record: JobRecord, task: TaskId, item: TaskRecord, queued: Callable[[str], Collection[str]]
    ) -> None:
        message = TaskMessage(record.job, task.stage, task.start, item.attempt)
        if message.name in queued(STAGE_QUEUE[task.stage]):
            return
        if self.ledger.move_task(record.job, task, TaskState.QUEUED, before=(TaskState.QUEUED,)):
            self.publish(message, record.priority)

    def _plan(self, job: str) -> Plan:
        try:
            return from_json(Plan, self.store.get(keys.plan(job)))
        except ObjectNotFound as error:
            raise PermanentError(f"the plan of {job} is gone from the store; submit the clip again") from error

    def _graph(self, job: str) -> Graph:
        """Read once, then kept as long as there is room."""
        graph = self._graphs.pop(job, None)
        if graph is None:
            graph = task_graph(self._plan(job))
            room = KEPT_TASKS - len(graph.needs)
            while self._graphs and sum(len(kept.needs) for kept in self._graphs.values()) > room:
                del self._graphs[next(iter(self._graphs))]
        self._graphs[job] = graph  # the one used last goes last
        return graph


def _done(tasks: dict[TaskId, TaskRecord], task: TaskId) -> bool:
    return task in tasks and tasks[task].state is TaskState.SUCCEEDED


def _ended(tasks: dict[TaskId, TaskRecord], task: TaskId) -> bool:
    return task in tasks and tasks[task].state in (TaskState.SUCCEEDED, TaskState.FAILED)


def _where(task: TaskId) -> str:
    return str(task.stage) if task.stage in (Stage.PLAN, Stage.ASSEMBLE) else f"{task.stage} at frame {task.start}"
