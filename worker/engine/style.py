"""What a painting is painted towards: the Gram matrices of its styles, mixed by weight, at every pyramid level.

The mixture is the weighted mean of the styles' Gram matrices: where a sum of Gatys et al.'s style losses (2016, eq. 4)
with these weights has its minimum, and the straight line between two styles that Dumoulin, Shlens, Kudlur 2017, *A
Learned Representation for Artistic Style*, walk along in the parameters of instance norms.
Differs: the loss is divided by the energy of the mean, not of each style.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from worker.engine.backbones import Network
from worker.engine.losses import framed, style_grams
from worker.engine.memory import Memory
from worker.engine.pixels import (
    Image,
    SizeHW,
    resized,
    size_with_longer_side,
    tensor_from_image,
)
from worker.engine.tiling import TiledPicture

WeightedStyle = tuple[Image, float]
"""A style `(H, W, 3) float32, sRGB [0, 1]` and its weight, above 0."""


class StyleTargets:
    """The Gram matrices of a mixture of styles, made once per level and kept.

    `scale` is the size of a style against the painting (neural-style's `-style_scale`): its longer side is `scale`
    times the level's, so strokes grow with it.
    """

    def __init__(
        self,
        network: Network,
        styles: Sequence[WeightedStyle],
        *,
        scale: float = 1.0,
        device: torch.device | str,
        memory: Memory | None = None,
    ) -> None:
        whole = sum(weight for _, weight in styles)
        self._network = network
        self._styles = [(image, weight / whole) for image, weight in styles]
        self._scale = scale
        self._device = device
        self._memory = memory or Memory()
        self._kept: dict[SizeHW, list[Tensor]] = {}

    def at(self, size_hw: SizeHW) -> list[Tensor]:
        """The targets of a level, one `(1, C, C)` per style tap."""
        if size_hw not in self._kept:
            with torch.no_grad():
                grams = [self._grams(image, max(size_hw)) for image, _ in self._styles]
            self._kept[size_hw] = weighted_mean(grams, [share for _, share in self._styles])
        return self._kept[size_hw]

    def _grams(self, style: Image, longer_px: int) -> list[Tensor]:
        """One style's Gram matrices: the mean over its tiles, which is that of the whole picture but for the seams."""
        tiles = style_tiles(style, longer_px, self._scale)
        pixels = [tile.shape[0] * tile.shape[1] for tile in tiles]
        return weighted_mean([self._tile_grams(tile) for tile in tiles], [each / sum(pixels) for each in pixels])

    def _tile_grams(self, tile: Image) -> list[Tensor]:
        network, seen = self._network, framed(tensor_from_image(tile, self._device))
        return self._memory.within(
            network,
            (seen.shape[-2], seen.shape[-1]),
            lambda: style_grams(network, network(seen)),
            lambda tiling: TiledPicture(network, seen, tiling).grams(),
        )


def style_tiles(style: Image, longer_px: int, scale: float) -> list[Image]:
    """The style at `scale` times the size it has when its longer side is `longer_px`, in tiles as large as that.

    A smaller one is mirrored until it fills one tile: a picture of a few pixels has no statistics in the deep layers.
    A larger one is seen in tiles of the level's size, which overlap where it is no whole number of them: memory does
    not grow with the scale, and what the borders do to the deep layers' statistics, they do to the painting's, too.
    """
    style_hw = (style.shape[0], style.shape[1])
    tile_hw = size_with_longer_side(style_hw, longer_px)
    scaled = resized(style, size_with_longer_side(style_hw, max(1, round(scale * longer_px))))
    missing = [(0, max(0, wanted - side)) for wanted, side in zip(tile_hw, scaled.shape, strict=False)]
    filled = np.pad(scaled, (*missing, (0, 0)), mode="symmetric")
    (tops, lefts), (height, width) = (_starts(filled, tile_hw, axis, math.ceil(scale)) for axis in (0, 1)), tile_hw
    return [filled[top : top + height, left : left + width] for top in tops for left in lefts]


def _starts(picture: Image, tile_hw: SizeHW, axis: int, count: int) -> list[int]:
    """Where `count` tiles begin that are spread evenly over the picture."""
    left_over = picture.shape[axis] - tile_hw[axis]
    return [round(number * left_over / max(1, count - 1)) for number in range(count)]


def weighted_mean(layers_by_item: Sequence[Sequence[Tensor]], shares: Sequence[float]) -> list[Tensor]:
    """Layer by layer, the mean of the items' tensors with `shares` that sum to 1."""
    by_layer = zip(*layers_by_item, strict=True)
    return [torch.stack([share * x for share, x in zip(shares, xs, strict=True)]).sum(dim=0) for xs in by_layer]
