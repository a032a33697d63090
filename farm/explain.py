"""Why a job is where it is, in plain words, each reason with what to do about it. Pure.

`explain` takes what the ledger, the store and the queues say at one moment (`Facts`) and lists the reasons, what
holds up the whole job first. An empty cure means that waiting is enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from farm.contract.messages import STAGE_QUEUE, Priority, Queue, Stage, TaskId
from farm.contract.plan import Plan
from farm.contract.spec import Spec
from farm.contract.states import JOB_LIVE, JobState, TaskState
from farm.coordinator.graph import ASSEMBLE_TASK, PLAN_TASK, render_tasks
from farm.ledger import JobRecord, TaskRecord, WorkerInfo

SHOWN = 3
"""So many tasks of one kind are told one by one."""

_RANK = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}


@dataclass(frozen=True, slots=True)
class Reason:
    """One reason, and its cure."""

    what: str
    cure: str = ""  # empty: waiting is enough


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a job at one moment."""

    job: str
    record: JobRecord | None  # None: the ledger does not know the job
    now_s: float  # Unix time
    tasks: dict[TaskId, TaskRecord] = field(default_factory=dict)
    leased: frozenset[TaskId] = frozenset()  # running tasks whose executor shows signs of life
    spec: Spec | None = None
    plan: Plan | None = None
    processes: tuple[WorkerInfo, ...] = ()  # workers and coordinators alive
    others: tuple[tuple[JobRecord, dict[TaskId, TaskRecord]], ...] = ()  # the other live jobs
    max_attempts: int = 3
    store_error: str = ""  # why the store can't be used; empty where it can

    @property
    def needs(self) -> dict[TaskId, tuple[TaskId, ...]]:
        """The tasks of the state the job is in, with those they wait for."""
        state = self.record.state if self.record else None
        if state is JobState.RENDERING and self.plan is not None:
            return render_tasks(self.plan)
        return {ASSEMBLE_TASK if state is JobState.ASSEMBLING else PLAN_TASK: ()}

    def item(self, task: TaskId) -> TaskRecord:
        """One task as the ledger has it."""
        return self.tasks.get(task, TaskRecord())


def explain(facts: Facts) -> list[Reason]:
    """The reasons, the gravest first; never empty."""
    record = facts.record
    if record is None:
        return [Reason("Redis has forgotten this job; the store has not", f"`farm resume {facts.job}`")]
    reasons = [*_store(facts), *_state(facts, record)]
    if record.state in JOB_LIVE:
        reasons += [*_hands(facts), *_failures(facts), *_work(facts), *_queued(facts, record), *_dependencies(facts)]
    return reasons or [Reason("nothing is in its way: the coordinator looks at it within a few seconds")]


def _store(facts: Facts) -> Iterator[Reason]:
    if facts.store_error:
        what, _, cure = facts.store_error.rpartition("; ")
        yield Reason(f"the store can't be used: {what or cure}", cure if what else "start the S3 server")


def _state(facts: Facts, record: JobRecord) -> Iterator[Reason]:
    job, state = record.job, record.state
    if state is JobState.SUCCEEDED:
        yield Reason("it is done: the film is there", f"`farm fetch {job}`")
    elif state is JobState.FAILED:
        yield Reason(f"it failed: {record.error}", f"mend that, then `farm retry {job}`; `farm logs {job}` has more")
    elif state is JobState.CANCELED:
        yield Reason("it was canceled; the frames done are kept", f"`farm resume {job}` goes on from them")
    elif state is JobState.PAUSED:
        begun = record.started_s or any(item.attempt for item in facts.tasks.values())
        what = "it is paused; the frames done are kept" if begun else "it is held since it was submitted"
        yield Reason(what, f"`farm resume {job}`")
    elif state in (JobState.PAUSING, JobState.CANCELING):
        yield from _coordinator(facts)
        for task in sorted(facts.leased):
            worker = facts.item(task).worker
            yield Reason(f"{worker} is giving {task_name(task)} back, at its next optimisation step")


