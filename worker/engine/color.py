"""Colour: lightness, a clip's colour statistics, and the two ways to keep a clip's colours.

Gatys, Bethge, Hertzmann, Shechtman 2016, *Preserving Color in Neural Artistic Style Transfer*: paint lightness alone
and lay the clip's own chroma over it (§ luminance-only), or give the style the clip's colours by a linear map before
anything is painted (§ color histogram matching, in its principal-component form, which has no odd rotations).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from worker.engine.pixels import Frame, Image

LUMA = (0.299, 0.587, 0.114)
"""Y' of ITU-R BT.601 from sRGB."""
LEAST_VARIANCE = 1e-4
"""A direction in which the style's colours vary less (1 % of the range) is not stretched as if they varied more:
there is nothing in it but noise."""

Plane = npt.NDArray[np.float32]
"""`(H, W) float32 [0, 1]`: lightness."""


@dataclass(frozen=True, slots=True)
class ColorStatistics:
    """Mean `(3,)` and covariance `(3, 3)` of pixels, sRGB in [0, 1], RGB order."""

    mean: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]

    @property
    def luma_mean(self) -> float:
        """Mean of the lightness."""
        return float(np.dot(LUMA, self.mean))

    @property
    def luma_std(self) -> float:
        """Standard deviation of the lightness."""
        return float(np.sqrt(max(0.0, np.asarray(LUMA) @ np.asarray(self.covariance) @ np.asarray(LUMA))))


def luma_plane(image: Image) -> Plane:
    """Y' of an image."""
    return np.asarray(image @ np.asarray(LUMA, np.float32), dtype=np.float32)


def grey(image: Image) -> Image:
    """The image without its colours, `(H, W, 3)`: all three channels are its Y'."""
    return np.repeat(luma_plane(image)[..., None], 3, axis=2)


def color_statistics(frames: Iterable[Frame]) -> ColorStatistics:
    """Of all pixels of all frames together; one frame or more."""
    count, total, products = 0, np.zeros(3), np.zeros((3, 3))
    for frame in frames:
        pixels = frame.reshape(-1, 3) / 255.0
        count += len(pixels)
        total += pixels.sum(axis=0)
        products += pixels.T @ pixels
    if not count:
        raise ValueError("no frames have no colours; give one or more")
    mean = total / count
    covariance = products / count - np.outer(mean, mean)
    return ColorStatistics(tuple(mean.tolist()), tuple(tuple(row) for row in covariance.tolist()))


def color_matched(image: Image, wanted: ColorStatistics) -> Image:
    """The image with the wanted mean and covariance, `(H, W, 3) float32`; colours outside [0, 1] are left so.

    `x ↦ Σc^½ Σs^-½ (x − μs) + μc`, with symmetric square roots.
    """
    pixels = image.reshape(-1, 3).astype(np.float64)
    mean = pixels.mean(axis=0)
    spread = np.cov(pixels, rowvar=False, bias=True)
    map_ = _power(np.asarray(wanted.covariance), 0.5, 0.0) @ _power(spread, -0.5, LEAST_VARIANCE)
    matched = (pixels - mean) @ map_.T + np.asarray(wanted.mean)
    return np.asarray(matched.reshape(image.shape), dtype=np.float32)


def luma_matched(image: Image, wanted: ColorStatistics) -> Image:
    """The image in grey, its lightness with the wanted mean and standard deviation; not clipped to [0, 1]."""
    plane = luma_plane(image)
    gain = wanted.luma_std / max(float(plane.std()), LEAST_VARIANCE**0.5)
    matched = (plane - plane.mean()) * gain + wanted.luma_mean
    return np.repeat(matched.astype(np.float32)[..., None], 3, axis=2)


def recolored(lightness: Plane, content: Image) -> Image:
    """The content's chroma over a painted lightness: Y' of the one, I and Q of the other (YIQ).

    Where that leaves [0, 1], the chroma is weakened just as far as needed: hue and lightness stay, so that the
    lightness can be read from the result again and carried on.
    """
    chroma = content - luma_plane(content)[..., None]  # equal steps in R, G and B change Y' alone
    plane = np.clip(lightness, 0.0, 1.0)[..., None]
    room = np.where(chroma > 0, 1.0 - plane, plane)
    share = np.min(room / np.maximum(np.abs(chroma), 1e-6), axis=2, keepdims=True)
    return np.asarray(plane + np.minimum(1.0, share) * chroma, dtype=np.float32)


def _power(matrix: npt.NDArray[np.float64], exponent: float, least: float) -> npt.NDArray[np.float64]:
    """A symmetric matrix's power by its eigenvalues, none taken smaller than `least`."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.maximum(values, least) ** exponent) @ vectors.T)
