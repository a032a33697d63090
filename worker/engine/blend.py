"""The flow-blend of a boundary: the painting that comes from before the seam fades into the one after it.

Eidnes 2015 mixes linearly, and where strokes do not lie on each other the mean is grey and flat. Here the local
contrast that mixing lost is put back.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from worker.engine.flow import Carried
from worker.engine.pixels import Frame, Image, frame_from_image, image_from_frame

CONTRAST_SIGMA_PX = 3.0
"""Half-width of the window contrast is measured in: about one stroke."""
MAX_GAIN = 2.0
"""Most that contrast is raised: two unrelated paintings of one contrast need √2 at the most."""
VARIANCE_FLOOR = 1e-5


def raised_cosine_weights(frames: int) -> tuple[float, ...]:
    """The carried painting's weight in each of K = `frames` frames, near 1 first and near 0 last.

    `½(1 + cos π(i+1)/(K+1))`, so that the frames just outside the window would have 1 and 0.
    """
    return tuple(0.5 * (1 + math.cos(math.pi * (i + 1) / (frames + 1))) for i in range(frames))


def blend_frame(carried: Carried, painted: Frame, weight: float) -> Frame:
    """`painted` with `weight` of the carried painting in it, where its mask trusts it; contrast kept.

    `weight` in [0, 1]; 0 returns the painted frame's own pixels.
    """
    fresh = image_from_frame(painted)
    share = (weight * carried.mask)[..., None]
    mixed = share * carried.image + (1 - share) * fresh
    wanted = share[..., 0] * local_variance(carried.image) + (1 - share[..., 0]) * local_variance(fresh)
    return frame_from_image(with_local_variance(mixed, wanted))


def local_variance(image: Image) -> npt.NDArray[np.float32]:
    """`(H, W) float32`: variance in a Gaussian window, mean over the channels."""
    spread = _smooth(np.square(image)) - np.square(_smooth(image))
    return np.asarray(np.maximum(spread, 0).mean(axis=-1), dtype=np.float32)


def with_local_variance(image: Image, variance: npt.NDArray[np.float32]) -> Image:
    """The image with its contrast raised to the wanted local variance; never lowered."""
    ratio = (variance + VARIANCE_FLOOR) / (local_variance(image) + VARIANCE_FLOOR)
    gain = np.clip(np.sqrt(ratio), 1.0, MAX_GAIN)[..., None]
    mean = _smooth(image)
    return np.asarray(mean + gain * (image - mean), dtype=np.float32)


def _smooth(image: Image) -> Image:
    blurred = cv2.GaussianBlur(image, (0, 0), CONTRAST_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.float32)