def _coordinator(facts: Facts) -> Iterator[Reason]:
    if not any(info.is_coordinator for info in facts.processes):
        yield Reason("no coordinator is alive, so nothing is moved on", "`farm coordinator`, or `farm up`")


def _hands(facts: Facts) -> Iterator[Reason]:
    """Who is missing: for every queue in which the job has, or will have, something to do."""
    yield from _coordinator(facts)
    undone = [task for task in facts.needs if facts.item(task).state is not TaskState.SUCCEEDED]
    for queue in Queue:
        if not any(STAGE_QUEUE[task.stage] is queue for task in undone):
            continue
        serving = [info for info in facts.processes if queue in info.queues]
        able = [info for info in serving if not info.quarantine]
        if not serving and queue is not Queue.MEDIA:
            yield Reason(f"no worker is alive for the queue {queue}", "`farm worker`, or `farm up`")
        elif not serving:
            yield Reason(f"no coordinator is alive for the queue {queue}", "`farm coordinator`, or `farm up`")
        elif not able:
            yield Reason(
                f"every worker for the queue {queue} is in quarantine", "mend what they report, then start them again"
            )
        elif queue is Queue.STYLIZE and not any(_has_weights(info, facts.spec) for info in able):
            backbone = facts.spec.params.backbone if facts.spec else ""
            yield Reason(f"no worker has the job's weights of {backbone}", "`farm doctor` lists who has which")
    for info in facts.processes:
        if info.quarantine:
            yield Reason(f"{info.name} is in quarantine: {info.quarantine}", "mend it, then start that worker again")


def _has_weights(info: WorkerInfo, spec: Spec | None) -> bool:
    """False only where the worker is known to have others: missing ones may be downloaded."""
    if spec is None:
        return True
    found = info.weights.get(spec.params.backbone, "")
    return not found or found.startswith(spec.weights_sha256) or spec.weights_sha256.startswith(found)


def _failures(facts: Facts) -> Iterator[Reason]:
    failed = _in_state(facts, TaskState.FAILED)
    for task in failed[:SHOWN]:
        yield Reason(
            f"{task_name(task)} failed for good: {facts.item(task).error}; the others finish first, then the job fails",
            f"mend that, then `farm retry {facts.job}`",
        )
    if len(failed) > SHOWN:
        yield Reason(f"{len(failed) - SHOWN} more tasks failed for good")
    troubled = [task for task in sorted(facts.needs) if _troubled(facts.item(task))]
    for task in troubled[:SHOWN]:
        yield _retry(facts, task)
    if len(troubled) > SHOWN:
        yield Reason(f"{len(troubled) - SHOWN} more tasks are tried again after a failure")


def _troubled(item: TaskRecord) -> bool:
    return bool(item.error) and item.state in (TaskState.WAITING, TaskState.QUEUED, TaskState.RETRYING)


def _retry(facts: Facts, task: TaskId) -> Reason:
    item = facts.item(task)
    wait_s = item.retry_at_s - facts.now_s
    when = f"in {_duration(wait_s)}" if wait_s > 0 else "as soon as a worker takes it"
    attempt = item.attempt + (item.state is TaskState.RETRYING)
    others = [
        info.name
        for info in facts.processes
        if STAGE_QUEUE[task.stage] in info.queues and info.name not in item.failed_on and not info.quarantine
    ]
    whose = f" by another worker than {', '.join(item.failed_on)}" if item.failed_on and others else ""
    what = f"{task_name(task)} is tried again {when}{whose}, attempt {attempt} of {facts.max_attempts}"
    return Reason(f"{what}; the last one ended with: {item.error}", "")


