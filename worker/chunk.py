"""A chunk: its frames painted in turn, each from the one before. Knows no Celery.

Every frame starts from the *stored* 8-bit frame before it, and frames are written once, so a chunk
resumed at any frame gives the same bytes as one that never stopped, and a frame that was lost is painted alone.

While a frame is painted, the next one's source is decoded and its motion estimated, and the one before travels to the
store. So the painter goes on from the frame it has in hand, which PNG gives back as it was, before that is stored. What
keeps this the same recursion: no frame is sent before the one it was painted from is known to be the stored one. Where
another executor was first with other pixels, what was painted from ours is thrown away, and painted again from theirs.

Each span is measured by one thread: `paint`, `warp` and `wait` by the painter's, and sum up to its time; `decode`,
`flow` and `get` ahead of it, `approach` (the way to the next anchor) beside these, `png`, `put`
and `adopt` behind it. Those overlap the painting.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from farm.contract import keys
from farm.contract.messages import FrameRecord
from farm.contract.params import Coherence
from farm.executor import Outcome, Run
from farm.frames import FrameReader
from worker.ahead import Stored, Unpainted, frames_ahead, read_frame
from worker.anchor import far_way
from worker.engine import Carried, Frame, OnStep, Painted, StepProgress
from worker.engine.approach import departing
from worker.engine.blend import mixed
from worker.engine.flow import carry_along
from worker.engine.palette import kept_colors
from worker.frames import anchor_of, put_frame
from worker.pipeline import Ahead, Behind
from worker.studio import Studio

LEGACY_SHARE = 0.05
"""Share of the carried last frame in each frame of `legacy` coherence (Eidnes 2015)."""
FRAMES_AHEAD = 2
"""So many frames are decoded, with their motion, before the painter asks for them: one to go on with at once, and one
so that a slow one among them is no wait. Each holds about 12 bytes a pixel."""


def paint_chunk(run: Run, studio: Studio) -> Outcome:
    """All frames of a chunk, each from the one before; the first is its anchor."""
    chunk = run.plan.chunk(run.message.start)
    reader, first = FrameReader(run.store, run.job), anchor_of(chunk.start)
    data = reader.data(first)
    last = reader.picture(first, data)
    result = run.store.put_once(keys.stylized(run.job, chunk.start), data, "image/png")
    record = FrameRecord(chunk.start, result.sha256, adopted=not result.written)
    frames = frames_ahead(run, studio, chunk, reader)
    with Behind[_Settled]("put") as behind, Ahead(frames, FRAMES_AHEAD, "source") as ahead:
        line = _Line(run, studio, reader, behind, last)
        line.go_on(record)
        while (frame := _awaited(run, ahead)) is not None:
            run.check()
            line.take(frame)
        line.settle()
    return studio.outcome(run, line.records)


@dataclass(frozen=True, slots=True)
class _Settled:
    """What became of a painted frame in the store."""

    record: FrameRecord
    instead: Frame | None  # another executor's, stored before ours and unlike it


class _Overtaken(Exception):
    """The frame that this one is painted from is not the stored one."""


class _Line:
    """The painter's side of a chunk: at most one frame is on its way to the store while the next one is painted."""

    def __init__(self, run: Run, studio: Studio, reader: FrameReader, behind: Behind[_Settled], last: Frame) -> None:
        self.records: list[FrameRecord] = []  # of what is stored
        self._run = run
        self._studio = studio
        self._reader = reader
        self._behind = behind
        self._last = last  # what the next frame is painted from
        self._before = run.plan.before(run.plan.chunk(run.message.start))

    def go_on(self, record: FrameRecord, frame: Frame | None = None) -> None:
        """One frame more is stored; `frame`: the next one is painted from it."""
        self.records.append(record)
        self._run.progress(len(self.records))
        if frame is not None:
            self._last = frame

    def take(self, frame: Stored | Unpainted) -> None:
        """Go one frame on."""
        if isinstance(frame, Stored):
            self.settle()
            self.go_on(frame.record, frame.frame)
            return
        painted = self._painted(frame)
        self._run.check()  # it may have waited for the store for long
        self._last = painted.frame
        self._behind.start(lambda: self._put(frame.number, painted))

    def settle(self) -> bool:
        """Wait for the frame on its way; False where it is not the one to go on from, but another executor's is."""
        if not self._behind.busy:
            return True
        if self._behind.ready:
            settled = self._behind.result()
        else:
            with self._run.span("wait"):
                settled = self._behind.result()
        self.go_on(settled.record, settled.instead)
        return settled.instead is None

    def _painted(self, frame: Unpainted) -> Painted:
        """Painted from the stored frame before it, and from no other."""
        while True:
            try:
                painted = _next(self._run, self._studio, self._carried(frame), frame.content, self._on_step)
            except _Overtaken:
                continue
            if self.settle():
                return painted

    def _carried(self, frame: Unpainted) -> Carried:
        with self._run.span("warp"):
            carried = carry_along(self._last, frame.motion, self._studio.machine)
            carried = replace(frame.way.towards(carried, frame.left), lately=frame.lately)
            if self._before is None:
                return carried
            return departing(carried, frame.number - self._run.message.start, far_way(self._before))

    def _on_step(self, _progress: StepProgress) -> None:
        """Ask whether to stop, be it that the frame before could not be stored or is another's."""
        self._run.check()
        if self._behind.ready and not self.settle():
            raise _Overtaken

    def _put(self, number: int, painted: Painted) -> _Settled:
        """Runs beside the painter."""
        record = put_frame(self._run, keys.stylized(self._run.job, number), number, painted)
        if not record.adopted:
            return _Settled(record, None)
        frame = read_frame(self._run, self._reader, record, "adopt")
        return _Settled(record, None if np.array_equal(frame, painted.frame) else frame)


def _awaited(run: Run, frames: Iterator[Stored | Unpainted]) -> Stored | Unpainted | None:
    with run.span("wait"):
        return next(frames, None)


def _next(run: Run, studio: Studio, carried: Carried, now: Frame, on_step: OnStep) -> Painted:
    painter = studio.painter(run)
    with run.span("paint"):
        if run.spec.params.coherence is Coherence.LEGACY:
            painted = painter.paint_still(now, on_step=on_step)
            both = mixed(carried, painted.frame, LEGACY_SHARE)
            return replace(painted, frame=kept_colors(run.spec.params.color, both, now))
        return painter.paint_next(now, carried, on_step=on_step)
