"""Time left follows the speed so far, and work found done says nothing of it."""

from __future__ import annotations

import pytest

from bench.pace import FIRST_GUESS_S, Pace, afresh_factor, clock, units
from farm.contract.params import Params


def test_a_unit_is_a_frame_of_320_by_180() -> None:
    assert units(10, (320, 180)) == 10
    assert units(10, (160, 90)) == 2.5
    assert units(10, (320, 180), 4.0) == 40


def test_a_frame_painted_from_nothing_costs_its_steps_on_every_level() -> None:
    assert afresh_factor(Params(steps=120, steps_next=27)) == pytest.approx(160 / 32)


def test_before_a_measurement_the_pace_is_a_guess() -> None:
    assert Pace(60).left_s() == 60 * FIRST_GUESS_S


def test_time_left_follows_the_speed_so_far() -> None:
    pace = Pace(60)
    pace.painted(20, 10)
    assert pace.left_s() == 20
    assert pace.left_s(job_work=20, job_fraction=0.5, job_s=5) == 15


def test_the_first_job_has_a_speed_as_soon_as_it_has_frames() -> None:
    assert Pace(60).left_s(job_work=20, job_fraction=0.5, job_s=30) == 150


def test_work_found_done_does_not_count_as_fast() -> None:
    pace = Pace(60)
    pace.painted(20, 10)
    pace.found(30)
    assert pace.left_s() == 5


@pytest.mark.parametrize(
    ("seconds", "text"), [(48.2, "48 s"), (89.4, "89 s"), (100, "2 min"), (3540, "59 min"), (3900, "1 h 05 min")]
)
def test_durations_are_said_as_people_say_them(seconds: float, text: str) -> None:
    assert clock(seconds) == text


def test_a_job_of_which_next_to_nothing_is_done_says_nothing_of_the_speed() -> None:
    """A minute into its first frame a job of an hour would be said to take days."""
    assert Pace(60).left_s(job_work=20, job_fraction=0.001, job_s=60) == pytest.approx(60 * FIRST_GUESS_S, rel=0.01)
    pace = Pace(60)
    pace.painted(20, 10)
    assert pace.left_s(job_work=20, job_fraction=0.0, job_s=60) == 20