def _work(facts: Facts) -> Iterator[Reason]:
    running = [task for task in _in_state(facts, TaskState.RUNNING) if task in facts.leased]
    for task in running[:SHOWN]:
        item = facts.item(task)
        yield Reason(f"{item.worker} is at {task_name(task)}, since {_duration(facts.now_s - item.since_s)}")
    if len(running) > SHOWN:
        yield Reason(f"{len(running) - SHOWN} more tasks are being worked on")
    for task in [task for task in _in_state(facts, TaskState.RUNNING) if task not in facts.leased][:SHOWN]:
        worker = facts.item(task).worker
        yield Reason(
            f"{worker} died or lost touch while it was at {task_name(task)}; the next sweep gives that to another"
        )


def _queued(facts: Facts, record: JobRecord) -> Iterator[Reason]:
    for queue in Queue:
        own = [task for task in _in_state(facts, TaskState.QUEUED) if STAGE_QUEUE[task.stage] is queue]
        if not own:
            continue
        since_s = min(facts.item(task).since_s for task in own)
        ahead = [text for other, tasks in facts.others if (text := _ahead(queue, record, since_s, other, tasks))]
        what = f"{_count(len(own), 'task')} of it {'waits' if len(own) == 1 else 'wait'} in the queue {queue}"
        if not ahead:
            serving = sum(queue in info.queues and not info.quarantine for info in facts.processes)
            yield Reason(f"{what}, which {_count(serving, 'worker')} {'serves' if serving == 1 else 'serve'}")
            continue
        rest = f" and {len(ahead) - SHOWN} more jobs" if len(ahead) > SHOWN else ""
        cure = "" if record.priority is Priority.HIGH else "more workers; or submit it again with --priority high"
        yield Reason(f"{what}, behind {', '.join(ahead[:SHOWN])}{rest}", cure)


def _ahead(queue: Queue, record: JobRecord, since_s: float, other: JobRecord, tasks: dict[TaskId, TaskRecord]) -> str:
    """What another job has in the queue before ours, in words; empty where it has nothing."""
    mine, theirs = _RANK[record.priority], _RANK[other.priority]
    items = [item for task, item in tasks.items() if STAGE_QUEUE[task.stage] is queue]
    running = sum(item.state is TaskState.RUNNING for item in items)
    queued = sum(
        item.state is TaskState.QUEUED and (theirs < mine or (theirs == mine and item.since_s < since_s))
        for item in items
    )
    if not running and not queued:
        return ""
    priority = f"{other.priority}, " if theirs != mine else ""
    return f"{other.job} ({priority}{running} running, {queued} queued)"


def _dependencies(facts: Facts) -> Iterator[Reason]:
    """What waits for other tasks, by the first of each stage."""
    needs = facts.needs
    for stage in (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND, Stage.SEGMENT):
        waiting = [
            task
            for task, needed in needs.items()
            if task.stage is stage
            and facts.item(task).state is TaskState.WAITING
            and any(facts.item(other).state is not TaskState.SUCCEEDED for other in needed)
        ]
        if waiting:
            first = waiting[0]
            cause = next(other for other in needs[first] if facts.item(other).state is not TaskState.SUCCEEDED)
            more = f", and {len(waiting) - 1} more of its kind wait" if len(waiting) > 1 else ""
            yield Reason(f"{task_name(first)} waits for {task_name(cause)} ({facts.item(cause).state}){more}")


def _in_state(facts: Facts, state: TaskState) -> list[TaskId]:
    return sorted(task for task, item in facts.tasks.items() if item.state is state)


def task_name(task: TaskId) -> str:
    """A task as people call it: `chunk 48`."""
    return {
        Stage.PLAN: "the plan",
        Stage.ANCHOR: f"anchor {task.start}",
        Stage.STYLIZE: f"chunk {task.start}",
        Stage.BLEND: f"boundary {task.start}",
        Stage.SEGMENT: f"segment {task.start}",
        Stage.ASSEMBLE: "the film's assembly",
    }[task.stage]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
