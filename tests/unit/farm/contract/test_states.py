from __future__ import annotations

import pytest

from farm.contract.errors import InvalidTransition
from farm.contract.states import (
    JOB_ENDED,
    JOB_LIVE,
    JOB_TRANSITIONS,
    TASK_TRANSITIONS,
    JobState,
    TaskState,
    check_job,
    check_task,
)


def test_each_state_has_its_row_in_the_table() -> None:
    assert set(JOB_TRANSITIONS) == set(JobState)
    assert set(TASK_TRANSITIONS) == set(TaskState)


def test_a_way_the_table_has_is_allowed_and_another_is_not() -> None:
    check_job(JobState.SUBMITTED, JobState.PLANNING)
    check_task(TaskState.RUNNING, TaskState.SUCCEEDED)
    with pytest.raises(InvalidTransition, match="succeeded can't become rendering"):
        check_job(JobState.SUCCEEDED, JobState.RENDERING)
    with pytest.raises(InvalidTransition):
        check_task(TaskState.WAITING, TaskState.RUNNING)


def test_every_job_that_is_live_can_be_canceled_and_can_fail() -> None:
    for state in JOB_LIVE:
        assert {JobState.CANCELING, JobState.FAILED} <= JOB_TRANSITIONS[state]
    assert not JOB_LIVE & JOB_ENDED


def test_from_every_state_a_job_can_come_to_an_end() -> None:
    for state in JobState:
        seen, front = {state}, {state}
        while front:
            front = {after for before in front for after in JOB_TRANSITIONS[before]} - seen
            seen |= front
        assert seen & JOB_ENDED
