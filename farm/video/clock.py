"""The film's clock: when each frame of a clip is shown, in the ticks of the container that holds the film."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from farm.contract.plan import FrameRange
from farm.video.timeline import FrameIndex


@dataclass(frozen=True, slots=True)
class Times:
    """A run of frames on the film's clock."""

    base: Fraction  # seconds a tick
    pts: tuple[int, ...]  # strictly increasing
    durations: tuple[int, ...]


def film_times(index: FrameIndex, base: Fraction, frames: FrameRange | None = None) -> Times:
    """The times of `frames` (None: of all) in `base`. The same ticks, whichever run of frames is asked for."""
    start, stop = (frames.start, frames.stop) if frames else (0, index.frame_count)
    ticks = index.seconds_per_tick / base
    ends = index.pts[start : stop + 1] if stop < index.frame_count else (*index.pts[start:], _end(index))
    rounded = [round((pts - index.origin) * ticks) for pts in ends]
    return Times(base, tuple(rounded[:-1]), tuple(after - pts for pts, after in pairwise(rounded)))


def decode_times(pts: tuple[int, ...], reorder_frames: int) -> tuple[int, ...]:
    """DTS by place in decode order, of frames shown at `pts`, in order, where none is decoded more than so many late.

    The one at place i is due when frame i - d is shown, d being `reorder_frames`: so DTS increase strictly, and none is
    after its PTS, whatever the frame rate does. The first d are as far before the first frame as frame d is after it.
    """
    lead = pts[0] - pts[reorder_frames]
    return (*(at + lead for at in pts[:reorder_frames]), *pts[: len(pts) - reorder_frames])


def time_notices(index: FrameIndex, base: Fraction) -> tuple[str, ...]:
    """For the artist: where the film's clock is another than the clip's."""
    notices = []
    if index.origin:
        start_s = float(index.pts[0] * index.seconds_per_tick)
        notices.append(f"the clip's clock starts at {start_s:.1f} s; the film's starts at 0")
    if any((pts * index.seconds_per_tick / base).denominator != 1 for pts in index.film_pts):
        notices.append(
            f"times are rounded to {base} s: the container counts no finer, the clip in {index.seconds_per_tick} s"
        )
    return tuple(notices)


def _end(index: FrameIndex) -> int:
    return index.pts[-1] + index.last_duration
