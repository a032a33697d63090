"""Anchors and chunks: fetch, paint, put. Knows no Celery.

Every frame starts from the *stored* 8-bit frame before it, and frames are written once, so a chunk
resumed at any frame gives the same bytes as one that never stopped, and a frame that was lost is painted alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from os.path import commonprefix

from farm.contract import keys
from farm.contract.messages import FrameRecord, Stage, StoredFrame, TaskId
from farm.contract.params import Coherence
from farm.contract.plan import Chunk
from farm.executor import Outcome, Run
from farm.frames import FrameReader
from farm.png import png_bytes
from worker.engine import Carried, Frame, Painted, StepProgress, carry, carry_far
from worker.engine.approach import APPROACH_FRAMES, Approach, approach, departing
from worker.engine.blend import mixed
from worker.engine.palette import kept_colors
from worker.studio import Studio

LEGACY_SHARE = 0.05
"""Share of the carried last frame in each frame of `legacy` coherence (Eidnes 2015)."""


def paint_anchor(run: Run, studio: Studio) -> Outcome:
    """A chunk's first frame: from nothing where its shot begins, else from the anchor before it."""
    start = run.message.start
    key = keys.anchor(run.job, start)
    if (record := stored(run, key, start)) is None:
        before = _chunk_before(run, start)
        painted = _first(run, studio, start) if before is None else _carried_anchor(run, studio, before)
        record = put_frame(run, key, start, painted)
    run.progress(1)
    return Outcome((record,), studio.device.title, studio.versions)


def paint_chunk(run: Run, studio: Studio) -> Outcome:
    """All frames of a chunk, each from the one before; the first is its anchor."""
    chunk = _chunk_at(run, run.message.start)
    reader, first = FrameReader(run.store, run.job), _anchor(chunk.start)
    data = reader.data(first)
    last = reader.picture(first, data)
    result = run.store.put_once(keys.stylized(run.job, chunk.start), data, "image/png")
    records = [FrameRecord(chunk.start, result.sha256, adopted=not result.written)]
    run.progress(1)
    contents = studio.clip(run).frames(chunk.start, chunk.stop)
    there, way = _stored_keys(run, chunk), None
    has_come_far = _chunk_before(run, chunk.start) is not None
    for number, (before, now) in enumerate(pairwise(_timed(run, contents)), start=chunk.start + 1):
        run.check()
        key = keys.stylized(run.job, number)
        record = stored(run, key, number) if key in there else None
        if record is None:
            way = way or _approach(run, studio, chunk)
            carried = way.towards(_carried(run, last, before, now), chunk.stop - number)
            if has_come_far:
                carried = departing(carried, number - chunk.start)
            record = put_frame(run, key, number, _next(run, studio, carried, now))
        records.append(record)
        with run.span("get"):
            last = reader.frame(StoredFrame(run.message.task, number), record.sha256)
        run.progress(len(records))
    return Outcome(tuple(records), studio.device.title, studio.versions)


def _stored_keys(run: Run, chunk: Chunk) -> frozenset[str]:
    """The keys of the chunk's stored frames, holes or not, with one question.

    To adopt a frame after a hole is safe: what is stored stays, and would be given back for whatever is painted here.
    """
    first, last = keys.stylized(run.job, chunk.start), keys.stylized(run.job, chunk.stop - 1)
    return frozenset(run.store.list(commonprefix([first, last])))  # noqa: RUF071 - of text is meant


def _anchor(start: int) -> StoredFrame:
    return StoredFrame(TaskId(Stage.ANCHOR, start), start)


def stored(run: Run, key: str, number: int) -> FrameRecord | None:
    """The record of a frame that an earlier attempt stored, or None."""
    info = run.store.head(key)
    return None if info is None else FrameRecord(number, info.sha256, adopted=True)


def put_frame(run: Run, key: str, number: int, painted: Painted) -> FrameRecord:
    """Store a painted frame; where another executor was first, its frame is adopted."""
    with run.span("png"):
        data = png_bytes(painted.frame)
    with run.span("put"):
        result = run.store.put_once(key, data, "image/png")
    losses = painted.losses if result.written else {}
    return FrameRecord(number, result.sha256, losses, painted.steps, adopted=not result.written)


def _first(run: Run, studio: Studio, start: int) -> Painted:
    content = next(studio.clip(run).frames(start, start + 1))
    painter = studio.painter(run)
    alone = run.spec.params.coherence is Coherence.LEGACY
    with run.span("paint"):
        return (painter.paint_still if alone else painter.paint_first)(content, on_step=checking(run))


def _carried_anchor(run: Run, studio: Studio, before: Chunk) -> Painted:
    """Warp the anchor of the chunk before over that whole chunk, and paint from there."""
    painted = FrameReader(run.store, run.job).frame(_anchor(before.start))
    newest: list[Frame] = []

    def contents() -> Iterator[Frame]:
        for content in _timed(run, studio.clip(run).frames(before.start, before.stop + 1)):
            run.check()
            newest[:] = [content]
            yield content

    with run.span("flow"):
        carried = carry_far(painted, contents(), run.spec.params.flow)
    painter = studio.painter(run)
    with run.span("paint"):
        return painter.paint_anchor(newest[0], carried, on_step=checking(run))


def _carried(run: Run, last: Frame, before: Frame, now: Frame) -> Carried:
    with run.span("flow"):
        return carry(last, before, now, run.spec.params.flow)


def _next(run: Run, studio: Studio, carried: Carried, now: Frame) -> Painted:
    painter = studio.painter(run)
    with run.span("paint"):
        if run.spec.params.coherence is Coherence.LEGACY:
            painted = painter.paint_still(now, on_step=checking(run))
            both = mixed(carried, painted.frame, LEGACY_SHARE)
            return replace(painted, frame=kept_colors(run.spec.params.color, both, now))
        return painter.paint_next(now, carried, on_step=checking(run))


def _approach(run: Run, studio: Studio, chunk: Chunk) -> Approach:
    """The way to the next chunk's anchor; an empty one where none follows in the shot."""
    if not run.plan.linked or all(item.start != chunk.stop or item.shot != chunk.shot for item in run.plan.chunks):
        return Approach(())
    anchor = FrameReader(run.store, run.job).frame(_anchor(chunk.stop))
    first = max(chunk.start + 1, chunk.stop - APPROACH_FRAMES)
    contents = list(_timed(run, studio.clip(run).frames(first, chunk.stop + 1)))
    run.check()
    with run.span("flow"):
        return approach(anchor, contents, run.spec.params.flow)


def checking(run: Run) -> Callable[[StepProgress], None]:
    """Ask at every optimisation step whether to stop."""

    def on_step(_progress: StepProgress) -> None:
        run.check()

    return on_step


def _timed(run: Run, frames: Iterable[Frame]) -> Iterator[Frame]:
    """Frames as they come, their decoding timed."""
    source = iter(frames)
    while True:
        with run.span("decode"):
            frame = next(source, None)
        if frame is None:
            return
        yield frame


def _chunk_at(run: Run, start: int) -> Chunk:
    return next(chunk for chunk in run.plan.chunks if chunk.start == start)


def _chunk_before(run: Run, start: int) -> Chunk | None:
    """The chunk of the same shot that ends where this one starts, or None where the plan links no chunks."""
    if not run.plan.linked:
        return None
    own = _chunk_at(run, start)
    return next((item for item in run.plan.chunks if item.stop == start and item.shot == own.shot), None)
