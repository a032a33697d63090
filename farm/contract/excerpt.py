"""A part of a clip, by its times: what is painted where a job is to be no longer than a look at it."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from farm.contract.errors import InvalidParameter

MAX_MS = 365 * 24 * 3600 * 1000
_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,8}(?:\.\d{0,9})?)")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The frames that begin in `[start_ms, stop_ms)`, in milliseconds from the clip's beginning, as players count.

    A frame's own time is rounded to the millisecond. So of two excerpts, one of which ends where the other begins, each
    frame is in one.
    """

    start_ms: int = 0
    stop_ms: int | None = None  # None: to the clip's end

    def __post_init__(self) -> None:
        stop_ms = MAX_MS if self.stop_ms is None else self.stop_ms
        if not 0 <= self.start_ms < stop_ms <= MAX_MS:
            raise InvalidParameter(
                f"--to {time_text(stop_ms)} is not after --from {time_text(self.start_ms)}; give a later one",
                name="--to",
                value=stop_ms,
            )

    def share(self, duration_s: float) -> float:
        """About how much of a clip of that duration it is, 0 … 1."""
        stop_s = duration_s if self.stop_ms is None else min(duration_s, self.stop_ms / 1000)
        return max(0.0, stop_s - self.start_ms / 1000) / duration_s

    def __str__(self) -> str:
        if self.stop_ms is None:
            return f"from {time_text(self.start_ms)}"
        return f"{time_text(self.start_ms)} to {time_text(self.stop_ms)}"


def excerpt_of(from_s: float | str | None, to_s: float | str | None) -> Excerpt | None:
    """The excerpt between two times, each seconds or `[H:]MM:SS[.mmm]`; None where both are: the whole clip.

    InvalidParameter where one is no time, or the second is not after the first.
    """
    start_ms = 0 if from_s is None else milliseconds("--from", from_s)
    stop_ms = None if to_s is None else milliseconds("--to", to_s)
    return None if (start_ms, stop_ms) == (0, None) else Excerpt(start_ms, stop_ms)


def time_text(time_ms: int) -> str:
    """`1:02:03.5`, `2:03` or `0:03.25`: the shortest that says it to the millisecond."""
    minutes, rest_ms = divmod(time_ms, 60_000)
    seconds, milliseconds = divmod(rest_ms, 1000)
    fraction = f".{milliseconds:03d}".rstrip("0") if milliseconds else ""
    hours, minutes = divmod(minutes, 60)
    front = f"{hours}:{minutes:02d}" if hours else f"{minutes}"
    return f"{front}:{seconds:02d}{fraction}"


def milliseconds(flag: str, value: float | str) -> int:
    """A time in a clip that a flag was given; InvalidParameter where it is none."""
    seconds = _seconds(value)
    if seconds is None or not math.isfinite(seconds) or not 0 <= seconds * 1000 <= MAX_MS:
        raise InvalidParameter(
            f"{flag} {value} is no time in a clip; give seconds, or minutes and seconds, as in 83.5 or 1:23.5",
            name=flag,
            value=value,
        )
    return round(seconds * 1000)


def _seconds(value: float | str) -> float | None:
    if not isinstance(value, str):
        return None if isinstance(value, bool) else float(value)
    match = _TIME.fullmatch(value.strip())
    if match is None:
        return None
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
