"""A clip's stamps as they come: a few out of order are borne, a clock that starts again is refused.

DVD and camera files that were strung together have such a clock. Each later frame would have no place but the tick
after the one before it: the rest of the film would flash by.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from farm.contract.errors import InvalidClip

_MOST_BEHIND = 16
"""Frames in a row before a time that was reached already; more of them are no disorder of a damaged clip."""


class Stamps:
    """Frames or packets of a video stream, one after the other; InvalidClip where the clock has started again."""

    def __init__(self, path: Path | str, tick_s: Fraction) -> None:
        self._path, self._tick_s = path, tick_s
        self._latest: tuple[int, ...] = ()
        self._count = self._behind = 0
        self._jump = (0, 0, 0)  # frame, and the ticks from and to which the clock went there

    def add(self, *stamps: int | None) -> None:
        """The next frame's PTS, or the next packet's DTS and PTS: of B-frames only the DTS increase."""
        known = tuple(stamp for stamp in stamps if stamp is not None)
        if len(known) == len(stamps):
            self._compare(known)
        self._count += 1

    def _compare(self, stamps: tuple[int, ...]) -> None:
        latest = self._latest or stamps
        self._latest = tuple(map(max, latest, stamps))
        if any(stamp > before for stamp, before in zip(stamps, latest, strict=True)):
            self._behind = 0
        elif any(stamp < before for stamp, before in zip(stamps, latest, strict=True)):
            if self._behind == 0:
                self._jump = self._count, latest[-1], stamps[-1]
            self._behind += 1
        if self._behind > _MOST_BEHIND:
            raise self._restarted()

    def _restarted(self) -> InvalidClip:
        frame, from_ticks, to_ticks = self._jump
        from_s, to_s = float(from_ticks * self._tick_s), float(to_ticks * self._tick_s)
        return InvalidClip(
            f"{self._path}: its clock jumps back at frame {frame}, from {from_s:.3f} s to {to_s:.3f} s; "
            "remux it (ffmpeg -i CLIP -c copy CLIP.mkv), or export it again",
            path=str(self._path),
        )
