"""The benchmark's choice of frames and jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cases import (
    EXCERPT_FRAMES,
    Case,
    Scope,
    Shot,
    excerpt_frames,
    farm_ask,
    fresh_frames,
    sequential_ask,
    tenth_of,
)
from bench.clips import BIKES, BUNNY, REAL
from farm.contract.params import Coherence

SCOPE = Scope(Path("clips"))


@pytest.mark.parametrize("count", [8, 16, 61, 120, 132])
def test_fresh_frames_lie_in_the_first_and_the_last_tenth(count: int) -> None:
    tenth = tenth_of(count)
    first = [frame for frame in fresh_frames(count) if frame < tenth]
    last = [frame for frame in fresh_frames(count) if frame >= count - tenth]
    assert len(first) == len(last) == min(2, tenth)
    assert sorted(first + last) == fresh_frames(count)
    assert max(last) < count


def test_fresh_frames_of_a_known_shot() -> None:
    assert fresh_frames(120) == [3, 9, 111, 117]


@pytest.mark.parametrize("clip", REAL)
@pytest.mark.parametrize("frames", [8, 16, 30, 10_000])
def test_an_excerpt_lies_inside_its_shot(clip, frames: int) -> None:
    found = excerpt_frames(clip, Scope(Path("clips"), frames=frames))
    assert found.start >= 0
    assert found.stop <= min(len(clip), frames)
    assert len(found) == min(EXCERPT_FRAMES, frames)


def test_the_farm_is_held_against_the_same_shot_in_one_piece() -> None:
    case = Case(Shot(BUNNY, Path("bunny.mp4"), 132), "swirl")
    ours, whole = farm_ask(case, 12, SCOPE), sequential_ask(case, SCOPE)
    assert (ours.params.coherence, whole.params.coherence) == (Coherence.BLEND, Coherence.SEQUENTIAL)
    assert (ours.clip, ours.style, ours.size_px) == (whole.clip, whole.style, whole.size_px)
    assert ours.chunk_frames == 12


def test_the_same_case_is_the_same_job() -> None:
    case = Case(Shot(BIKES, Path("bikes.mp4"), 61), "swirl")
    assert farm_ask(case, 48, SCOPE) == farm_ask(case, 48, Scope(Path("elsewhere")))
