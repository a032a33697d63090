"""What bare places start from: the clip's content in the colours the painting has around them.

The style's statistics are of the whole picture, and most of it is painted already: they hardly ask for a small place to
change, and one that starts in the clip's colours keeps them. So it starts from what a local linear model of the
painting, given the content's lightness, makes of it (He, Sun, Tang 2010, *Guided Image Filtering*).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from worker.engine.arrays import Array, blurred, computed
from worker.engine.color import luma_plane
from worker.engine.flow import Carried
from worker.engine.pixels import Image

WINDOW_SIGMA_PX = 12.0
"""Spread of the window a place's colours are learnt from: a few strokes."""
EVERYWHERE = 0.1
"""Weight of the whole picture beside the window's: what counts where nothing near is painted."""
LEAST_VARIANCE = 1e-3
"""Lightness that varies less than this teaches no slope, only a colour."""

LATELY_FRAMES, LATELY_SHARE, LATELY_FADE = 8, 0.25, 0.7
"""For so many frames more, what came into sight is not yet painted as strongly as the rest. In the first of them it
counts as so much of what is bare, in each one after as so much of that."""


def came_lately(bare: Sequence[float]) -> float:
    """What came into sight in the frames before one, as a share of that frame: as if so much of it were bare.

    `bare`: how much of each of them came into sight with it, the last one at the end; 0 to 1.
    """
    newest_first = reversed(bare[-LATELY_FRAMES:])
    return LATELY_SHARE * sum(share * LATELY_FADE**age for age, share in enumerate(newest_first))


def filled(content: Image, carried: Carried, device: torch.device | str = "cpu") -> Image:
    """The content with the colours of the carried painting, `(H, W, 3) float32 [0, 1]`; alone where nothing is carried.

    `a L + b` per channel, with a and b fitted to the trusted pixels around each place. `device`: where to work it out.
    """
    if not carried.mask.any():
        return content
    return computed(_filled, device, luma_plane(content), carried.image, carried.mask)


def _filled(light: Array, image: Array, weight: Array) -> Array:
    total, mass = weight.sum(), blurred(weight, WINDOW_SIGMA_PX)

    def around(plane: Array) -> Array:
        """Weighted mean in a window around each pixel, with a little of the whole picture's."""
        known = plane * weight
        everywhere = float(known.sum() / total)  # the weighted mean of the whole picture
        mean: Array = (blurred(known, WINDOW_SIGMA_PX) + EVERYWHERE * everywhere) / (mass + EVERYWHERE)
        return mean

    mean_l = around(light)
    variance = around(light * light) - mean_l * mean_l
    fill = image + 0
    for channel in range(image.shape[2]):
        painted = image[..., channel]
        mean_p = around(painted)
        slope = (around(light * painted) - mean_l * mean_p) / (variance + LEAST_VARIANCE)
        fill[..., channel] = mean_p + slope * (light - mean_l)
    return fill.clip(0.0, 1.0)
