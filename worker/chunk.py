"""Anchors and chunks: fetch, paint, put. Knows no Celery.

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

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain, islice, pairwise
from os.path import commonprefix

import numpy as np

from farm.contract import keys
from farm.contract.messages import FrameRecord, Stage, StoredFrame, TaskId
from farm.contract.params import Coherence
from farm.contract.plan import LEAD_FRAMES, Chunk
from farm.executor import Outcome, Run
from farm.frames import FrameReader
from farm.png import png_bytes
from worker.engine import Carried, Frame, Machine, OnStep, Painted, StepProgress, carry_far
from worker.engine.approach import APPROACH_FRAMES, Approach, approach, departing
from worker.engine.bare import LATELY_FRAMES, came_lately
from worker.engine.blend import mixed
from worker.engine.fade import Opening, fade_frames, opening
from worker.engine.flow import Motion, carry_along, motion_between
from worker.engine.machine import spread
from worker.engine.palette import kept_colors
from worker.pipeline import Ahead, Behind
from worker.studio import Clip, Studio

LEGACY_SHARE = 0.05
"""Share of the carried last frame in each frame of `legacy` coherence (Eidnes 2015)."""
FRAMES_AHEAD = 2
"""So many frames are decoded, with their motion, before the painter asks for them: one to go on with at once, and one
so that a slow one among them is no wait. Each holds about 12 bytes a pixel."""

OPENING_FRAMES = 250
"""In so many frames a shot must have come to sight, to be painted first where it has."""

LONG_WAY = 32, 44
"""Over so many frames an anchor is carried far, and over so many as far as it counts: in a film in one piece, what came
into sight on the way was painted in dozens of frames. So it takes more steps, and so do the frames after it."""
NEW_SIGHT = 0.15
"""Share of an anchor that came into sight on the way, from which on it takes all of them."""

NO_WAY = Approach(())


def paint_anchor(run: Run, studio: Studio) -> Outcome:
    """A chunk's first frame: from nothing where its shot begins, else from the anchor before it."""
    start = run.message.start
    key = keys.anchor(run.job, start)
    if (record := stored(run, key, start)) is None:
        before = _chunk_before(run, start)
        painted = _first(run, studio, start) if before is None else _carried_anchor(run, studio, before)
        record = put_frame(run, key, start, painted)
    run.progress(1)
    return studio.outcome(run, [record])


def paint_chunk(run: Run, studio: Studio) -> Outcome:
    """All frames of a chunk, each from the one before; the first is its anchor."""
    chunk = _chunk_at(run, run.message.start)
    reader, first = FrameReader(run.store, run.job), _anchor(chunk.start)
    data = reader.data(first)
    last = reader.picture(first, data)
    result = run.store.put_once(keys.stylized(run.job, chunk.start), data, "image/png")
    record = FrameRecord(chunk.start, result.sha256, adopted=not result.written)
    frames = _frames_ahead(run, studio, chunk, reader)
    with Behind[_Settled]("put") as behind, Ahead(frames, FRAMES_AHEAD, "source") as ahead:
        line = _Line(run, studio, reader, behind, last)
        line.go_on(record)
        while (frame := _awaited(run, ahead)) is not None:
            run.check()
            line.take(frame)
        line.settle()
    return studio.outcome(run, line.records)


@dataclass(frozen=True, slots=True)
class _Stored:
    """A frame of the chunk that an earlier attempt stored."""

    record: FrameRecord
    frame: Frame


@dataclass(frozen=True, slots=True)
class _Source:
    """A frame's source, and the one before it; the frame, where it is `stored`."""

    number: int
    before: Frame
    now: Frame
    stored: _Stored | None = None


@dataclass(frozen=True, slots=True)
class _Unpainted:
    """A frame to paint: its source, how that moved from the frame before, and the chunk's way to the next anchor."""

    number: int
    left: int  # frames to the next anchor; 1 for the chunk's last
    content: Frame
    motion: Motion
    way: Approach
    lately: float = 0.0  # what came into sight in the frames before, see `came_lately`


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
        self._before = _chunk_before(run, run.message.start)

    def go_on(self, record: FrameRecord, frame: Frame | None = None) -> None:
        """One frame more is stored; `frame`: the next one is painted from it."""
        self.records.append(record)
        self._run.progress(len(self.records))
        if frame is not None:
            self._last = frame

    def take(self, frame: _Stored | _Unpainted) -> None:
        """Go one frame on."""
        if isinstance(frame, _Stored):
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

    def _painted(self, frame: _Unpainted) -> Painted:
        """Painted from the stored frame before it, and from no other."""
        while True:
            try:
                painted = _next(self._run, self._studio, self._carried(frame), frame.content, self._on_step)
            except _Overtaken:
                continue
            if self.settle():
                return painted

    def _carried(self, frame: _Unpainted) -> Carried:
        with self._run.span("warp"):
            carried = carry_along(self._last, frame.motion, self._studio.machine)
            carried = replace(frame.way.towards(carried, frame.left), lately=frame.lately)
            if self._before is None:
                return carried
            return departing(carried, frame.number - self._run.message.start, _far(self._before))

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
        frame = _read(self._run, self._reader, record, "adopt")
        return _Settled(record, None if np.array_equal(frame, painted.frame) else frame)


