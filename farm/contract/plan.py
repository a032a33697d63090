"""The plan: how a clip is cut in shots, chunks and boundaries. Pure shapes; `farm.plan` makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

PLAN_VERSION = 1
LEAD_FRAMES = 6
"""An anchor's lead-in: so many frames before its place it is painted, quickly, and brought there frame by frame, as the
frames after it will be. What was carried far and painted once looks well, but loses much to the next warp."""


@dataclass(frozen=True, slots=True, order=True)
class FrameRange:
    """Half-open range of frame numbers `[start, stop)`: zero-based ordinals of decoded frames."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def __contains__(self, frame: object) -> bool:
        return isinstance(frame, int) and self.start <= frame < self.stop


@dataclass(frozen=True, slots=True)
class Chunk:
    """A run of frames inside one shot: the unit of GPU work, named by its first frame."""

    start: int
    stop: int
    shot: int  # index of its shot

    @property
    def frames(self) -> FrameRange:
        """Its frames."""
        return FrameRange(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Boundary:
    """The join of two neighbouring chunks of one shot, named by the later chunk's `start`."""

    start: int  # first frame of the blend window
    stop: int  # end of the blend window: start + K, never past the later chunk
    shot: int
    before: int  # `start` of the earlier chunk

    @property
    def frames(self) -> FrameRange:
        """Its blend window."""
        return FrameRange(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Plan:
    """A job's shots, chunks and boundaries, each in order of frames."""

    VERSION: ClassVar[int] = PLAN_VERSION

    frame_count: int
    width: int  # of the painted frames, px, even
    height: int
    index_sha256: str  # of the frame index (PTS) the plan was made from
    shots: tuple[FrameRange, ...]
    chunks: tuple[Chunk, ...]
    boundaries: tuple[Boundary, ...]
    linked: bool = True  # a shot's anchors are carried from one to the next, and its chunks painted towards each other
    version: int = PLAN_VERSION

    def chunk(self, start: int) -> Chunk:
        """The chunk that begins there."""
        return next(chunk for chunk in self.chunks if chunk.start == start)

    def before(self, chunk: Chunk) -> Chunk | None:
        """The chunk of the same shot that ends where this one begins; None where the plan links no chunks."""
        return self._linked(chunk, lambda other: other.stop == chunk.start)

    def after(self, chunk: Chunk) -> Chunk | None:
        """The chunk of the same shot that begins where this one ends; None where the plan links no chunks."""
        return self._linked(chunk, lambda other: other.start == chunk.stop)

    def _linked(self, chunk: Chunk, meets: Callable[[Chunk], bool]) -> Chunk | None:
        of_shot = (other for other in self.chunks if other.shot == chunk.shot and meets(other))
        return next(of_shot, None) if self.linked else None
