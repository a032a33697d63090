"""A chunk's frames ahead of its painter: decoded, with their motion, and the way to the next anchor.

Runs beside the painter, and knows no painting but what is stored.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from os.path import commonprefix

from farm.contract import keys
from farm.contract.messages import FrameRecord, StoredFrame
from farm.contract.plan import Chunk
from farm.executor import Run
from farm.frames import FrameReader
from worker.engine import Frame, Machine
from worker.engine.approach import APPROACH_FRAMES, Approach, approach
from worker.engine.bare import LATELY_FRAMES, came_lately
from worker.engine.flow import Motion, motion_between
from worker.engine.machine import spread
from worker.frames import anchor_of, stored, timed
from worker.studio import Clip, Studio

NO_WAY = Approach(())


@dataclass(frozen=True, slots=True)
class Stored:
    """A frame of the chunk that an earlier attempt stored."""

    record: FrameRecord
    frame: Frame


@dataclass(frozen=True, slots=True)
class Unpainted:
    """A frame to paint: its source, how that moved from the frame before, and the chunk's way to the next anchor."""

    number: int
    left: int  # frames to the next anchor; 1 for the chunk's last
    content: Frame
    motion: Motion
    way: Approach
    lately: float = 0.0  # what came into sight in the frames before, see `came_lately`


@dataclass(frozen=True, slots=True)
class _Source:
    """A frame's source, and the one before it; the frame, where it is `stored`."""

    number: int
    before: Frame
    now: Frame
    stored: Stored | None = None


def frames_ahead(
    run: Run, studio: Studio, chunk: Chunk, reader: FrameReader
) -> Generator[Stored | Unpainted, None, None]:
    """A chunk's frames after its first, with all they need but the painting before. Runs beside the painter."""
    clip, way = studio.clip(run), None
    records = _stored_records(run, chunk)
    sights: list[float] = []  # how much came into sight with each frame so far

    def sources() -> Iterator[_Source]:
        contents = timed(run, clip.frames(chunk.start, chunk.stop))
        for number, (before, now) in enumerate(pairwise(contents), start=chunk.start + 1):
            run.check()
            record = records.get(number)
            there = None if record is None else Stored(record, read_frame(run, reader, record, "get"))
            yield _Source(number, before, now, there)

    def with_motion(source: _Source) -> tuple[Stored | Unpainted, float]:
        """The frame, and how much came into sight with it, where that counts."""
        soon = range(source.number + 1, min(chunk.stop, source.number + 1 + LATELY_FRAMES))
        if source.stored is not None and all(number in records for number in soon):
            return source.stored, 0.0
        with run.span("flow"):
            motion = motion_between(source.before, source.now, run.spec.params.flow)
        left = chunk.stop - source.number
        return source.stored or Unpainted(source.number, left, source.now, motion, NO_WAY), motion.bare

    with (
        ThreadPoolExecutor(1, "approach") as beside,
        closing(spread(with_motion, sources(), studio.machine.threads)) as frames,
    ):
        for frame, sight in frames:
            if isinstance(frame, Stored):
                yield frame
            else:
                # All of it is needed at once, and takes as long as many frames: so it is begun long before.
                way = way or beside.submit(_approach, run, clip, chunk, studio.machine)
                near = way.result() if frame.left <= APPROACH_FRAMES else NO_WAY
                yield replace(frame, way=near, lately=came_lately(sights))
            sights.append(sight)


def read_frame(run: Run, reader: FrameReader, record: FrameRecord, span: str) -> Frame:
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
    records = {}
    for key in run.store.list(prefix):
        run.check()  # a shot in one chunk may have thousands
        if (number := of_frames.get(key)) is not None and (record := stored(run, key, number)) is not None:
            records[number] = record
    return records


def _approach(run: Run, clip: Clip, chunk: Chunk, machine: Machine) -> Approach:
    """The way to the next chunk's anchor; an empty one where none follows in the shot."""
    if run.plan.after(chunk) is None:
        return NO_WAY
    anchor = FrameReader(run.store, run.job).frame(anchor_of(chunk.stop))
    first = max(chunk.start + 1, chunk.stop - APPROACH_FRAMES)
    contents = list(clip.frames(first, chunk.stop + 1))
    with run.span("approach"):
        return approach(anchor, contents, run.spec.params.flow, run.check, machine)
