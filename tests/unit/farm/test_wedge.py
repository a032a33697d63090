"""What a wedge paints: every value of one axis with every one of the other, and nothing that can't be painted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from clips import make_clip
from painted_job import memory_farm

from farm import styles
from farm.cli.wedge import axis_of
from farm.client import Farm
from farm.contract.errors import FarmError, InvalidInput, InvalidParameter, JobFailed
from farm.contract.messages import Priority
from farm.contract.params import Color, Params
from farm.contract.states import JobState
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
        f"{name}  ·  style-weight {weight}" for name in ("swirl", "My Oil") for weight in (0.5, 1.0, 2.0)
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


@pytest.mark.parametrize("text", ["", "steps", "steps=", "steps=1,,2", "steps=1,1", "steps=1,"])
def test_an_axis_without_clear_values_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match=r"--vary .*; ?|: give"):
        axis_of(text)


def test_a_style_whose_name_has_commas_is_one_value(tmp_path: Path) -> None:
    picture = tmp_path / "oil, on wood.png"
    picture.touch()
    assert axis_of(f"style={picture}") == Axis("style", (str(picture),))


class QuietFarm(Farm):
    """No coordinator hears of its jobs."""

    def advance(self, job: str) -> None:
        assert self.ledger.job(job) is not None


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    quiet = memory_farm(tmp_path)
    return QuietFarm(quiet.settings, quiet.store, quiet.ledger)


def test_each_picture_is_a_job_of_its_own_and_the_same_again_is_the_same_jobs(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20).path
    found = wedge_of(clip, 400, [Axis("steps", (1, 2))], SWIRL, size_px=64)
    jobs = found.submit(farm, Priority.HIGH)
    assert len({job.name for job in jobs}) == 2
    assert [job.spec.params.steps for job in jobs] == [1, 2]
    assert {str(job.spec.excerpt) for job in jobs} == {"0:00.4 to 0:00.401"}
    assert {job.spec.size_px for job in jobs} == {64}
    jobs[0].cancel()
    farm.ledger.move_job(jobs[0].name, JobState.CANCELED)
    again = found.submit(farm)
    assert [job.name for job in again] == [job.name for job in jobs]
    assert [job.status().state for job in again] == [JobState.SUBMITTED] * 2


def test_one_that_fails_leaves_the_others(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20).path
    found = wedge_of(clip, 400, [Axis("steps", (1, 2, 3))], SWIRL, size_px=64)
    jobs, seen = found.submit(farm), []
    ends = (JobState.PLANNING, JobState.RENDERING, JobState.ASSEMBLING, JobState.SUCCEEDED)
    for job in (jobs[0], jobs[2]):
        for state in ends:
            farm.ledger.move_job(job.name, state)
    farm.ledger.move_job(jobs[1].name, JobState.FAILED, error="no memory")
    failed = wait(jobs, lambda status, done: seen.append((status.job, done)))
    assert [error.job for error in failed] == [jobs[1].name]
    assert seen == [(jobs[0].name, 1.0), (jobs[1].name, 1.0), (jobs[2].name, 3.0)]
    with pytest.raises(FarmError, match=r"is not done"):
        found.picture(jobs)  # those that succeeded are asked for


def test_where_nothing_was_painted_there_is_no_picture(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=20).path
    found = wedge_of(clip, 400, [Axis("steps", (1, 2))], SWIRL, size_px=64)
    jobs = found.submit(farm)
    with pytest.raises(JobFailed, match=r"none of the 2 pictures was painted; `farm explain clip-"):
        found.picture(jobs)
