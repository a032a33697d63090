"""Encoded segments as they lie in the store: a film's part, and beside it what is known of it.

The task's manifest names the record by its SHA-256, the record names the film by its own. A segment of which either is
lost or another one is damaged: FrameDamaged, under the name of its first frame, and `repair` has it made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from farm.contract import keys
from farm.contract.codec import from_json, sha256_hex
from farm.contract.errors import CorruptObject, FarmError, FrameDamaged, InvalidInput, ObjectNotFound
from farm.contract.messages import Stage, StoredFrame, TaskId
from farm.frames import read_manifest
from farm.measure import FrameFigures
from farm.store import OnBytes, Store

SEGMENT_VERSION = 1


@dataclass(frozen=True, slots=True)
class Segment:
    """What is known of an encoded segment."""

    VERSION: ClassVar[int] = SEGMENT_VERSION

    start: int
    stop: int
    suffix: str  # of its film
    sha256: str  # of its film
    reorder_frames: int  # how many places late a frame is decoded at the most
    figures: FrameFigures | None  # None: it could not be measured
    failure: str = ""  # why not
    version: int = SEGMENT_VERSION


def stored_segment(start: int) -> StoredFrame:
    """The segment that begins at a frame, as manifests and repairs know it."""
    return StoredFrame(TaskId(Stage.SEGMENT, start), start)


@dataclass(frozen=True, slots=True)
class SegmentReader:
    """Reads a job's segments, each held against its maker's manifest."""

    store: Store
    job: str

    def segment(self, start: int, sha256: str | None = None) -> Segment:
        """What is known of a segment. `sha256`: of its record, where its manifest is not written yet."""
        key = keys.segment(self.job, start)
        try:
            data = self.store.get(key)
            wanted = self._named(start) if sha256 is None else sha256
            if (found := sha256_hex(data)) != wanted:
                raise CorruptObject(f"{key!r} has SHA-256 {found[:12]}…, its manifest names {wanted[:12]}…", key=key)
            return from_json(Segment, data)
        except (ObjectNotFound, CorruptObject, InvalidInput) as error:
            raise segment_damaged(self.job, start, error) from error

    def film(self, segment: Segment, folder: Path, on_bytes: OnBytes | None = None) -> Path:
        """A segment's film, fetched into `folder`."""
        path = folder / f"{segment.start:08d}{segment.suffix}"
        key = keys.segment_film(self.job, segment.start, segment.suffix)
        try:
            info = self.store.get_file(key, path, on_progress=on_bytes)
            if info.sha256 != segment.sha256:
                raise CorruptObject(f"{key!r} is another film than the one its record names", key=key)
        except (ObjectNotFound, CorruptObject) as error:
            raise segment_damaged(self.job, segment.start, error) from error
        return path

    def _named(self, start: int) -> str:
        """The SHA-256 that the manifest has of a segment's record."""
        stored = stored_segment(start)
        records = read_manifest(self.store, self.job, stored.maker).frames
        if [record.frame for record in records] != [start]:
            key = keys.manifest(self.job, stored.maker)
            raise CorruptObject(f"{key!r} does not name its segment", key=key)
        return records[0].sha256


def segment_damaged(job: str, start: int, error: FarmError) -> FrameDamaged:
    """The error for a segment that can't be used."""
    stored = stored_segment(start)
    return FrameDamaged(
        f"{stored.maker} can't be used ({error}); while its job runs it is made again",
        frame=start,
        key=keys.segment(job, start),
        stored=str(stored),
    )
