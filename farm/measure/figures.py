"""The figures of one frame. Pure functions of pictures; all on sRGB in [0, 1].

E is the warping error of Ruder et al. 2016 (*Artistic Style Transfer for Videos*) and Lai et al. 2018 (*Learning Blind
Video Temporal Consistency*). Blur wins E, so it is never read without detail beside it.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.measure.flow import Motion
from farm.motion import Frame, Trust, luma, places

Image = NDArray[np.float32]
"""`(H, W, 3) float32, sRGB [0, 1]`."""

FLAT_WINDOW_PX = 9
FLAT_SLOPE = 1.5 / 255
"""Most mean slope of the source's luma, per px, of an area that counts as flat."""
MIN_FLAT_SHARE = 0.02
"""Least share of the picture that must be flat for an error there to say anything."""


def image_from_frame(frame: Frame) -> Image:
    """`(H, W, 3) uint8` to `float32 [0, 1]`."""
    return np.multiply(frame, np.float32(1 / 255), dtype=np.float32)


def squared_error(before: Image, now: Image, motion: Motion) -> NDArray[np.float32]:
    """`(H, W) float32`: `‖O_t − W(O_{t−1})‖²`, the sum over the three channels.

    W is Lanczos over 8×8 pixels, clipped to [0, 1]. Differs: Lai et al. warp bilinearly, which blurs, so that
    strokes carried perfectly by half a pixel would count as flicker.
    """
    x, y = places(motion.flow_ba)
    carried = cv2.remap(before, x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    np.clip(carried, 0.0, 1.0, out=carried)
    np.subtract(now, carried, out=carried)
    return np.asarray(np.einsum("...c,...c->...", carried, carried), dtype=np.float32)


def warping_error(squared: NDArray[np.float32], mask: Trust) -> float | None:
    """`E = sqrt(Σ M‖O_t − W(O_{t−1})‖² / (3·ΣM))`, in [0, 1]; None where the mask M is empty."""
    count = int(np.count_nonzero(mask))
    if not count:
        return None
    return math.sqrt(float(squared[mask].sum(dtype=np.float64)) / (3 * count))


def flat_mask(source: Frame) -> Trust:
    """`(H, W) bool`: where the source has no texture to hide behind: skies, walls.

    There the slope of the luma (Sobel, per px) is at most 1.5/255 in the mean over 9×9 pixels.
    """
    gray = luma(source)
    slope_x, slope_y = (cv2.Sobel(gray, cv2.CV_32F, *axes, scale=1 / (8 * 255)) for axes in ((1, 0), (0, 1)))
    slope = cv2.boxFilter(cv2.magnitude(slope_x, slope_y), -1, (FLAT_WINDOW_PX, FLAT_WINDOW_PX))
    return np.asarray(slope <= FLAT_SLOPE)


def detail(frame: Frame) -> float:
    """Variance of the Laplacian (4 neighbours) of the luma in [0, 1]: how crisp the strokes are."""
    response = cv2.Laplacian(luma(frame), cv2.CV_32F, ksize=1, scale=1 / 255)
    _, deviation = cv2.meanStdDev(response)
    return float(deviation[0, 0]) ** 2


def mean_luma(frame: Frame) -> float:
    """Mean luma (Rec. 601) in [0, 1]."""
    return float(cv2.mean(luma(frame))[0]) / 255


def saturation(frame: Frame) -> float:
    """`Σ(max − min) / Σ max` over the channels of each pixel: the saturation of HSV in its mean weighted by value.

    So a darker copy has the same saturation, and near black, where hue is noise, little weight. 0 for a black frame.
    """
    red, green, blue = cv2.split(frame)
    highest, lowest = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    value = float(highest.sum(dtype=np.int64))
    return (value - float(lowest.sum(dtype=np.int64))) / value if value else 0.0
