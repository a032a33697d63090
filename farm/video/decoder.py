"""Decoding a range of frames exactly.

A seek lands where the container's index says, which for B-frames, open GOPs and edit lists is often not where one
asked. So every frame is held against the frame index (PTS and checksum), and where a seek went wrong an earlier
keyframe is tried, and at last the start of the clip.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import av.error

from farm.contract.errors import InvalidClip, InvalidParameter
from farm.video.picture import Converter
from farm.video.source import Limits, decoded, reading
from farm.video.timeline import FrameIndex, checksum, planned_limits

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

_KEYFRAME_TRIES = 2


def decode(
    path: Path | str,
    index: FrameIndex,
    start: int,
    stop: int,
    size_wh: tuple[int, int] | None = None,
    on_beat: Callable[[], None] = lambda: None,
) -> Iterator[NDArray[np.uint8]]:
    """Frames `[start, stop)` in order, each (H, W, 3) uint8 sRGB, as shown, scaled to `size_wh` (None: as it is).

    The decoder gets what the index says the clip needs, and no more. `on_beat` hears of every picture, also of those
    passed over on the way to `start`, which are many in a clip that can't be sought in; what it raises ends the work.
    """
    check_range(index, start, stop)
    with closing(Pictures(path, index, start, size_wh, stop=stop)) as pictures:
        for number in range(start, stop):
            yield pictures.read(number, on_beat)


class Pictures:
    """A decoder on its way through a clip: frames from `start` on, in order, each read once or passed over."""

    def __init__(
        self,
        path: Path | str,
        index: FrameIndex,
        start: int,
        size_wh: tuple[int, int] | None = None,
        *,
        stop: int | None = None,
    ) -> None:
        self.at = start  # the next frame
        self.alive = True  # it can go on: it has not failed, nor come to its end
        self._stop = index.frame_count if stop is None else stop
        self._index = index
        self._size_wh = size_wh or (index.width, index.height)
        self._converter = Converter()
        self._on_beat: Callable[[], None] = lambda: None
        self._exact = _exact(path, index, start, self._stop, planned_limits(index), self._beat)

    def read(self, number: int, on_beat: Callable[[], None] = lambda: None) -> NDArray[np.uint8]:
        """Frame `number`, the next one or a later one, as `decode` gives it."""
        if not self.at <= number < self._stop:
            raise InvalidParameter(f"frame {number} is not among {self.at} … {self._stop}", frame=number)
        self._on_beat, self.alive = on_beat, False
        while True:
            picture = next(self._exact)  # until `stop` it never ends, but fails
            self.at += 1
            if self.at > number:
                self.alive = self.at < self._stop
                return self._converter.rgb(picture, self._index.orientation, self._index.color, self._size_wh)

    def close(self) -> None:
        """End it; the file is let go."""
        self.alive = False
        self._exact.close()

    def _beat(self) -> None:
        self._on_beat()


def check_range(index: FrameIndex, start: int, stop: int) -> None:
    """InvalidParameter unless frames `[start, stop)` are the clip's."""
    if not 0 <= start <= stop <= index.frame_count:
        raise InvalidParameter(
            f"frames {start} … {stop} are outside the clip; it has {index.frame_count}", start=start, stop=stop
        )


def _exact(
    path: Path | str, index: FrameIndex, start: int, stop: int, limits: Limits, on_beat: Callable[[], None]
) -> Generator[VideoFrame, None, None]:
    """The pictures `[start, stop)`, by the nearest keyframe that leads there, else by counting from the start."""
    done = start
    for seek_pts in _seek_points(index, start):
        if done == stop:
            return
        for frame in _from_keyframe(path, index, done, stop, limits, on_beat, seek_pts=seek_pts):
            yield frame
            done += 1
    if done < stop:
        yield from _from_start(path, index, done, stop, limits, on_beat)


def _seek_points(index: FrameIndex, start: int) -> tuple[int, ...]:
    """PTS of the keyframes to try for frame `start`, nearest first; none where a seek gains nothing."""
    if not index.seekable:
        return ()
    before = bisect_right(index.keyframe_pts, index.pts[start]) if start < index.frame_count else 0
    nearest = range(before - 1, max(0, before - 1 - _KEYFRAME_TRIES), -1)
    return tuple(index.keyframe_pts[k] for k in nearest)


def _from_keyframe(
    path: Path | str,
    index: FrameIndex,
    start: int,
    stop: int,
    limits: Limits,
    on_beat: Callable[[], None],
    *,
    seek_pts: int,
) -> Iterator[VideoFrame]:
    """The pictures from `start` for as long as they are those of the index; stops at the first that is not."""
    with reading(path, limits) as (container, stream):
        try:
            container.seek(seek_pts, stream=stream)
        except av.error.FFmpegError:
            return
        wanted = start
        for frame in decoded(container, stream):
            on_beat()
            if frame.pts is None or (wanted == start and frame.pts < index.pts[start]):
                continue
            if frame.pts != index.pts[wanted] or checksum(frame) != index.checksums[wanted]:
                return
            yield frame
            wanted += 1
            if wanted == stop:
                return


def _from_start(
    path: Path | str, index: FrameIndex, start: int, stop: int, limits: Limits, on_beat: Callable[[], None]
) -> Iterator[VideoFrame]:
    by_pts = index.seekable
    number = 0 if index.part is None or by_pts else -index.part.frames_before
    with reading(path, limits) as (container, stream):
        for frame in decoded(container, stream):
            on_beat()
            if by_pts and index.part is not None and number == 0 and (frame.pts is None or frame.pts < index.pts[0]):
                continue
            if by_pts and frame.pts != index.pts[number]:
                break
            if number >= start:
                yield frame
            number += 1
            if number == stop:
                return
    raise InvalidClip(
        f"{path} is not the clip that was indexed: frame {number} of {index.frame_count} differs; submit it again",
        path=str(path),
        frame=number,
    )


def frame_at(index: FrameIndex, pts: int) -> int:
    """The number of the frame shown at `pts`; the first frame before it, the last after."""
    return max(0, bisect_left(index.pts, pts + 1) - 1)
