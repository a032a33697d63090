"""Anchors, the first frames of chunks: a shot's first is painted from nothing, each other one from the one before it.

Knows no Celery.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from itertools import chain, islice, pairwise

from farm.contract import keys
from farm.contract.params import Coherence
from farm.contract.plan import LEAD_FRAMES, Chunk
from farm.executor import Outcome, Run
from farm.frames import FrameReader
from worker.engine import Frame, Machine, Painted, carry_far
from worker.engine.fade import Opening, fade_frames, opening
from worker.engine.flow import Motion, carry_along, motion_between
from worker.engine.machine import spread
from worker.frames import anchor_of, checking, put_frame, stored, timed
from worker.studio import Clip, Studio

OPENING_FRAMES = 250
"""In so many frames a shot must have come to sight, to be painted first where it has."""

LONG_WAY = 32, 44
"""Over so many frames an anchor is carried far, and over so many as far as it counts: in a film in one piece, what came
into sight on the way was painted in dozens of frames. So it takes more steps, and so do the frames after it."""
NEW_SIGHT = 0.15
"""Share of an anchor that came into sight on the way, from which on it takes all of them."""


def paint_anchor(run: Run, studio: Studio) -> Outcome:
    """A chunk's first frame: from nothing where its shot begins, else from the anchor before it."""
    start = run.message.start
    key = keys.anchor(run.job, start)
    if (record := stored(run, key, start)) is None:
        before = run.plan.before(run.plan.chunk(start))
        painted = _first(run, studio, start) if before is None else _carried_anchor(run, studio, before)
        record = put_frame(run, key, start, painted)
    run.progress(1)
    return studio.outcome(run, [record])


def _first(run: Run, studio: Studio, start: int) -> Painted:
    """A shot's first frame; where the shot fades in, from the frame in which it is there."""
    painter, clip = studio.painter(run), studio.clip(run)
    content = next(clip.frames(start, start + 1))
    if run.spec.params.coherence is Coherence.LEGACY:
        with run.span("paint"):
            return painter.paint_still(content, on_step=checking(run))
    later = _opening(run, clip, start, studio.machine)
    with run.span("paint"):
        painted = painter.paint_first(content if later is None else later.content, on_step=checking(run))
    if later is None:
        return painted
    with run.span("warp"):
        carried = later.carried(painted.frame, studio.machine)
    with run.span("paint"):
        first = painter.paint_next(content, carried, on_step=checking(run))
    return replace(first, steps=painted.steps + first.steps)


def _opening(run: Run, clip: Clip, start: int, machine: Machine) -> Opening | None:
    shot = next(item for item in run.plan.shots if item.start <= start < item.stop)

    def source(stop: int) -> Iterator[Frame]:
        for content in timed(run, clip.frames(start, stop)):
            run.check()
            yield content

    method = run.spec.params.flow
    with run.span("flow"):
        frames = fade_frames(source(min(shot.stop, start + OPENING_FRAMES)), method)
        return opening(source(start + frames + 1), method, machine) if frames else None


def _carried_anchor(run: Run, studio: Studio, before: Chunk) -> Painted:
    """Carry the anchor of the chunk before over most of that chunk, and paint a lead-in from there."""
    painter, method = studio.painter(run), run.spec.params.flow
    source = timed(run, studio.clip(run).frames(before.start, before.stop + 1))
    far_frames = len(before.frames) + 1 - min(LEAD_FRAMES, len(before.frames) - 1)
    newest: list[Frame] = []

    def far() -> Iterator[Frame]:
        for content in islice(source, far_frames):
            run.check()
            newest[:] = [content]
            yield content

    def with_motion(pair: tuple[Frame, Frame]) -> tuple[Frame, Frame, Motion]:
        with run.span("flow"):
            return *pair, motion_between(*pair, method)

    start = FrameReader(run.store, run.job).frame(anchor_of(before.start))
    with run.span("flow"):
        carried = carry_far(start, far(), method, studio.machine)
    now, steps = newest[0], 0
    effort = far_way(before) * min(1.0, (1.0 - float(carried.mask.mean())) / NEW_SIGHT)
    with closing(spread(with_motion, pairwise(chain(newest, source)), studio.machine.threads)) as lead_in:
        for content, after, motion in lead_in:
            with run.span("paint"):
                painted = painter.paint_lead(content, carried, effort, on_step=checking(run))
            with run.span("warp"):
                carried = carry_along(painted.frame, motion, studio.machine)
            now, steps = after, steps + painted.steps
    with run.span("paint"):
        painted = painter.paint_anchor(now, carried, effort, on_step=checking(run))
    return replace(painted, steps=steps + painted.steps)


def far_way(before: Chunk) -> float:
    """How far the anchor after that chunk is carried, from 0 for no long way to 1."""
    least, most = LONG_WAY
    return min(1.0, max(0.0, (len(before.frames) - least) / (most - least)))