def _frames_ahead(
    run: Run, studio: Studio, chunk: Chunk, reader: FrameReader
) -> Generator[_Stored | _Unpainted, None, None]:
    """A chunk's frames after its first, with all they need but the painting before. Runs beside the painter."""
    clip, way = studio.clip(run), None
    records = _stored_records(run, chunk)
    sights: list[float] = []  # how much came into sight with each frame so far

    def sources() -> Iterator[_Source]:
        contents = _timed(run, clip.frames(chunk.start, chunk.stop))
        for number, (before, now) in enumerate(pairwise(contents), start=chunk.start + 1):
            run.check()
            record = records.get(number)
            there = None if record is None else _Stored(record, _read(run, reader, record, "get"))
            yield _Source(number, before, now, there)

    def with_motion(source: _Source) -> tuple[_Stored | _Unpainted, float]:
        """The frame, and how much came into sight with it, where that counts."""
        soon = range(source.number + 1, min(chunk.stop, source.number + 1 + LATELY_FRAMES))
        if source.stored is not None and all(number in records for number in soon):
            return source.stored, 0.0
        with run.span("flow"):
            motion = motion_between(source.before, source.now, run.spec.params.flow)
        left = chunk.stop - source.number
        return source.stored or _Unpainted(source.number, left, source.now, motion, NO_WAY), motion.bare

    with (
        ThreadPoolExecutor(1, "approach") as beside,
        closing(spread(with_motion, sources(), studio.machine.threads)) as frames,
    ):
        for frame, sight in frames:
            if isinstance(frame, _Stored):
                yield frame
            else:
                # All of it is needed at once, and takes as long as many frames: so it is begun long before.
                way = way or beside.submit(_approach, run, clip, chunk, studio.machine)
                near = way.result() if frame.left <= APPROACH_FRAMES else NO_WAY
                yield replace(frame, way=near, lately=came_lately(sights))
            sights.append(sight)


def _awaited(run: Run, frames: Iterator[_Stored | _Unpainted]) -> _Stored | _Unpainted | None:
    with run.span("wait"):
        return next(frames, None)


def _read(run: Run, reader: FrameReader, record: FrameRecord, span: str) -> Frame:
    """A frame of the chunk as it is stored, checked."""
    with run.span(span):
        return reader.frame(StoredFrame(run.message.task, record.frame), record.sha256)


def _stored_records(run: Run, chunk: Chunk) -> dict[int, FrameRecord]:
    """The chunk's stored frames, holes or not; which there may be is asked with one question.

    To adopt a frame after a hole is safe: what is stored stays, and would be given back for whatever is painted here.
    """
    of_frames = {keys.stylized(run.job, number): number for number in range(chunk.start + 1, chunk.stop)}
    ends = [keys.stylized(run.job, chunk.start), keys.stylized(run.job, chunk.stop - 1)]
    prefix = commonprefix(ends)  # noqa: RUF071 - of text is meant
    there = [key for key in run.store.list(prefix) if key in of_frames]
    found = ((of_frames[key], stored(run, key, of_frames[key])) for key in there)
    return {number: record for number, record in found if record is not None}


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
        for content in _timed(run, clip.frames(start, stop)):
            run.check()
            yield content

    method = run.spec.params.flow
    with run.span("flow"):
        frames = fade_frames(source(min(shot.stop, start + OPENING_FRAMES)), method)
        return opening(source(start + frames + 1), method, machine) if frames else None


def _carried_anchor(run: Run, studio: Studio, before: Chunk) -> Painted:
    """Carry the anchor of the chunk before over most of that chunk, and paint a lead-in from there."""
    painter, method = studio.painter(run), run.spec.params.flow
    source = _timed(run, studio.clip(run).frames(before.start, before.stop + 1))
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

    start = FrameReader(run.store, run.job).frame(_anchor(before.start))
    with run.span("flow"):
        carried = carry_far(start, far(), method, studio.machine)
    now, steps = newest[0], 0
    effort = _far(before) * min(1.0, (1.0 - float(carried.mask.mean())) / NEW_SIGHT)
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


def _far(before: Chunk) -> float:
    """How far the anchor after that chunk is carried, from 0 for no long way to 1."""
    least, most = LONG_WAY
    return min(1.0, max(0.0, (len(before.frames) - least) / (most - least)))


def _next(run: Run, studio: Studio, carried: Carried, now: Frame, on_step: OnStep) -> Painted:
    painter = studio.painter(run)
    with run.span("paint"):
        if run.spec.params.coherence is Coherence.LEGACY:
            painted = painter.paint_still(now, on_step=on_step)
            both = mixed(carried, painted.frame, LEGACY_SHARE)
            return replace(painted, frame=kept_colors(run.spec.params.color, both, now))
        return painter.paint_next(now, carried, on_step=on_step)


def _approach(run: Run, clip: Clip, chunk: Chunk, machine: Machine) -> Approach:
    """The way to the next chunk's anchor; an empty one where none follows in the shot."""
    if not run.plan.linked or all(item.start != chunk.stop or item.shot != chunk.shot for item in run.plan.chunks):
        return NO_WAY
    anchor = FrameReader(run.store, run.job).frame(_anchor(chunk.stop))
    first = max(chunk.start + 1, chunk.stop - APPROACH_FRAMES)
    contents = list(clip.frames(first, chunk.stop + 1))
    with run.span("approach"):
        return approach(anchor, contents, run.spec.params.flow, run.check, machine)


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
