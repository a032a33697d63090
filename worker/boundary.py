"""One boundary: the flow-blend pass over its window, in order. Knows no Celery."""

from __future__ import annotations

from itertools import pairwise

from farm.contract import keys
from farm.contract.messages import FrameRecord
from farm.executor import Outcome, Run
from farm.frames import FinalFrames
from farm.png import png_bytes, png_read
from worker.chunk import stored
from worker.engine import blend_frame, carry, raised_cosine_weights
from worker.engine.palette import kept_colors
from worker.studio import Studio


def blend_boundary(run: Run, studio: Studio) -> Outcome:
    """Carry the last final frame before the boundary into the later chunk, fading out over the window."""
    window = next(item.frames for item in run.plan.boundaries if item.start == run.message.start)
    weights = raised_cosine_weights(len(window))
    last = png_read(run.store.get(FinalFrames(run.job, run.plan).key(window.start - 1)))
    contents = studio.clip(run).frames(window.start - 1, window.stop)
    records: list[FrameRecord] = []
    for number, (before, now) in enumerate(pairwise(contents), start=window.start):
        run.check()
        key = keys.blended(run.job, number)
        record = stored(run, key, number)
        if record is None:
            with run.span("get"):
                painted = png_read(run.store.get(keys.stylized(run.job, number)))
            with run.span("flow"):
                carried = carry(last, before, now, run.spec.params.flow)
            with run.span("blend"):
                frame = blend_frame(carried, painted, weights[number - window.start])
                data = png_bytes(kept_colors(run.spec.params.color, frame, now))
            with run.span("put"):
                result = run.store.put_once(key, data, "image/png")
            record = FrameRecord(number, result.sha256, adopted=not result.written)
        records.append(record)
        last = png_read(run.store.get(key))
        run.progress(len(records))
    return Outcome(tuple(records), studio.device.title, studio.versions)
