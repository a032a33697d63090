"""Where a film is cut for its encoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm.contract.errors import PermanentError
from farm.contract.params import Coherence
from farm.contract.plan import FrameRange
from farm.plan import make_plan
from farm.segments import LAST_FRAMES, SEGMENT_FRAMES, segment_at, segments


def ends(frames: int, chunk_frames: int = 48, cuts: tuple[int, ...] = ()) -> list[tuple[int, int]]:
    plan = make_plan(frames, (64, 48), cuts, chunk_frames, 2, "x")
    return [(segment.start, segment.stop) for segment in segments(plan)]


def test_a_short_film_is_one_segment() -> None:
    assert ends(1) == [(0, 1)]
    assert ends(95) == [(0, 95)]


def test_a_segment_is_a_run_of_chunks_of_96_frames_at_least() -> None:
    assert ends(288) == [(0, 96), (96, 192), (192, 288)]
    assert ends(210, 40) == [(0, 105), (105, 210)]  # chunks of 35


def test_a_short_end_joins_the_segment_before() -> None:
    assert ends(96 + 47) == [(0, 143)]
    assert ends(96 + 48, 16) == [(0, 96), (96, 144)]


def test_segments_go_over_cuts() -> None:
    assert ends(200, 48, (30, 100, 101)) == [(0, 100), (100, 200)]


@given(
    frames=st.integers(1, 2_000),
    chunk_frames=st.integers(1, 300),
    cuts=st.lists(st.integers(0, 2_000), max_size=12),
    coherence=st.sampled_from(Coherence),
)
def test_segments_are_whole_chunks_cover_each_frame_once_and_none_is_short(
    frames: int, chunk_frames: int, cuts: list[int], coherence: Coherence
) -> None:
    plan = make_plan(frames, (64, 48), cuts, chunk_frames, 2, "x", coherence)
    found = segments(plan)
    assert [frame for segment in found for frame in range(segment.start, segment.stop)] == list(range(frames))
    assert {segment.start for segment in found} <= {chunk.start for chunk in plan.chunks}
    if len(found) > 1:
        assert min(len(segment) for segment in found[:-1]) >= SEGMENT_FRAMES
        assert len(found[-1]) >= LAST_FRAMES
    for segment in found:
        assert segment_at(plan, segment.start) == segment


def test_the_segments_of_a_film_of_two_hours_are_found_at_once() -> None:
    plan = make_plan(172_800, (64, 48), range(0, 172_800, 100), 48, 6, "x")
    assert segments(plan)[-1] == FrameRange(172_700, 172_800)


def test_a_segment_that_another_release_cut_is_refused_in_one_line() -> None:
    plan = make_plan(288, (64, 48), (), 48, 2, "x")
    assert segment_at(plan, 96) == FrameRange(96, 192)
    with pytest.raises(PermanentError, match=r"no segment begins at frame 80: .*of one release"):
        segment_at(plan, 80)
