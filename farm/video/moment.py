"""Which frame of a clip is seen at a time."""

from __future__ import annotations

from pathlib import Path

from farm.contract.errors import InvalidClip
from farm.contract.excerpt import Excerpt, time_text
from farm.video.probe import probe
from farm.video.source import LIMITS, Beat, Limits, reading
from farm.video.timeline import index, time_base
from farm.video.wanted import Wanted

LOOK_BACK_MS = 2000
"""The frame that is seen began this long before at the most; where it did not, the clip is decoded from its start."""


def frame_shown(path: Path | str, at_ms: int | None, *, limits: Limits = LIMITS, on_beat: Beat = lambda: None) -> int:
    """When the frame begins that is seen at `at_ms`, in milliseconds as an `Excerpt` counts them; None: amid the clip.

    InvalidClip where the clip ends before that.
    """
    wanted_ms = round(500 * probe(path, limits=limits).duration_s) if at_ms is None else at_ms
    with reading(path, limits) as (container, stream):
        clock, has_clock = Wanted(None, container, time_base(stream)), container.start_time is not None
    near_ms = max(0, wanted_ms - LOOK_BACK_MS) if has_clock else 0
    try:
        found = index(path, excerpt=Excerpt(near_ms, wanted_ms + 1), limits=limits, on_beat=on_beat)
    except InvalidClip:
        if near_ms == 0:
            raise
        found = index(path, excerpt=Excerpt(0, wanted_ms + 1), limits=limits, on_beat=on_beat)
    clock.at_ms(found.pts[0])  # where the file names no beginning, it is the first frame's
    begins_ms, ends_ms = clock.at_ms(found.pts[-1]), clock.at_ms(found.pts[-1] + found.last_duration)
    if at_ms is not None and at_ms >= ends_ms:
        why = f"{path} ends at {time_text(ends_ms)}, before {time_text(at_ms)}; give another --at"
        raise InvalidClip(why, path=str(path))
    return begins_ms
