from __future__ import annotations

from dataclasses import replace

import pytest

from farm.contract.messages import Stage, TaskId
from farm.contract.states import JobState, TaskState
from farm.ledger import JobRecord, TaskRecord
from farm.status import JobStatus, job_status

RECORD = JobRecord(
    "clip-0123456789", JobState.RENDERING, created_s=90.0, started_s=100.0,
    frame_count=40, chunk_count=4, boundary_count=3, blend_frame_count=18, segment_count=2,
)  # fmt: skip
RUNNING = TaskRecord(TaskState.RUNNING, 1, worker="one")


def at(now_s: float, record: JobRecord = RECORD, done: int = 10) -> JobStatus:
    tasks = {TaskId(Stage.STYLIZE, 0): TaskRecord(TaskState.SUCCEEDED, 1), TaskId(Stage.STYLIZE, 10): RUNNING}
    frames = {TaskId(Stage.STYLIZE, 0): done}
    return job_status(record, tasks, frames, now_s=now_s, workers_alive=2, coordinators_alive=1)


def test_speed_counts_from_when_the_first_chunk_was_taken_until_the_last_is_painted() -> None:
    """Anchors come before, blends and segments after: they are no slow frames."""
    first, second = TaskId(Stage.STYLIZE, 0), TaskId(Stage.STYLIZE, 10)
    done = TaskRecord(TaskState.SUCCEEDED, 1, since_s=160.0, began_s=140.0)
    tasks = {first: done, second: replace(RUNNING, since_s=150.0, began_s=150.0, began_frames=4)}
    status = job_status(RECORD, tasks, {first: 10, second: 9}, now_s=165.0, workers_alive=2, coordinators_alive=1)
    assert status.frames_per_s == 15 / 25
    assert status.elapsed_s == 75.0
    tasks[second] = replace(done, since_s=170.0, began_s=150.0, began_frames=4)
    status = job_status(RECORD, tasks, {first: 10, second: 10}, now_s=500.0, workers_alive=2, coordinators_alive=1)
    assert status.frames_per_s == 16 / 30


def test_what_is_done_by_its_manifest_alone_has_no_speed() -> None:
    assert at(120.0).frames_per_s == 0.0


def test_before_the_first_frame_no_time_left_is_told() -> None:
    assert at(120.0, done=0).eta_s is None


def test_only_a_job_that_renders_has_time_left() -> None:
    assert at(120.0, replace(RECORD, state=JobState.PAUSED)).eta_s is None
    assert at(120.0, replace(RECORD, state=JobState.ASSEMBLING)).eta_s is None


def test_a_segment_counts_its_frames() -> None:
    tasks = {TaskId(Stage.SEGMENT, 0): TaskRecord(TaskState.SUCCEEDED, 1), TaskId(Stage.SEGMENT, 30): RUNNING}
    frames = {TaskId(Stage.SEGMENT, 0): 30}
    segment = job_status(RECORD, tasks, frames, now_s=160.0, workers_alive=2, coordinators_alive=1).stage(Stage.SEGMENT)
    assert (segment.tasks, segment.tasks_done, segment.tasks_running) == (2, 1, 1)
    assert (segment.frames, segment.frames_done) == (40, 30)


def test_a_stage_counts_its_own_tasks_and_frames() -> None:
    stylize = at(120.0).stage(Stage.STYLIZE)
    assert (stylize.tasks, stylize.tasks_done, stylize.tasks_running) == (4, 1, 1)
    assert (stylize.frames, stylize.frames_done) == (40, 10)
    assert at(120.0).stage(Stage.BLEND).frames == 18


def test_the_fraction_done_is_of_the_work_not_of_the_stages() -> None:
    """As many frames are planned, encoded and joined as are painted: painting is what takes the time."""
    stages = {Stage.PLAN: 40, Stage.ANCHOR: 4, Stage.STYLIZE: 40, Stage.BLEND: 18, Stage.SEGMENT: 40}
    expected = {Stage.PLAN: 0.01, Stage.ANCHOR: 0.42, Stage.STYLIZE: 0.92, Stage.BLEND: 0.97, Stage.SEGMENT: 0.999}
    frames: dict[TaskId, int] = {}
    for stage, count in stages.items():
        frames[TaskId(stage, 0)] = count
        tasks = dict.fromkeys(frames, RUNNING)
        status = job_status(RECORD, tasks, frames, now_s=160.0, workers_alive=2, coordinators_alive=1)
        assert status.fraction == pytest.approx(expected[stage], abs=0.02)
    assert status.fraction < 1


def test_the_workers_of_a_job_are_those_that_hold_its_tasks() -> None:
    assert at(120.0).workers == ("one",)


def test_the_clock_of_an_ended_job_stands_still() -> None:
    ended = JobRecord("clip-0123456789", JobState.FAILED, created_s=90.0, started_s=100.0, finished_s=130.0)
    assert at(500.0, ended).elapsed_s == 40.0
    assert at(500.0, ended).ended


def test_a_job_that_succeeded_is_wholly_done() -> None:
    done = JobRecord("clip-0123456789", JobState.SUCCEEDED, created_s=1.0, finished_s=2.0)
    assert at(3.0, done).fraction == 1.0
    forgotten = replace(RECORD, state=JobState.SUCCEEDED, finished_s=500.0)
    status = job_status(forgotten, {}, {}, now_s=600.0, workers_alive=0, coordinators_alive=0)
    assert [(part.tasks_done, part.frames_done) for part in status.stages] == [
        (1, 40), (4, 4), (4, 40), (3, 18), (2, 40), (1, 40),
    ]  # fmt: skip
    assert (status.elapsed_s, status.failed_tasks) == (410.0, 0)
