"""What a painting is painted towards: the Gram matrices of its styles, mixed by weight, at every pyramid level.

The mixture is the weighted mean of the styles' Gram matrices: the point that a sum of Gatys et al.'s style losses
with these weights has its minimum at, and the straight line between two styles that Dumoulin, Shlens, Kudlur 2017,
*A Learned Representation for Artistic Style*, walk along with instance-norm parameters. Differs from that sum: the
mean is divided by its own energy, so a loud style does not drown a quiet one twice.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from worker.engine.backbones import Network
from worker.engine.losses import framed, style_grams
from worker.engine.pixels import (
    Frame,
    Image,
    SizeHW,
    image_from_frame,
    resized,
    size_with_longer_side,
    tensor_from_image,
)

WeightedStyle = tuple[Frame, float]
"""A style `(H, W, 3) uint8 sRGB` and its weight, above 0."""


class StyleTargets:
    """The Gram matrices of a mixture of styles, made once per level and kept."""

    def __init__(self, network: Network, styles: Sequence[WeightedStyle], *, device: torch.device | str) -> None:
        whole = sum(weight for _, weight in styles)
        self._network = network
        self._styles = [(image_from_frame(frame), weight / whole) for frame, weight in styles]
        self._device = device
        self._kept: dict[SizeHW, list[Tensor]] = {}

    def at(self, size_hw: SizeHW) -> list[Tensor]:
        """The targets of a level, one `(1, C, C)` per style tap."""
        if size_hw not in self._kept:
            with torch.no_grad():
                mixed = [[share * gram for gram in self._grams(image, size_hw)] for image, share in self._styles]
            self._kept[size_hw] = [torch.stack(layer).sum(dim=0) for layer in zip(*mixed, strict=True)]
        return self._kept[size_hw]

    def _grams(self, style: Image, size_hw: SizeHW) -> list[Tensor]:
        """One style's Gram matrices, its longer side as long as the level's."""
        style_hw = (style.shape[0], style.shape[1])
        scaled = tensor_from_image(resized(style, size_with_longer_side(style_hw, max(size_hw))), self._device)
        return style_grams(self._network, self._network(framed(scaled)))
