"""What a wedge paints: every value of one axis with every one of the other, and nothing that can't be painted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from clips import make_clip
from numpy.typing import NDArray
from painted_job import QuietFarm, memory_farm

from farm import styles, video
from farm.cli.wedge import axis_of
from farm.client import Farm
from farm.contract import keys
from farm.contract.codec import sha256_hex, to_json
from farm.contract.errors import InvalidInput, InvalidParameter, JobFailed
from farm.contract.messages import FrameRecord, Manifest, Priority, Stage
from farm.contract.params import Color, Params
from farm.contract.states import JobState
from farm.frames import FinalFrames
from farm.job import Job
from farm.plan import make_plan
from farm.png import png_bytes
from farm.wedge import Axis, Wedge, wait, wedge_of

SWIRL = (("swirl", 1.0),)


def wedge(*axes: Axis, style: tuple[tuple[str, float], ...] = (), params: Params | None = None) -> Wedge:
    return wedge_of("clip.mp4", 1500, axes, style, params)


def test_without_an_axis_it_is_painted_in_all_built_in_styles() -> None:
    found = wedge(params=Params(steps=30))
    assert [item.styles for item in found.variations] == [((name, 1.0),) for name in styles.names()]
    assert [item.caption for item in found.variations] == list(styles.names())
    assert {item.params for item in found.variations} == {Params(steps=30)}


def test_of_two_axes_every_value_meets_every_other() -> None:
    found = wedge(Axis("style", ("swirl", "pictures/My Oil.jpg")), Axis("style_weight", (0.5, 1.0, 2.0)))
    assert [item.caption for item in found.variations] == [
        f"{name}  ·  style-weight {weight}" for name in ("swirl", "My Oil") for weight in ("0.5", "1", "2")
    ]
    assert [item.params.style_weight for item in found.variations] == [0.5, 1.0, 2.0] * 2
    assert found.all_styles == (("swirl", 1.0), ("pictures/My Oil.jpg", 1.0))


def test_a_parameter_alone_is_varied_in_the_style_given_or_in_every_one() -> None:
    mixed = (("swirl", 2.0), ("ember", 1.0))
    axis = Axis("style_scale", (0.5, 2.0))
    assert [item.styles for item in wedge(axis, style=mixed).variations] == [mixed, mixed]
    assert len(wedge(axis).variations) == 2 * len(styles.names())


@pytest.mark.parametrize(
    ("axes", "style", "words"),
    [
        ([], SWIRL, "nothing is varied; give e.g. --vary"),
        ([Axis("style", ("ember",))], SWIRL, "--style does not go with --vary style"),
        ([Axis("steps", (1,)), Axis("steps", (2,))], SWIRL, "--vary steps is there twice"),
        ([Axis("steps", (1,)), Axis("seed", (1,))], (), "steps, seed, style: .* vary 2 at the most, and give --style"),
        ([Axis("steps", tuple(range(1, 99)))], SWIRL, "98 pictures; give fewer values, for 64 at the most"),
        ([Axis("chunk", (1, 2))], SWIRL, "--vary chunk: it can't be varied; give one of style, backbone"),
        ([Axis("steps", (10, 0))], SWIRL, "--steps 0 is outside its range"),
        ([Axis("color", ("style",))], SWIRL, "--color 'style' is unknown"),
    ],
)
def test_what_makes_no_wedge_is_refused(axes: list[Axis], style: Any, words: str) -> None:
    with pytest.raises((InvalidInput, InvalidParameter), match=words):
        wedge(*axes, style=style)


@pytest.mark.parametrize(
    ("text", "axis"),
    [
        ("style-weight=0.5,1", Axis("style_weight", (0.5, 1.0))),
        ("--steps = 10 , 20", Axis("steps", (10, 20))),
        ("color=content,match", Axis("color", (Color.CONTENT, Color.MATCH))),
        ("style=swirl,a.jpg", Axis("style", ("swirl", "a.jpg"))),
        ("steps=ten", Axis("steps", ("ten",))),  # refused with its range, as anywhere
    ],
)
def test_an_axis_is_a_flag_and_its_values(text: str, axis: Axis) -> None:
    assert axis_of(text) == axis


@pytest.mark.parametrize("text", ["", "steps", "steps=", "steps=1,,2", "steps=1,1", "steps=1,", "style-weight=1,1.0"])
def test_an_axis_without_clear_values_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"--vary .*; ?|: give"):
        axis_of(text)


def test_a_style_whose_name_has_commas_is_one_value(tmp_path: Path) -> None:
    picture = tmp_path / "oil, on wood.png"
    picture.touch()
    assert axis_of(f"style={picture}") == Axis("style", (str(picture),))


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    (tmp_path / "oil.png").write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))
    return make_clip(tmp_path / "clip.mp4", frames=20).path


def wedge_at_400_ms(clip: Path, *axes: Axis) -> Wedge:
    return wedge_of(clip, 400, axes, ((str(clip.with_name("oil.png")), 1.0),), size_px=64)


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    quiet = memory_farm(tmp_path)
    return QuietFarm(quiet.settings, quiet.store, quiet.ledger)


def test_each_picture_is_a_job_of_its_own_and_the_same_again_is_the_same_jobs(farm: Farm, clip: Path) -> None:
    found = wedge_at_400_ms(clip, Axis("steps", (1, 2)))
    jobs = list(found.submit(farm, Priority.HIGH))
    assert len({job.name for job in jobs}) == 2
    assert [job.spec.params.steps for job in jobs] == [1, 2]
    assert {str(job.spec.excerpt) for job in jobs} == {"0:00.4 to 0:00.401"}
    assert {job.spec.size_px for job in jobs} == {64}
    jobs[0].cancel()
    farm.ledger.move_job(jobs[0].name, JobState.CANCELED)
    again = list(found.submit(farm))
    assert [job.name for job in again] == [job.name for job in jobs]
    assert [job.status().state for job in again] == [JobState.SUBMITTED] * 2


def paint(farm: Farm, job: Job, level: int) -> None:
    """What workers and coordinator leave of a job of one frame, all of it grey."""
    spec, path = job.spec, farm.settings.home / "clip.mp4"
    index = video.index(path, excerpt=spec.excerpt)
    plan = make_plan(index.frame_count, (64, 42), [], spec.chunk_frames, spec.params.blend_frames, index.sha256)
    stored, png = FinalFrames(job.name, plan).stored(0), png_bytes(np.full((42, 64, 3), level, np.uint8))
    records = (FrameRecord(0, sha256_hex(png), {}),)
    manifest = Manifest(job.name, Stage.STYLIZE, 0, 1, "worker", "CPU", 1.0, 2.0, records)
    for key, data in (
        (keys.plan(job.name), to_json(plan)),
        (keys.index(job.name), to_json(index)),
        (keys.frame(job.name, stored), png),
        (keys.manifest(job.name, stored.maker), to_json(manifest)),
        (keys.output(job.name, "report.json"), b"{}"),
    ):
        farm.store.put(key, data)
    for state in (JobState.PLANNING, JobState.RENDERING, JobState.ASSEMBLING, JobState.SUCCEEDED):
        farm.ledger.move_job(job.name, state)


def levels_of(picture: NDArray[np.uint8], among: Sequence[int]) -> list[list[int]]:
    """The grey cells of a sheet, row by row."""
    places = {}
    for level in among:
        cell = (picture == level).all(axis=2)
        ys, xs = np.flatnonzero(cell.sum(axis=1) > 200), np.flatnonzero(cell.sum(axis=0) > 100)
        if len(ys):
            places[level] = int(ys[0]), int(xs[0])
    rows = sorted({y for y, _ in places.values()})
    return [sorted((level for level in places if places[level][0] == y), key=lambda at: places[at][1]) for y in rows]


def test_one_that_fails_leaves_the_others(farm: Farm, clip: Path) -> None:
    found = wedge_at_400_ms(clip, Axis("steps", (1, 2, 3)))
    jobs, seen = list(found.submit(farm)), []
    paint(farm, jobs[0], 90)
    paint(farm, jobs[2], 150)
    farm.ledger.move_job(jobs[1].name, JobState.FAILED, error="no memory")
    failed = wait(jobs, lambda status, done: seen.append((status.job, done)))
    assert [error.job for error in failed] == [jobs[1].name]
    assert seen == [(jobs[0].name, 1.0), (jobs[1].name, 1.0), (jobs[2].name, 3.0)]
    picture = found.picture(jobs)
    assert levels_of(picture, [90, 120, 150]) == [[90, 150]]
    index = video.index(clip, excerpt=jobs[0].spec.excerpt)
    source = next(video.decode(clip, index, 0, 1, (64, 42)))
    shown = cv2.resize(source, (240, 158), interpolation=cv2.INTER_CUBIC)
    assert cv2.matchTemplate(picture, shown, cv2.TM_SQDIFF_NORMED).min() < 1e-4


def test_two_axes_are_rows_and_columns(farm: Farm, clip: Path) -> None:
    found = wedge_at_400_ms(clip, Axis("seed", (1, 2, 3)), Axis("steps", (1, 2)))
    jobs, levels = list(found.submit(farm)), (90, 110, 130, 150, 170, 190)
    for job, level in zip(jobs, levels, strict=True):
        paint(farm, job, level)
    assert levels_of(found.picture(jobs), levels) == [[90, 110], [130, 150], [170, 190]]


def test_what_the_farm_no_longer_has_is_painted_again(farm: Farm, clip: Path) -> None:
    found = wedge_at_400_ms(clip, Axis("steps", (1, 2)))
    jobs = list(found.submit(farm))
    for job in jobs:
        paint(farm, job, 90)
    farm.store.delete([keys.stylized(jobs[1].name, 0)])
    again = list(found.submit(farm))
    assert again[0].name == jobs[0].name
    assert again[1].name != jobs[1].name
    assert again[1].spec.params == jobs[1].spec.params
    assert again[1].status().state is JobState.SUBMITTED


def test_where_nothing_was_painted_there_is_no_picture(farm: Farm, clip: Path) -> None:
    found = wedge_at_400_ms(clip, Axis("steps", (1, 2)))
    jobs = list(found.submit(farm))
    with pytest.raises(JobFailed, match=r"none of the 2 pictures was painted; `farm explain clip-"):
        found.picture(jobs)
