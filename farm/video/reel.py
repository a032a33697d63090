"""A clip that is read many times over: a chunk, the way to the next anchor, the anchor and the next chunk want the
same frames, or those right after them.

Frames lately decoded are kept, and decoders stay where they stopped: a range that begins there or a little further on
needs no way from the key frame before it, which may be hundreds of frames back.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from farm.video.decoder import Pictures, check_range

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from farm.video.timeline import FrameIndex

KEPT_BYTES = 256 * 2**20
"""Decoded frames: 40 at 1080p."""
KEPT_DECODERS = 2
"""A chunk is read by two threads at once. Each holds what its codec refers to, up to 20 frames of the clip's size."""


class Reel:
    """A clip at one size, for any number of threads. It holds the file open: drop it when done."""

    def __init__(
        self, path: Path | str, index: FrameIndex, size_wh: tuple[int, int], *, kept_bytes: int = KEPT_BYTES
    ) -> None:
        self._path = path
        self._index = index
        self._size_wh = size_wh
        self._kept_bytes = kept_bytes
        self._lock = threading.Lock()
        self._frames: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()  # the one used last at the end
        self._bytes = 0
        self._idle: list[Pictures] = []  # the one used last at the end

    def frames(self, start: int, stop: int, on_beat: Callable[[], None] = lambda: None) -> Iterator[NDArray[np.uint8]]:
        """What `decode` gives, which see; the arrays are read-only."""
        check_range(self._index, start, stop)
        pictures: Pictures | None = None
        try:
            for number in range(start, stop):
                frame = self._kept(number)
                if frame is None:
                    if pictures is None or not self._leads_to(pictures, number):
                        self._put_back(pictures)
                        pictures = self._nearest(number)
                    frame = pictures.read(number, on_beat)
                    self._keep(number, frame)
                yield frame
        finally:
            self._put_back(pictures)

    def _nearest(self, number: int) -> Pictures:
        """An idle decoder that is on the way to a frame, or a new one."""
        with self._lock:
            leading = [pictures for pictures in self._idle if self._leads_to(pictures, number)]
            if leading:
                nearest = max(leading, key=lambda pictures: pictures.at)
                self._idle.remove(nearest)
                return nearest
        return Pictures(self._path, self._index, number, self._size_wh)

    def _leads_to(self, pictures: Pictures, number: int) -> bool:
        """Whether going on is the shortest way: no key frame lies between."""
        if not pictures.alive or pictures.at > number:
            return False
        here, there = (bisect_right(self._index.keyframe_pts, self._index.pts[at]) for at in (pictures.at, number))
        return here == there or pictures.at == number or not self._index.seekable

    def _put_back(self, pictures: Pictures | None) -> None:
        if pictures is None:
            return
        if not pictures.alive:
            pictures.close()
            return
        with self._lock:
            self._idle.append(pictures)
            gone = self._idle[:-KEPT_DECODERS]
            del self._idle[:-KEPT_DECODERS]
        for one in gone:
            one.close()

    def _kept(self, number: int) -> NDArray[np.uint8] | None:
        with self._lock:
            if number in self._frames:
                self._frames.move_to_end(number)
            return self._frames.get(number)

    def _keep(self, number: int, frame: NDArray[np.uint8]) -> None:
        frame.setflags(write=False)
        with self._lock:
            if number in self._frames:  # two threads came to it at once
                return
            self._frames[number] = frame
            self._bytes += frame.nbytes
            while self._bytes > self._kept_bytes and len(self._frames) > 1:
                self._bytes -= self._frames.popitem(last=False)[1].nbytes
