"""Scene cuts (PySceneDetect), found frame by frame in the pass that indexes the clip.

Everything counts frames, not seconds, so a variable frame rate changes nothing. PySceneDetect's AdaptiveDetector holds
a frame's change against that of its neighbours: a fast pan is no cut, and a fade to black and back is none either. So
frames that show nothing are watched for, too: with the last of them, where a picture comes after, a shot begins; so
what a film begins with is a shot of its own, if it shows nothing for as long as a shot is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

from farm.motion import Gray, blank, contrast

Image: TypeAlias = NDArray[np.uint8]
"""(h, w, 3) uint8 BGR, small."""

MIN_SHOT_FRAMES = 8
"""A cut sooner after the last one is taken for a flash."""
SHOWS = 8.0
"""Contrast, in steps of 1/255, from which on a picture has come, or has not yet gone."""
FADE_FRAMES = 16
"""So far from the frames that show nothing, a change is still part of their fade."""
MOTION_PX = 64
"""Longer side at which a frame is held against the one before: noise and grain are gone there."""
_WINDOW = 2
_RATE = 25.0  # any: times are frame numbers in disguise


class CutDetector:
    """Sees each frame once, in order; `cuts()` then has the first frame of every shot but the first.

    `motion`: how much each frame differs from the one before, in hundredths of a grey level in the mean.
    """

    def __init__(self, min_shot_frames: int = MIN_SHOT_FRAMES) -> None:
        self._detector = AdaptiveDetector(min_scene_len=min_shot_frames, window_width=_WINDOW)
        self._cuts: list[int] = []
        self._fades = _Fades()
        self._min_shot_frames = min_shot_frames
        self._small: Gray | None = None
        self.motion: list[int] = []

    def add(self, number: int, image: Image) -> None:
        """Frame `number`; also the watcher of `farm.video.index`."""
        found = self._detector.process_frame(FrameTimecode(number, fps=_RATE), image)
        self._cuts.extend(time.frame_num for time in found)
        gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        self._fades.add(number, gray)
        small, before = _small(gray), self._small
        self._small = small
        moved = 0.0 if before is None else float(np.asarray(cv2.absdiff(small, before)).mean())
        self.motion.append(round(100 * moved))

    def cuts(self) -> tuple[int, ...]:
        """First frames of new shots, in order."""
        found = set(self._cuts)
        for fade in self._fades.all():
            found -= set(range(fade.start, fade.stop + self._min_shot_frames))
            if not fade.cut:
                continue
            last = max(cut for cut in (0, *found) if cut < fade.cut)
            found |= {fade.cut} if fade.cut - last >= self._min_shot_frames else set()
        return tuple(sorted(found))


def _small(gray: Gray) -> Gray:
    height, width = gray.shape
    scale = min(1.0, MOTION_PX / max(gray.shape))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


class _Fade(NamedTuple):
    """Frames `[start, stop)` that show little, nothing in between; `cut`: the last of those, if a picture follows."""

    start: int
    stop: int
    cut: int | None


class _Fades:
    """Where a clip shows nothing. A shot holds on there, and the next one begins in time to fade in."""

    def __init__(self) -> None:
        self._found: list[_Fade] = []
        self._shown: int | None = None  # the last frame that showed something
        self._first: int | None = None  # of the frames since that showed nothing
        self._blank = 0  # the last of them

    def add(self, number: int, gray: Gray) -> None:
        """Frame `number`, each in order."""
        if blank(gray):
            self._first, self._blank = number if self._first is None else self._first, number
            return
        shows = contrast(gray) >= SHOWS
        if self._first is not None and (shows or number > self._blank + FADE_FRAMES):  # by then, it is but dim
            stop = min(number, self._blank + FADE_FRAMES)
            self._found.append(_Fade(self._begins(self._first), stop, self._blank))
            self._first = None
        if shows:
            self._shown = number

    def all(self) -> list[_Fade]:
        """Those so far; one that the clip ends in, too."""
        last = [] if self._first is None else [_Fade(self._begins(self._first), self._blank + 1, None)]
        return self._found + last

    def _begins(self, first: int) -> int:
        return max(0 if self._shown is None else self._shown + 1, first - FADE_FRAMES)


def find_cuts(images: Iterable[Image], min_shot_frames: int = MIN_SHOT_FRAMES) -> tuple[int, ...]:
    """First frames of new shots in `images`."""
    detector = CutDetector(min_shot_frames)
    for number, image in enumerate(images):
        detector.add(number, image)
    return detector.cuts()
