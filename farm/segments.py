"""A film cut in segments, each encoded by itself as soon as its frames are final. Pure.

Segments are about encoding only: they go over cuts, and their joins are no boundaries. A segment is a run of whole
chunks, so that it waits for no more tasks than it must.
"""

from __future__ import annotations

from farm.contract.errors import PermanentError
from farm.contract.plan import FrameRange, Plan

SEGMENT_FRAMES = 96
"""Least frames of a segment. Fewer, and key frames and beginnings cost more than they gain: a segment begins with a key
frame, and its encoder's look-ahead starts anew. More, and the film is there later after its last frame."""

LAST_FRAMES = SEGMENT_FRAMES // 2
"""A last segment with fewer joins the one before."""


def segments(plan: Plan) -> tuple[FrameRange, ...]:
    """The film's segments in order. They cover each frame once; a film that is short enough is one."""
    joins, start = [0], 0
    for chunk in plan.chunks:
        if chunk.stop - start >= SEGMENT_FRAMES:
            start = chunk.stop
            joins.append(start)
    if len(joins) > 1 and plan.frame_count - joins[-1] < LAST_FRAMES:
        joins.pop()
    return tuple(FrameRange(*ends) for ends in zip(joins, (*joins[1:], plan.frame_count), strict=True))


def segment_at(plan: Plan, start: int) -> FrameRange:
    """The segment that begins at a frame. PermanentError where none does: another release cut the film elsewhere."""
    for segment in segments(plan):
        if segment.start == start:
            return segment
    raise PermanentError(
        f"no segment begins at frame {start}: another release of the farm cut the film; let all coordinators be of one "
        "release, then `farm retry` the job",
        start=start,
    )
