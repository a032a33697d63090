"""What bare places start from: the clip's content in the colours the painting has around them.

The style's statistics are of the whole picture, and most of it is painted already: they hardly ask for a small place to
change, and one that starts in the clip's colours keeps them. So it starts from what a local linear model of the
painting, given the content's lightness, makes of it (He, Sun, Tang 2010, *Guided Image Filtering*).
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from worker.engine.color import luma_plane
from worker.engine.flow import Carried
from worker.engine.pixels import Image

WINDOW_SIGMA_PX = 12.0
"""Spread of the window a place's colours are learnt from: a few strokes."""
EVERYWHERE = 0.1
"""Weight of the whole picture beside the window's: what counts where nothing near is painted."""
LEAST_VARIANCE = 1e-3
"""Lightness that varies less than this teaches no slope, only a colour."""


def filled(content: Image, carried: Carried) -> Image:
    """The content with the colours of the carried painting, `(H, W, 3) float32 [0, 1]`; alone where nothing is carried.

    `a L + b` per channel, with a and b fitted to the trusted pixels around each place.
    """
    weight = carried.mask
    if not weight.any():
        return content
    light = luma_plane(content)
    mean_l = _around(light, weight)
    mean_ll = _around(light * light, weight)
    variance = mean_ll - mean_l * mean_l
    channels = []
    for painted in np.moveaxis(carried.image, 2, 0):
        mean_p = _around(painted, weight)
        slope = (_around(light * painted, weight) - mean_l * mean_p) / (variance + LEAST_VARIANCE)
        channels.append(mean_p + slope * (light - mean_l))
    return np.clip(np.stack(channels, axis=2), 0.0, 1.0).astype(np.float32)


def _around(plane: npt.NDArray[np.float32], weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Weighted mean in a window around each pixel, with a little of the whole picture's."""
    everywhere = float((plane * weight).sum() / weight.sum())  # the weighted mean of the whole picture
    near = cv2.GaussianBlur(plane * weight, (0, 0), WINDOW_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
    mass = cv2.GaussianBlur(weight, (0, 0), WINDOW_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray((near + EVERYWHERE * everywhere) / (mass + EVERYWHERE), dtype=np.float32)
