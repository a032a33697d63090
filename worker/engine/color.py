"""Colour: the one measure the engine needs, lightness for motion estimation."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from worker.engine.pixels import Frame


def luma(frame: Frame) -> npt.NDArray[np.uint8]:
    """`(H, W) uint8`: Y' of ITU-R BT.601 from a `(H, W, 3) uint8` sRGB frame."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
