"""Local contrast, band by band: what mixing and warping wear away, and how it is put back.

Interpolation between pixels and the mean of two paintings both flatten fine strokes. Here a picture is parted in bands
of detail (Burt & Adelson 1983), and each band is brought to the local energy it should have.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from worker.engine.pixels import Flow, Image, Mask
from worker.engine.warp import backward_warp, sampled

BAND_SIGMAS_PX = (0.7, 1.5, 3.0, 6.0)
"""Where the bands of detail end. Broad strokes of two paintings often agree where fine ones do not, so each band's
contrast is kept on its own."""
WINDOW_SIGMA_PX = 4.0
"""Half-width of the window contrast is measured in: about one stroke."""
MAX_GAIN = 2.0
"""Most that contrast is raised: two unrelated paintings of one contrast need √2 at the most."""
ENERGY_FLOOR = 1e-6

Energy = npt.NDArray[np.float32]
"""`(H, W) float32`: mean square of a band, around each pixel."""


def bands(image: Image) -> list[Image]:
    """The image as bands of detail, fine to coarse, and what is left; their sum is the image."""
    parts, rest = [], image
    for sigma_px in BAND_SIGMAS_PX:
        smoother = _blurred(image, sigma_px)
        parts.append(rest - smoother)
        rest = smoother
    return [*parts, rest]


def local_energy(band: Image) -> Energy:
    """`(H, W) float32`: mean square of a band in a Gaussian window, mean over the channels."""
    return np.asarray(_blurred(np.square(band), WINDOW_SIGMA_PX).mean(axis=-1), dtype=np.float32)


def with_energy(band: Image, energy: Energy, least: float) -> Image:
    """The band with the wanted local energy, as far as a gain of `least` to `MAX_GAIN` goes."""
    ratio = (energy + ENERGY_FLOOR) / (local_energy(band) + ENERGY_FLOOR)
    return np.asarray(band * np.clip(np.sqrt(ratio), least, MAX_GAIN)[..., None], dtype=np.float32)


def with_energies(parts: Sequence[Image], energies: Sequence[Energy], least: float) -> Image:
    """The sum of bands, each but the last with its energy, `(H, W, 3) float32 [0, 1]`."""
    result = parts[-1]
    for band, energy in zip(parts[:-1], energies, strict=True):
        result = result + with_energy(band, energy, least)
    return np.clip(result, 0.0, 1.0).astype(np.float32)


def mixture(one: Image, other: Image, share: Mask) -> Image:
    """`share` of `one` and the rest of `other`, each band with the local contrast of what it is mixed from.

    All float32 [0, 1]: `(H, W, 3)` pictures and result, `(H, W)` share.
    """
    ones, others, shares = bands(one), bands(other), share[..., None]
    mixes = [shares * a + (1 - shares) * b for a, b in zip(ones, others, strict=True)]
    energies = [
        share * local_energy(a) + (1 - share) * local_energy(b) for a, b in zip(ones[:-1], others[:-1], strict=True)
    ]
    return with_energies(mixes, energies, least=1.0)


def crisp_warp(image: Image, flow_ba: Flow) -> Image:
    """`backward_warp` with the contrast it had: each band's local energy comes along the flow, too.

    Contrast is a smooth field, which a warp does not wear away. Without this, a stroke on what moves by half pixels
    loses a twentieth of its detail in every frame. Gains go both ways, or contrast would grow from warp to warp.
    """
    energies = [sampled(local_energy(band), flow_ba) for band in bands(image)[:-1]]
    return with_energies(bands(backward_warp(image, flow_ba)), energies, least=1 / MAX_GAIN)


def _blurred(image: Image, sigma_px: float) -> Image:
    blurred = cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.float32)
