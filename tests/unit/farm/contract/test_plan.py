"""A plan says which chunks meet."""

from __future__ import annotations

from dataclasses import replace

import pytest

from farm.contract.plan import Chunk, FrameRange, Plan

CHUNKS = (Chunk(0, 4, 0), Chunk(4, 8, 0), Chunk(8, 10, 1), Chunk(10, 12, 1))
PLAN = Plan(12, 64, 48, "0" * 64, (FrameRange(0, 8), FrameRange(8, 12)), CHUNKS, ())


def test_a_chunk_is_found_by_its_first_frame() -> None:
    assert [PLAN.chunk(chunk.start) for chunk in CHUNKS] == list(CHUNKS)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (2, 3)])
def test_chunks_of_one_shot_meet(one: int, other: int) -> None:
    assert PLAN.after(CHUNKS[one]) == CHUNKS[other]
    assert PLAN.before(CHUNKS[other]) == CHUNKS[one]


def test_at_a_cut_and_at_the_ends_nothing_meets() -> None:
    assert [PLAN.before(chunk) for chunk in (CHUNKS[0], CHUNKS[2])] == [None, None]
    assert [PLAN.after(chunk) for chunk in (CHUNKS[1], CHUNKS[3])] == [None, None]


def test_where_no_chunks_are_linked_none_meet() -> None:
    plan = replace(PLAN, linked=False)
    assert plan.after(CHUNKS[0]) is plan.before(CHUNKS[1]) is None
