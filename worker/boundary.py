"""One boundary: the flow-blend pass over its window, in order. Knows no Celery."""

from __future__ import annotations

from itertools import pairwise

from farm.contract import keys
from farm.contract.messages import FrameRecord
from farm.executor import Outcome, Run
from farm.frames import FinalFrames
from farm.png import png_read
from worker.chunk import checking, put_frame, stored
from worker.engine import blend_frame, carry, raised_cosine_weights
from worker.engine.blend import blend_weight, usual_disagreement
from worker.studio import Studio


def blend_boundary(run: Run, studio: Studio) -> Outcome:
    """Carry the last final frame before the boundary into the later chunk, fading out over the window.

    A mixture of two paintings is a little soft: a few optimisation steps settle it.
    """
    window = next(item.frames for item in run.plan.boundaries if item.start == run.message.start)
    weights = raised_cosine_weights(len(window))
    final = FinalFrames(run.job, run.plan)
    first = max(window.start - 2, run.plan.shots[_shot(run, window.start)].start)
    contents = list(studio.clip(run).frames(first, window.stop))
    last = png_read(run.store.get(final.key(window.start - 1)))
    usual = 0.0
    if first == window.start - 2:
        before_last = png_read(run.store.get(final.key(first)))
        with run.span("flow"):
            usual = usual_disagreement(carry(before_last, contents[0], contents[1], run.spec.params.flow), last)
    records: list[FrameRecord] = []
    for number, (before, now) in enumerate(pairwise(contents[window.start - 1 - first :]), start=window.start):
        run.check()
        key = keys.blended(run.job, number)
        record = stored(run, key, number)
        if record is None:
            with run.span("get"):
                painted = png_read(run.store.get(keys.stylized(run.job, number)))
            with run.span("flow"):
                carried = carry(last, before, now, run.spec.params.flow)
            with run.span("blend"):
                weight = blend_weight(carried, painted, weights[number - window.start], usual)
                blended = blend_frame(carried, painted, weight)
            painter = studio.painter(run)
            with run.span("settle"):
                settled = painter.settle(now, blended, weight, on_step=checking(run))
            record = put_frame(run, key, number, settled)
        records.append(record)
        last = png_read(run.store.get(key))
        run.progress(len(records))
    return Outcome(tuple(records), studio.device.title, studio.versions)


def _shot(run: Run, start: int) -> int:
    return next(item.shot for item in run.plan.boundaries if item.start == start)
