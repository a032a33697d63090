"""From frames and cuts to shots, chunks and boundaries. Pure: no clip is opened here.

Chunks cover each frame once, never cross a cut, are never longer than asked, and as few as that allows. Within a shot
they are about equally long, no runts: each ends where little moves, up to an eighth of a chunk from where even ones
would. What is seen of a boundary is what comes into sight there, as both sides paint that anew.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from heapq import heapreplace
from itertools import accumulate, pairwise
from statistics import median

from farm.contract.errors import InvalidParameter
from farm.contract.params import Coherence
from farm.contract.plan import LEAD_FRAMES, Boundary, Chunk, FrameRange, Plan
from farm.contract.spec import DEFAULT_CHUNK_FRAMES

CHUNK_CHOICES = (DEFAULT_CHUNK_FRAMES, 32, 24, 16)
"""Lengths to choose from, best first: each anchor costs time."""
ANCHOR_COST = 6.0
"""Of an anchor with its lead-in and the blend that follows, in frames of a chunk."""
SHOT_FRAMES = 240
REACH = 1 / 8
"""How far a boundary may lie from where even chunks would have it, over a chunk's length."""
EVENNESS = 0.05
"""So much calmer, over what is usual in the shot, must it be at the end of that reach."""
WORTH = 1.1
"""Shorter chunks must make a film ready this much sooner to be chosen."""


def make_plan(
    frame_count: int,
    size_wh: tuple[int, int],
    cuts: Iterable[int],
    chunk_frames: int,
    blend_frames: int,
    index_sha256: str,
    coherence: Coherence = Coherence.BLEND,
    motion: Sequence[float] = (),
) -> Plan:
    """The plan of a clip of `frame_count` frames whose shots start at frame 0 and at each of `cuts`.

    `chunk_frames`: longest chunk, but for `sequential` coherence, where a shot is a chunk; `blend_frames`: frames of
    a boundary's blend window (0: chunks are not blended), for `blend` coherence only; `motion`: how much each frame
    differs from the one before it, in any unit (none: chunks are even).
    """
    if frame_count < 1:
        raise InvalidParameter(
            f"a clip of {frame_count} frames has nothing to paint; give one with frames", value=frame_count
        )
    if chunk_frames < 1:
        raise InvalidParameter(f"--chunk {chunk_frames} is too small; give 1 or more", name="chunk", value=chunk_frames)
    shots = _shots(frame_count, cuts)
    longest = frame_count if coherence is Coherence.SEQUENTIAL else chunk_frames
    chunks = tuple(
        chunk
        for number, shot in enumerate(shots)
        for chunk in _chunks(shot, number, longest, _unrest(motion[shot.start : shot.stop], blend_frames + 1))
    )
    return Plan(
        frame_count=frame_count,
        width=size_wh[0],
        height=size_wh[1],
        index_sha256=index_sha256,
        shots=shots,
        chunks=chunks,
        boundaries=_boundaries(chunks, blend_frames if coherence is Coherence.BLEND else 0),
        linked=coherence in (Coherence.BLEND, Coherence.ANCHORS),
    )


def chosen_chunk_frames(frame_count: int, workers: int) -> int:
    """The length of chunks for a clip of about so many frames on so many workers: the longest that is about as fast.

    Cuts are not known yet: shots are taken to be `SHOT_FRAMES` long.
    """
    took = {length: _paint_time(frame_count, max(1, workers), length) for length in CHUNK_CHOICES}
    return next(length for length, time in took.items() if time <= WORTH * min(took.values()))


def _paint_time(frame_count: int, workers: int, chunk_frames: int) -> float:
    """How long the painting takes, in frames of a chunk: a shot's anchors one after another, chunks as workers come."""
    shots = max(1, round(frame_count / SHOT_FRAMES))
    count = math.ceil(frame_count / shots / chunk_frames)
    work = frame_count + shots * (count - 1) * ANCHOR_COST
    if shots * count > 20 * workers:  # nobody is idle for long
        return work / workers
    free_at = [0.0] * workers
    for number in range(count):
        for _ in range(shots):
            began = max(free_at[0], number * ANCHOR_COST)
            heapreplace(free_at, began + work / (shots * count))
    return max(free_at)


def _shots(frame_count: int, cuts: Iterable[int]) -> tuple[FrameRange, ...]:
    inside = sorted({cut for cut in cuts if 0 < cut < frame_count})
    return tuple(FrameRange(start, stop) for start, stop in pairwise([0, *inside, frame_count]))


def _chunks(shot: FrameRange, number: int, chunk_frames: int, unrest: Sequence[float]) -> list[Chunk]:
    length = len(shot)
    count = -(-length // chunk_frames)
    edges = [shot.start + part * length // count for part in range(count + 1)]
    reach = int(REACH * length / count)
    if unrest and count > 1 and reach:
        edges = _calmest(edges, reach, chunk_frames, unrest)
    return [Chunk(start, stop, number) for start, stop in pairwise(edges)]


def _unrest(motion: Sequence[float], window: int) -> list[float]:
    """What moves around a boundary at each frame, in the mean: in the `window` frames from there on, and in as many
    before as an anchor's lead-in has. A shot's first frame, held against another shot, counts as the next one.
    """
    own = (*motion[1:2], *motion[1:])
    sums, count = [0.0, *accumulate(own)], len(own)
    spans = [(max(0, at - LEAD_FRAMES), min(count, at + window)) for at in range(count)]
    return [(sums[stop] - sums[start]) / (stop - start) for start, stop in spans]


def _calmest(even: Sequence[int], reach: int, longest: int, unrest: Sequence[float]) -> list[int]:
    """The edges with the least unrest, of those within `reach` of the even ones that leave no chunk too long.

    Both ends stay. By dynamic programming: for each place an edge may have, what the way there costs at the least, and
    where the edge before lies on it. Even edges are such a way, so there is one.
    """
    start, usual = even[0], median(unrest) or 1.0
    costs, trail = {start: 0.0}, []
    for edge in even[1:-1]:
        before: dict[int, int] = {}
        for place in range(edge - reach, edge + reach + 1):
            near = [at for at in costs if 0 < place - at <= longest]
            if near:
                before[place] = min(near, key=costs.__getitem__)
        costs = {
            place: costs[at] + unrest[place - start] / usual + EVENNESS * abs(place - edge) / reach
            for place, at in before.items()
        }
        trail.append(before)
    edges = [even[-1]]
    at = min((at for at in costs if 0 < even[-1] - at <= longest), key=costs.__getitem__)
    for before in reversed(trail):
        edges.append(at)
        at = before[at]
    return [start, *reversed(edges)]


def _boundaries(chunks: tuple[Chunk, ...], blend_frames: int) -> tuple[Boundary, ...]:
    if blend_frames < 1:
        return ()
    return tuple(
        Boundary(later.start, min(later.start + blend_frames, later.stop), later.shot, earlier.start)
        for earlier, later in pairwise(chunks)
        if earlier.shot == later.shot
    )
