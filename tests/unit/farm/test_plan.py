"""Chunks cover each frame once, never cross a cut, and leave no runts."""

from __future__ import annotations

import time
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farm.contract.codec import from_json, to_json
from farm.contract.errors import InvalidParameter
from farm.contract.params import Coherence
from farm.contract.plan import LEAD_FRAMES, Boundary, Chunk, FrameRange, Plan
from farm.plan import ANCHOR_COST, chosen_chunk_frames, make_plan


def _plan(frame_count, cuts=(), chunk_frames=48, blend_frames=6):
    return make_plan(frame_count, (320, 180), cuts, chunk_frames, blend_frames, "0" * 64)


def test_a_plan_by_hand():
    plan = _plan(20, cuts=[12], chunk_frames=5, blend_frames=3)
    assert plan.shots == (FrameRange(0, 12), FrameRange(12, 20))
    # 12 frames in 3 chunks of 4, not 5 + 5 + 2; 8 frames in 2 chunks of 4
    assert plan.chunks == (Chunk(0, 4, 0), Chunk(4, 8, 0), Chunk(8, 12, 0), Chunk(12, 16, 1), Chunk(16, 20, 1))
    assert plan.boundaries == (Boundary(4, 7, 0, 0), Boundary(8, 11, 0, 4), Boundary(16, 19, 1, 12))


def test_a_blend_window_ends_with_its_chunk():
    assert _plan(6, chunk_frames=2, blend_frames=6).boundaries == (Boundary(2, 4, 0, 0), Boundary(4, 6, 0, 2))


def test_without_a_blend_there_are_no_boundaries():
    assert _plan(100, chunk_frames=10, blend_frames=0).boundaries == ()


def test_a_single_frame_is_one_chunk():
    assert _plan(1).chunks == (Chunk(0, 1, 0),)


def test_cuts_outside_the_clip_and_twice_are_passed_over():
    assert _plan(10, cuts=[0, 5, 5, 10, 99, -3]).shots == (FrameRange(0, 5), FrameRange(5, 10))


