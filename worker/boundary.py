"""One boundary: the flow-blend pass over its window, in order. Knows no Celery."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

from farm.contract import keys
from farm.contract.messages import FrameRecord, Stage, StoredFrame, TaskId
from farm.contract.plan import Boundary
from farm.executor import Outcome, Run
from farm.frames import FinalFrames, FrameReader
from worker.engine import Carried, Frame, Painted, blend_frame, raised_cosine_weights
from worker.engine.blend import blend_weight, usual_disagreement
from worker.engine.flow import Motion, carry_along, motion_between
from worker.engine.machine import spread
from worker.frames import checking, put_frame, stored
from worker.studio import Studio


def blend_boundary(run: Run, studio: Studio) -> Outcome:
    """Carry the last final frame before the boundary into the later chunk, fading out over the window.

    A mixture of two paintings is a little soft: a few optimisation steps settle it. A frame with nothing to mix in
    stays the painted one.
    """
    boundary = next(item for item in run.plan.boundaries if item.start == run.message.start)
    window, reader = boundary.frames, FrameReader(run.store, run.job)
    weights = raised_cosine_weights(len(window))
    final = FinalFrames(run.job, run.plan)
    first = max(window.start - 2, run.plan.shots[boundary.shot].start)
    contents = list(studio.clip(run).frames(first, window.stop))
    last = reader.frame(final.stored(window.start - 1))
    usual = 0.0

    def motion(pair: tuple[Frame, Frame]) -> Motion:
        with run.span("flow"):
            return motion_between(*pair, run.spec.params.flow)

    records: list[FrameRecord] = []
    with closing(spread(motion, pairwise(contents), studio.machine.threads)) as motions:
        if first == window.start - 2:
            before_last = reader.frame(final.stored(first))
            usual = usual_disagreement(carry_along(before_last, next(motions), studio.machine), last)
        elif len(window) > 1:  # a chunk of one frame, the first of its shot, has no pair: the later chunk has one
            one, other = (_painted(reader, boundary, number).frame for number in (window.start, window.start + 1))
            usual = usual_disagreement(carry_along(one, motion((contents[1], contents[2])), studio.machine), other)
        for number, now, moved in zip(
            range(window.start, window.stop), contents[window.start - first :], motions, strict=True
        ):
            run.check()
            key = keys.blended(run.job, number)
            record = stored(run, key, number)
            if record is None:
                with run.span("get"):
                    painted = _painted(reader, boundary, number)
                with run.span("warp"):
                    carried = carry_along(last, moved, studio.machine)
                blended = _blended(run, studio, carried, now, painted, weights[number - window.start], usual)
                record = put_frame(run, key, number, blended)
            records.append(record)
            last = reader.frame(StoredFrame(run.message.task, number), record.sha256)
            run.progress(len(records))
    return studio.outcome(run, records)


def _painted(reader: FrameReader, boundary: Boundary, number: int) -> Painted:
    """The later chunk's own frame, as it was painted: the window never leaves that chunk.

    The losses are those of whoever painted it: a chunk's first frame is its anchor.
    """
    frame = reader.frame(StoredFrame(TaskId(Stage.STYLIZE, boundary.start), number))
    painter = Stage.ANCHOR if number == boundary.start else Stage.STYLIZE
    return Painted(frame, reader.record(StoredFrame(TaskId(painter, boundary.start), number)).losses, 0)


def _blended(
    run: Run, studio: Studio, carried: Carried, now: Frame, painted: Painted, share: float, usual: float
) -> Painted:
    """`painted`, a painting of the source frame `now`, with `share` of the last final frame, `carried` to it."""
    with run.span("blend"):
        weight = blend_weight(carried, painted.frame, share, usual)
        if not weight.any():
            return painted
        blended = blend_frame(carried, painted.frame, weight, studio.machine)
    painter = studio.painter(run)
    with run.span("settle"):
        return painter.settle(now, blended, weight, on_step=checking(run))
