"""A preview shows what is there, spread over the film, each frame as the latest task left it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from painted_job import memory_farm

from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.errors import FarmError, JobFailed, ObjectNotFound, WaitTimeout
from farm.contract.messages import Stage, StoredFrame, TaskId
from farm.contract.states import JobState
from farm.job import Job
from farm.ledger import JobRecord
from farm.plan import make_plan
from farm.png import png_bytes
from farm.preview import chosen

PLAN = make_plan(120, (320, 180), [70], 24, 4, "0" * 64)
STARTS = [chunk.start for chunk in PLAN.chunks]
ANCHORS = {TaskId(Stage.ANCHOR, start): 1 for start in STARTS}
WHOLE = ANCHORS | {TaskId(Stage.STYLIZE, chunk.start): len(chunk.frames) for chunk in PLAN.chunks}


def test_nothing_is_shown_of_a_job_that_has_painted_nothing() -> None:
    assert chosen(PLAN, {}, 12) == []
    assert chosen(PLAN, {TaskId(Stage.PLAN, 0): 120, TaskId(Stage.ANCHOR, 0): 0}, 12) == []


def test_anchors_are_shown_before_there_are_chunks() -> None:
    found = chosen(PLAN, ANCHORS, 12)
    assert [stored.frame for stored in found] == STARTS
    assert {stored.maker for stored in found} == set(ANCHORS)


def test_a_whole_film_is_shown_at_even_steps() -> None:
    assert [stored.frame for stored in chosen(PLAN, WHOLE, 6)] == [10, 30, 50, 70, 90, 110]
    assert [stored.frame for stored in chosen(PLAN, WHOLE, 1)] == [60]


def test_of_what_is_not_painted_the_nearest_frame_is_shown_once() -> None:
    done = {TaskId(Stage.ANCHOR, 0): 1, TaskId(Stage.STYLIZE, 0): 12}
    assert [stored.frame for stored in chosen(PLAN, done, 6)] == [10, 11]
    late = STARTS[-1]
    assert [stored.frame for stored in chosen(PLAN, {TaskId(Stage.ANCHOR, late): 1}, 6)] == [late]


def test_each_frame_is_as_the_latest_task_left_it() -> None:
    boundary = PLAN.boundaries[0]
    begun = WHOLE | {TaskId(Stage.BLEND, boundary.start): 2}
    stages = {stored.frame: stored.maker.stage for stored in chosen(PLAN, begun, PLAN.frame_count)}
    assert len(stages) == PLAN.frame_count
    blended = {frame for frame, stage in stages.items() if stage is Stage.BLEND}
    assert blended == {boundary.start, boundary.start + 1}
    assert set(stages.values()) == {Stage.BLEND, Stage.STYLIZE}


def test_a_film_whose_tasks_the_ledger_forgot_is_shown_as_long_as_its_frames_are_there(tmp_path: Path) -> None:
    farm, name = memory_farm(tmp_path), "clip-0123456789"
    farm.ledger.create_job(JobRecord(name, JobState.SUCCEEDED, created_s=1.0, finished_s=2.0, frame_count=120))
    farm.store.put(keys.plan(name), to_json(PLAN))
    picture = png_bytes(np.zeros((18, 32, 3), np.uint8))
    for stage in (Stage.STYLIZE, Stage.BLEND):
        for frame in range(120):
            farm.store.put(keys.frame(name, StoredFrame(TaskId(stage), frame)), picture)
    assert farm.ledger.tasks(name) == farm.ledger.frames_done(name) == {}
    assert Job(farm, name).preview(tmp_path / "film.png").exists()


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        (JobState.RENDERING, WaitTimeout, "`farm watch clip-0123456789`"),
        (JobState.CANCELED, JobFailed, "`farm resume clip-0123456789`"),
        (JobState.SUCCEEDED, ObjectNotFound, "`farm fetch --contact FILE`"),
    ],
)
def test_where_there_is_nothing_to_show_the_cure_is_named(
    state: JobState, error: type[FarmError], said: str, tmp_path: Path
) -> None:
    farm = memory_farm(tmp_path)
    farm.ledger.create_job(JobRecord("clip-0123456789", state, created_s=1.0))
    with pytest.raises(error) as caught:
        Job(farm, "clip-0123456789").preview(tmp_path / "so_far.png")
    assert said in caught.value.message
    assert not (tmp_path / "so_far.png").exists()