@settings(deadline=None, max_examples=60)
@given(
    frame_count=st.integers(1, 3000),
    cuts=st.lists(st.integers(-5, 3005), max_size=40),
    chunk_frames=st.integers(1, 400),
    blend_frames=st.integers(0, 64),
)
def test_every_plan_keeps_the_rules(frame_count, cuts, chunk_frames, blend_frames):
    plan = _plan(frame_count, cuts, chunk_frames, blend_frames)
    assert [f for chunk in plan.chunks for f in range(chunk.start, chunk.stop)] == list(range(frame_count))
    assert [f for shot in plan.shots for f in range(shot.start, shot.stop)] == list(range(frame_count))
    assert {shot.start for shot in plan.shots} == {0} | {cut for cut in cuts if 0 < cut < frame_count}
    of_shot = [[len(chunk.frames) for chunk in chunks] for _, chunks in groupby(plan.chunks, key=lambda c: c.shot)]
    for shot, lengths in zip(plan.shots, of_shot, strict=True):
        assert sum(lengths) == len(shot)
        assert max(lengths) <= chunk_frames
        assert max(lengths) - min(lengths) <= 1
        assert len(lengths) == -(-len(shot) // chunk_frames)
    starts = {chunk.start: chunk for chunk in plan.chunks}
    for boundary in plan.boundaries:
        later, earlier = starts[boundary.start], starts[boundary.before]
        assert earlier.stop == later.start
        assert earlier.shot == later.shot == boundary.shot
        assert boundary.start < boundary.stop == min(boundary.start + blend_frames, later.stop)
    joins = sum(a.shot == b.shot for a, b in zip(plan.chunks, plan.chunks[1:], strict=False))
    assert len(plan.boundaries) == (joins if blend_frames else 0)
    assert from_json(Plan, to_json(plan)) == plan


def test_a_million_frames_are_planned_in_no_time():
    start = time.perf_counter()
    plan = _plan(1_000_000, cuts=range(0, 1_000_000, 100), chunk_frames=48)
    assert time.perf_counter() - start < 2.0
    assert len(plan.chunks) == 30_000


def _starts(motion, chunk_frames=48, cuts=(), blend_frames=6):
    plan = make_plan(len(motion), (320, 180), cuts, chunk_frames, blend_frames, "0" * 64, motion=motion)
    return [chunk.start for chunk in plan.chunks]


def test_a_boundary_gives_way_to_what_moves():
    """Around it, in the frames of an anchor's lead-in, of the blend, and the one after, there is least of it."""
    assert _starts([10] * 132) == [0, 44, 88]
    assert _starts([10] * 40 + [50] * 8 + [10] * 84) == [0, 48, 88]  # later, as far as a chunk may reach
    assert _starts([10] * 44 + [50] * 8 + [10] * 80) == [0, 39, 87]  # sooner, and the next chunk is no longer than 48
    assert _starts([10] * 84 + [50] * 5 + [10] * 43) == [0, 45, 93]


def test_a_boundary_moves_for_no_trifle_and_where_nothing_moves_stays():
    assert _starts([100] * 40 + [103] * 8 + [100] * 84) == [0, 44, 88]
    assert _starts([0] * 132) == [0, 44, 88]


def test_chunks_that_are_as_long_as_they_may_be_stay():
    assert _starts([10] * 90 + [90] * 12 + [10] * 90) == [0, 48, 96, 144]


def test_each_shot_is_cut_by_what_moves_in_it_and_a_cut_is_no_motion():
    shot = [10] * 31 + [50] * 5 + [10] * 24
    cut = [9000, *shot[1:]]
    assert _starts([*shot, *cut], cuts=[60]) == [0, 27, 60, 87]


@settings(deadline=None, max_examples=60)
@given(
    motion=st.lists(st.integers(0, 5000), min_size=1, max_size=400),
    cuts=st.lists(st.integers(0, 400), max_size=6),
    chunk_frames=st.integers(1, 60),
    blend_frames=st.integers(0, 12),
)
def test_plans_by_motion_keep_the_rules_and_are_calmer(motion, cuts, chunk_frames, blend_frames):
    even = _plan(len(motion), cuts, chunk_frames, blend_frames)
    plan = make_plan(len(motion), (320, 180), cuts, chunk_frames, blend_frames, "0" * 64, motion=motion)
    assert [f for chunk in plan.chunks for f in range(chunk.start, chunk.stop)] == list(range(len(motion)))
    assert (plan.shots, len(plan.chunks)) == (even.shots, len(even.chunks))
    for shot, chunks in groupby(zip(plan.chunks, even.chunks, strict=True), key=lambda pair: pair[0].shot):
        pairs = list(chunks)
        length = len(even.shots[shot]) / len(pairs)
        unrest = [0.0, 0.0]
        for chunk, one in pairs:
            assert len(chunk.frames) <= chunk_frames
            assert len(chunk.frames) >= int(length) - 2 * int(length / 8)
            assert abs(chunk.start - one.start) <= length / 8
            for at, start in enumerate((chunk.start, one.start)):
                first, stop = even.shots[shot].start, even.shots[shot].stop
                own = [*motion[first + 1 : first + 2], *motion[first + 1 : stop]]
                window = own[max(0, start - first - LEAD_FRAMES) : start - first + blend_frames + 1]
                unrest[at] += sum(window) / len(window) if start > first else 0.0
        assert unrest[0] <= unrest[1] + 1e-6


def test_a_million_frames_are_cut_by_what_moves_in_seconds():
    start = time.perf_counter()
    starts = _starts([number * 7919 % 101 for number in range(1_000_000)], chunk_frames=50, cuts=[990])
    assert time.perf_counter() - start < 20.0
    assert len(starts) == 20 + -(-999_010 // 50)


@pytest.mark.parametrize(("frame_count", "chunk_frames"), [(0, 48), (-1, 48), (10, 0), (10, -4)])
def test_what_can_not_be_planned_is_refused(frame_count, chunk_frames):
    with pytest.raises(InvalidParameter):
        _plan(frame_count, chunk_frames=chunk_frames)


def test_sequential_coherence_makes_every_shot_one_chunk() -> None:
    made = make_plan(20, (320, 180), [12], 4, 6, "0" * 64, Coherence.SEQUENTIAL)
    assert [(chunk.start, chunk.stop) for chunk in made.chunks] == [(0, 12), (12, 20)]
    assert made.boundaries == ()


@pytest.mark.parametrize("coherence", [item for item in Coherence if item is not Coherence.BLEND])
def test_only_blend_coherence_has_boundaries(coherence: Coherence) -> None:
    made = make_plan(20, (320, 180), [12], 4, 6, "0" * 64, coherence)
    assert made.boundaries == ()
    assert made.linked is (coherence is Coherence.ANCHORS)


@pytest.mark.parametrize(
    ("frame_count", "workers", "chunk_frames"),
    [
        (132, 0, 48),
        (132, 1, 48),
        (48, 2, 32),
        (24, 2, 16),
        (8, 4, 48),
        (480, 8, 32),
        (172_800, 1, 48),
        (172_800, 512, 48),
    ],
)
def test_chunks_are_shorter_where_workers_would_be_idle(frame_count: int, workers: int, chunk_frames: int) -> None:
    assert chosen_chunk_frames(frame_count, workers) == chunk_frames


def test_a_chosen_length_costs_little_on_any_farm() -> None:
    for frame_count in (24, 60, 100, 480, 5_000):
        for workers in (1, 2, 5, 16, 200):
            chunk_frames = chosen_chunk_frames(frame_count, workers)
            count = -(-frame_count // chunk_frames)
            assert (count - 1) * ANCHOR_COST <= 0.4 * frame_count
