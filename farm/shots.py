"""Scene cuts (PySceneDetect), found frame by frame in the pass that indexes the clip.

Everything counts frames, not seconds, so a variable frame rate changes nothing. PySceneDetect's AdaptiveDetector holds
a frame's change against that of its neighbours: a fast pan is no cut.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scenedetect import FrameTimecode
from scenedetect.detectors import AdaptiveDetector

Image: TypeAlias = NDArray[np.uint8]
"""(h, w, 3) uint8 BGR, small."""

MIN_SHOT_FRAMES = 8
"""A cut sooner after the last one is taken for a flash."""
_WINDOW = 2
_RATE = 25.0  # any: times are frame numbers in disguise


class CutDetector:
    """Sees each frame once, in order; `cuts()` then has the first frame of every shot but the first."""

    def __init__(self, min_shot_frames: int = MIN_SHOT_FRAMES) -> None:
        self._detector = AdaptiveDetector(min_scene_len=min_shot_frames, window_width=_WINDOW)
        self._cuts: list[int] = []

    def add(self, number: int, image: Image) -> None:
        """Frame `number`; also the watcher of `farm.video.index`."""
        found = self._detector.process_frame(FrameTimecode(number, fps=_RATE), image)
        self._cuts.extend(time.frame_num for time in found)

    def cuts(self) -> tuple[int, ...]:
        """First frames of new shots, in order."""
        return tuple(sorted(set(self._cuts)))


def find_cuts(images: Iterable[Image], min_shot_frames: int = MIN_SHOT_FRAMES) -> tuple[int, ...]:
    """First frames of new shots in `images`."""
    detector = CutDetector(min_shot_frames)
    for number, image in enumerate(images):
        detector.add(number, image)
    return detector.cuts()
