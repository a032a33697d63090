"""Which frames of a clip an excerpt has, and from where on a decoder must go to give them."""

from __future__ import annotations

import math
from collections import deque
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from farm.contract.errors import InvalidClip
from farm.contract.excerpt import Excerpt, time_text
from farm.video.source import Beat, packets

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

KEYFRAMES_BEFORE = 3
"""How many keyframes before an excerpt decoding begins: of the first one's own frames some may lack what they were
predicted from (open GOPs), and the last two are where a later seek goes."""


class Wanted:
    """Which frames an excerpt has, by their PTS; all where there is none. Times count from where a player's do: from
    the file's first packet, or the first frame that is asked about.
    """

    def __init__(self, excerpt: Excerpt | None, container: InputContainer, base: Fraction) -> None:
        self.excerpt = excerpt
        self._base = base
        self._zero_s = None if container.start_time is None else Fraction(container.start_time, 1_000_000)

    def is_before(self, pts: int) -> bool:
        """Whether a frame begins before the excerpt."""
        return self.excerpt is not None and self.at_ms(pts) < self.excerpt.start_ms

    def is_after(self, pts: int) -> bool:
        """Whether a frame begins at the excerpt's end, or after it."""
        stop_ms = None if self.excerpt is None else self.excerpt.stop_ms
        return stop_ms is not None and self.at_ms(pts) >= stop_ms

    def at_ms(self, pts: int) -> int:
        """When a frame begins, to the millisecond."""
        at_s = pts * self._base
        if self._zero_s is None or self._zero_s > at_s:
            self._zero_s = at_s
        return math.floor((at_s - self._zero_s) * 1000 + Fraction(1, 2))


def first_packet(container: InputContainer, stream: VideoStream, wanted: Wanted, on_beat: Beat) -> int:
    """The number of the stream's packet from which on a decoder gives every frame wanted, as from the clip's start.

    The packets before the excerpt are read, but not decoded: an hour of them takes seconds, not minutes. 0 where a
    packet has no PTS, as frames are counted then, and where too few keyframes come before the excerpt.
    """
    if wanted.excerpt is None or container.start_time is None:
        return 0
    keyframes: deque[int] = deque(maxlen=KEYFRAMES_BEFORE)
    for number, packet in enumerate(packets(container, stream)):
        on_beat()
        if packet.pts is None:
            return 0
        if packet.is_keyframe:
            if not wanted.is_before(packet.pts):
                break
            keyframes.append(number)
    return keyframes[0] if len(keyframes) == KEYFRAMES_BEFORE else 0


def outside(path: Path | str, excerpt: Excerpt, which: str, at_ms: int) -> InvalidClip:
    """The clip has no frame in `excerpt`, but `which` at `at_ms`."""
    return InvalidClip(
        f"{path} has no frame {excerpt}: {which} begins at {time_text(at_ms)}; give another --from or --to",
        path=str(path),
    )
