"""Who is at what: the tasks in the hands of workers and coordinators."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from farm.contract.messages import TaskId
from farm.contract.states import JOB_LIVE, TaskState
from farm.ledger import Ledger


@dataclass(frozen=True, slots=True)
class Work:
    """A task that is being worked on."""

    job: str
    task: TaskId
    since_s: float  # Unix time
    frames_done: int  # of the task, by whomever


def at_work(ledger: Ledger) -> dict[str, tuple[Work, ...]]:
    """By a process's name the tasks in its hands, the longest held first; one that died holds its own until a sweep."""
    found: defaultdict[str, list[Work]] = defaultdict(list)
    for record in ledger.jobs(JOB_LIVE):
        running = {task: item for task, item in ledger.tasks(record.job).items() if item.state is TaskState.RUNNING}
        frames_done = ledger.frames_done(record.job) if running else {}
        for task, item in running.items():
            found[item.worker].append(Work(record.job, task, item.since_s, frames_done.get(task, 0)))
    return {name: tuple(sorted(works, key=lambda work: work.since_s)) for name, works in found.items()}
