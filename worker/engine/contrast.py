"""Local contrast, band by band: what mixing and warping wear away, and how it is put back.

Interpolation between pixels and the mean of two paintings both flatten fine strokes. Here a picture is parted in bands
of detail (Burt & Adelson 1983), and each band is brought to the local energy it should have.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.engine.arrays import Array, blurred, computed
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


def bands(image: Array) -> list[Array]:
    """The image as bands of detail, fine to coarse, and what is left; their sum is the image."""
    parts: list[Array] = []
    rest = image
    for sigma_px in BAND_SIGMAS_PX:
        smoother = blurred(image, sigma_px)
        parts.append(rest - smoother)
        rest = smoother
    parts.append(rest)
    return parts


def local_energy(band: Array) -> Array:
    """`(H, W)`: mean square of a band in a Gaussian window, mean over the channels."""
    if isinstance(band, Tensor):
        return blurred((band * band).mean(-1), WINDOW_SIGMA_PX)  # the same, in a third of the time
    energy: Array = blurred(band * band, WINDOW_SIGMA_PX).mean(-1)
    return energy


def mixture(one: Image, other: Image, share: Mask, device: torch.device | str = "cpu") -> Image:
    """`share` of `one` and the rest of `other`, each band with the local contrast of what it is mixed from.

    All float32 [0, 1]: `(H, W, 3)` pictures and result, `(H, W)` share. `device`: where to work it out.
    """
    return computed(_mixture, device, one, other, share)


def crisp_warp(image: Image, flow_ba: Flow, device: torch.device | str = "cpu") -> Image:
    """`backward_warp` with the contrast it had: each band's local energy comes along the flow, too.

    Contrast is a smooth field, which a warp does not wear away. Without this, a stroke on what moves by half pixels
    loses a twentieth of its detail in every frame. Gains go both ways, or contrast would grow from warp to warp.
    `device`: where to work it out.
    """
    return computed(_crisp_warp, device, image, flow_ba)


def _mixture(one: Array, other: Array, share: Array) -> Array:
    ones, others, shares = bands(one), bands(other), share[..., None]
    mixes = [shares * a + (1 - shares) * b for a, b in zip(ones, others, strict=True)]
    energies = [
        share * local_energy(a) + (1 - share) * local_energy(b) for a, b in zip(ones[:-1], others[:-1], strict=True)
    ]
    return _with_energies(mixes, energies, least=1.0)


def _crisp_warp(image: Array, flow_ba: Array) -> Array:
    energies = [sampled(local_energy(band), flow_ba) for band in bands(image)[:-1]]
    return _with_energies(bands(backward_warp(image, flow_ba)), energies, least=1 / MAX_GAIN)


def _with_energies(parts: Sequence[Array], energies: Sequence[Array], least: float) -> Array:
    """The sum of bands, each but the last with its energy, `(H, W, 3) float32 [0, 1]`."""
    result = parts[-1]
    for band, energy in zip(parts[:-1], energies, strict=True):
        result = result + _with_energy(band, energy, least)
    return result.clip(0.0, 1.0)


def _with_energy(band: Array, energy: Array, least: float) -> Array:
    """The band with the wanted local energy, as far as a gain of `least` to `MAX_GAIN` goes."""
    ratio = (energy + ENERGY_FLOOR) / (local_energy(band) + ENERGY_FLOOR)
    gain: Array = (ratio**0.5).clip(least, MAX_GAIN)[..., None]
    return band * gain
