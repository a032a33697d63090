"""The film's clock: when each frame of a clip is shown, in the ticks of the container that holds the film."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate, pairwise

from farm.contract.plan import FrameRange
from farm.video.timeline import FrameIndex


@dataclass(frozen=True, slots=True)
class Times:
    """A run of frames on the film's clock."""

    base: Fraction  # seconds a tick
    pts: tuple[int, ...]  # strictly increasing
    durations: tuple[int, ...]


def film_times(index: FrameIndex, base: Fraction, frames: FrameRange | None = None) -> Times:
    """The times of `frames` (None: of all) in `base`. The same ticks, whichever run of frames is asked for.

    Each frame has the nearest tick, or, where the one before has that or a later one, the tick after it.
    """
    start, stop = (frames.start, frames.stop) if frames else (0, index.frame_count)
    ticks = index.seconds_per_tick / base
    if ticks.denominator == 1:
        ends = index.pts[start : stop + 1] if stop < index.frame_count else (*index.pts[start:], _end(index))
        apart = [(pts - index.origin) * ticks.numerator for pts in ends]
    else:  # what a frame's tick is may hang on any frame before it
        apart = _apart(index, ticks)[start : stop + 1]
    return Times(base, tuple(apart[:-1]), tuple(after - pts for pts, after in pairwise(apart)))


def _apart(index: FrameIndex, ticks: Fraction) -> list[int]:
    """The ticks of all frames, and of the film's end."""
    ends = (*index.pts, _end(index))
    nearest = (_nearest((pts - index.origin) * ticks.numerator, ticks.denominator) for pts in ends)
    return list(accumulate(nearest, lambda before, tick: max(tick, before + 1)))


def _nearest(numerator: int, denominator: int) -> int:
    """`round(Fraction(numerator, denominator))`, in a tenth of its time: films have a million frames."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


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
    if index.origin and index.part is None:
        start_s = float(index.pts[0] * index.seconds_per_tick)
        notices.append(f"the clip's clock starts at {start_s:.1f} s; the film's starts at 0")
    if any((pts * index.seconds_per_tick / base).denominator != 1 for pts in index.film_pts):
        notices.append(
            f"times are rounded to {base} s: the container counts no finer, the clip in {index.seconds_per_tick} s"
        )
    late_s = _lateness_s(index, base)
    if late_s > base:
        notices.append(
            f"frames are shown up to {float(late_s):.3f} s late: the clip shows some less than {base} s apart"
        )
    return tuple(notices)


def _lateness_s(index: FrameIndex, base: Fraction) -> Fraction:
    """How much later than in the clip a frame is shown, at the most; negative where all are earlier."""
    ticks = index.seconds_per_tick / base
    shown = zip(film_times(index, base).pts, index.film_pts, strict=True)
    return max(got * ticks.denominator - pts * ticks.numerator for got, pts in shown) * base / ticks.denominator


def _end(index: FrameIndex) -> int:
    return index.pts[-1] + index.last_duration
