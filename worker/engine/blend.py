"""The flow-blend of a boundary: the painting that comes from before the seam fades into the one after it.

Eidnes 2015 mixes linearly, and where strokes do not lie on each other the mean is grey and flat. Here the local
contrast that mixing lost is put back, band by band.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from worker.engine.flow import Carried
from worker.engine.pixels import Frame, Image, frame_from_image, image_from_frame

BAND_SIGMAS_PX = (0.7, 1.5, 3.0, 6.0)
"""Where the bands of detail end. Broad strokes of two paintings often agree where fine ones do not, so each band's
contrast is kept on its own."""
WINDOW_SIGMA_PX = 4.0
"""Half-width of the window contrast is measured in: about one stroke."""
MAX_GAIN = 2.0
"""Most that contrast is raised: two unrelated paintings of one contrast need √2 at the most."""
ENERGY_FLOOR = 1e-6


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
    before, after = bands(carried.image), bands(fresh)
    mixed = [share * old + (1 - share) * new for old, new in zip(before, after, strict=True)]
    blended = mixed[-1]
    for old, new, mix in zip(before[:-1], after[:-1], mixed[:-1], strict=True):
        wanted = share[..., 0] * local_energy(old) + (1 - share[..., 0]) * local_energy(new)
        blended = blended + with_energy(mix, wanted)
    return frame_from_image(blended)


def mixed(carried: Carried, painted: Frame, weight: float) -> Frame:
    """`painted` with `weight` of the carried painting in it, where its mask trusts it: a plain mean (Eidnes 2015)."""
    share = (weight * carried.mask)[..., None]
    return frame_from_image(share * carried.image + (1 - share) * image_from_frame(painted))


def bands(image: Image) -> list[Image]:
    """The image as bands of detail, fine to coarse, and what is left; their sum is the image (Burt & Adelson 1983)."""
    parts, rest = [], image
    for sigma_px in BAND_SIGMAS_PX:
        smoother = _blurred(image, sigma_px)
        parts.append(rest - smoother)
        rest = smoother
    return [*parts, rest]


def local_energy(band: Image) -> npt.NDArray[np.float32]:
    """`(H, W) float32`: mean square of a band in a Gaussian window, mean over the channels."""
    return np.asarray(_blurred(np.square(band), WINDOW_SIGMA_PX).mean(axis=-1), dtype=np.float32)


def with_energy(band: Image, energy: npt.NDArray[np.float32]) -> Image:
    """The band raised to the wanted local energy; never lowered."""
    ratio = (energy + ENERGY_FLOOR) / (local_energy(band) + ENERGY_FLOOR)
    return np.asarray(band * np.clip(np.sqrt(ratio), 1.0, MAX_GAIN)[..., None], dtype=np.float32)


def _blurred(image: Image, sigma_px: float) -> Image:
    blurred = cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.float32)
