"""States of jobs and tasks, each with one transition table.

A change the table does not have raises InvalidTransition; a state may always stay as it is.
"""

from __future__ import annotations

from enum import StrEnum

from farm.contract.errors import InvalidTransition


class JobState(StrEnum):
    """Where a job is on its way."""

    SUBMITTED = "submitted"  # spec and media are in the store, no plan yet
    PLANNING = "planning"  # the clip is being indexed and cut in shots and chunks
    RENDERING = "rendering"  # anchors, stylize, blend and segment tasks run
    PAUSING = "pausing"  # asked to pause; executors are giving their tasks back
    PAUSED = "paused"  # nothing runs; `resume` goes on
    ASSEMBLING = "assembling"  # all segments are encoded, the film is being joined
    SUCCEEDED = "succeeded"  # the film was read back and checked
    FAILED = "failed"  # a task used up its attempts; the job's `error` says why
    CANCELING = "canceling"  # asked to cancel; executors are giving their tasks up
    CANCELED = "canceled"  # ended on request; stored frames stay until they are collected


class TaskState(StrEnum):
    """Where a task is on its way."""

    WAITING = "waiting"  # something it needs is not there yet
    QUEUED = "queued"  # its message is in the queue
    RUNNING = "running"  # an executor holds its lease
    SUCCEEDED = "succeeded"  # its manifest is in the store
    RETRYING = "retrying"  # an attempt failed; queued again after a pause
    FAILED = "failed"  # it used up its attempts
    CANCELED = "canceled"  # given up with its job


_J, _T = JobState, TaskState
_STOPPABLE = {_J.PAUSING, _J.CANCELING, _J.FAILED}

JOB_TRANSITIONS: dict[JobState, frozenset[JobState]] = {
    _J.SUBMITTED: frozenset({_J.PLANNING, *_STOPPABLE}),
    _J.PLANNING: frozenset({_J.RENDERING, *_STOPPABLE}),
    _J.RENDERING: frozenset({_J.ASSEMBLING, *_STOPPABLE}),
    _J.PAUSING: frozenset({_J.PAUSED, _J.SUBMITTED, _J.CANCELING, _J.FAILED}),
    _J.PAUSED: frozenset({_J.SUBMITTED, _J.CANCELING}),
    _J.ASSEMBLING: frozenset({_J.SUCCEEDED, _J.RENDERING, *_STOPPABLE}),
    _J.SUCCEEDED: frozenset(),
    _J.FAILED: frozenset({_J.SUBMITTED}),
    _J.CANCELING: frozenset({_J.CANCELED, _J.SUBMITTED}),
    _J.CANCELED: frozenset({_J.SUBMITTED}),
}

TASK_TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    _T.WAITING: frozenset({_T.QUEUED, _T.SUCCEEDED, _T.CANCELED}),
    # queued -> queued: its message was lost and is sent again
    _T.QUEUED: frozenset({_T.QUEUED, _T.RUNNING, _T.SUCCEEDED, _T.WAITING, _T.FAILED, _T.CANCELED}),
    _T.RUNNING: frozenset({_T.SUCCEEDED, _T.RETRYING, _T.QUEUED, _T.WAITING, _T.FAILED, _T.CANCELED}),
    _T.RETRYING: frozenset({_T.QUEUED, _T.RUNNING, _T.SUCCEEDED, _T.WAITING, _T.CANCELED}),
    _T.SUCCEEDED: frozenset({_T.WAITING}),  # its manifest or a frame was lost: done again
    _T.FAILED: frozenset({_T.WAITING}),
    _T.CANCELED: frozenset({_T.WAITING}),
}

JOB_ENDED = frozenset({_J.SUCCEEDED, _J.FAILED, _J.CANCELED})
"""States in which nothing more happens until a user asks."""

JOB_LIVE = frozenset({_J.SUBMITTED, _J.PLANNING, _J.RENDERING, _J.ASSEMBLING})
"""States in which the coordinator moves the job on."""

TASK_IN_HAND = frozenset({_T.QUEUED, _T.RUNNING})
"""States of a task whose end somebody will tell."""


def check_job(before: JobState, after: JobState) -> None:
    """Raise InvalidTransition where the job table has no way from `before` to `after`."""
    _check(before, after, before == after or after in JOB_TRANSITIONS[before])


def check_task(before: TaskState, after: TaskState) -> None:
    """Raise InvalidTransition where the task table has no way from `before` to `after`."""
    _check(before, after, before == after or after in TASK_TRANSITIONS[before])


def _check(before: str, after: str, allowed: bool) -> None:
    if not allowed:
        raise InvalidTransition(f"{before} can't become {after}", before=before, after=after)
