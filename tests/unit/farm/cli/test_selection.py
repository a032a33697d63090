"""Which job a command means where none is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from painted_job import memory_farm

from farm.cli.jobs import _has_failed
from farm.cli.selection import chosen_job, job_to_change
from farm.client import Farm
from farm.contract.errors import InvalidInput, JobNotFound
from farm.contract.messages import Stage, TaskId
from farm.contract.states import JOB_LIVE, JobState, TaskState
from farm.ledger import JobRecord


def farm_with(folder: Path, *states: JobState) -> Farm:
    """Jobs in these states, the newest last."""
    farm = memory_farm(folder)
    for number, state in enumerate(states):
        farm.ledger.create_job(JobRecord(f"clip-000000000{number}", state, created_s=float(number)))
    return farm


def test_the_newest_is_shown(tmp_path: Path) -> None:
    farm = farm_with(tmp_path, JobState.RENDERING, JobState.SUCCEEDED)
    assert chosen_job(farm, None).name == "clip-0000000001"


def test_the_only_one_it_can_be_is_changed_though_another_is_newer(tmp_path: Path) -> None:
    farm = farm_with(tmp_path, JobState.RENDERING, JobState.SUCCEEDED)
    assert job_to_change(farm, None, JOB_LIVE, "canceled").name == "clip-0000000000"


def test_of_several_none_is_changed_by_chance(tmp_path: Path) -> None:
    farm = farm_with(tmp_path, JobState.RENDERING, JobState.SUBMITTED)
    with pytest.raises(InvalidInput, match="2 jobs can be canceled; name one of clip-0000000001, clip-0000000000"):
        job_to_change(farm, None, JOB_LIVE, "canceled")
    assert job_to_change(farm, "clip-0000000000", JOB_LIVE, "canceled").name == "clip-0000000000"


def test_where_it_can_be_none_the_newest_says_why(tmp_path: Path) -> None:
    assert job_to_change(farm_with(tmp_path, JobState.FAILED), None, JOB_LIVE, "canceled").name == "clip-0000000000"
    with pytest.raises(JobNotFound, match="no job yet"):
        job_to_change(memory_farm(tmp_path), None, JOB_LIVE, "canceled")


def test_a_job_that_goes_on_with_a_failed_chunk_can_be_tried_again_as_well(tmp_path: Path) -> None:
    farm = farm_with(tmp_path, JobState.FAILED, JobState.RENDERING, JobState.RENDERING)
    task = TaskId(Stage.STYLIZE, 0)
    for state in (TaskState.QUEUED, TaskState.FAILED):
        assert farm.ledger.move_task("clip-0000000001", task, state)
    with pytest.raises(InvalidInput, match="2 jobs can be tried again; name one of clip-0000000001, clip-0000000000"):
        job_to_change(farm, None, JOB_LIVE | {JobState.FAILED}, "tried again", _has_failed)
    assert farm.ledger.move_job("clip-0000000000", JobState.SUBMITTED)
    found = job_to_change(farm, None, JOB_LIVE | {JobState.FAILED}, "tried again", _has_failed)
    assert found.name == "clip-0000000001"
