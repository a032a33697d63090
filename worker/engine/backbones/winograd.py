"""Convolutions of 3×3 by Winograd's minimal filtering, for CPUs in float32 (Lavin & Gray 2016, *Fast Algorithms for
Convolutional Neural Networks*, F(4×4, 3×3)).

The picture is cut in tiles of 6×6 that overlap by two. Transformed, a tile takes one product for each of its 36 places
where a direct convolution takes nine for each of the 16 places it gives, so a wide layer takes a quarter of the
products: half of its time, as the transforms move memory. oneDNN, which torch convolves with, has it for none of x86's
convolutions; cuDNN has its own. The price is rounding: some 1e-5 of the largest value, for 1e-6.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

BLOCK_NUMBERS = 80_000
"""So many numbers of a layer's wider side are transformed at a time: what is on its way stays in a CPU's cache."""
OUTPUTS_AT_ONCE = 16
"""A layer's kernels are transformed for so many of its outputs at a time: in float64, and copied, they are large."""
OUT, TILE, PLACES = 4, 6, 36

_INPUT = (
    (4.0, 0.0, -5.0, 0.0, 1.0, 0.0),
    (0.0, -4.0, -4.0, 1.0, 1.0, 0.0),
    (0.0, 4.0, -4.0, -1.0, 1.0, 0.0),
    (0.0, -2.0, -1.0, 2.0, 1.0, 0.0),
    (0.0, 2.0, -1.0, -2.0, 1.0, 0.0),
    (0.0, 4.0, 0.0, -5.0, 0.0, 1.0),
)
_KERNEL = (
    (1 / 4, 0.0, 0.0),
    (-1 / 6, -1 / 6, -1 / 6),
    (-1 / 6, 1 / 6, -1 / 6),
    (1 / 24, 1 / 12, 1 / 6),
    (1 / 24, -1 / 12, 1 / 6),
    (0.0, 0.0, 1.0),
)
_OUTPUT = (
    (1.0, 1.0, 1.0, 1.0, 1.0, 0.0),
    (0.0, 1.0, -1.0, 2.0, -2.0, 0.0),
    (0.0, 1.0, 1.0, 4.0, 4.0, 0.0),
    (0.0, 1.0, -1.0, 8.0, -8.0, 1.0),
)
"""The paper's Bᵀ, G and Aᵀ, for the points 0, ±1, ±2 and infinity."""


def _both_ways(transform: tuple[tuple[float, ...], ...]) -> Tensor:
    """A transform of rows, then columns, as one matrix."""
    one = torch.tensor(transform, dtype=torch.float64)
    return torch.kron(one, one).float()


_INPUT_2D, _OUTPUT_2D = _both_ways(_INPUT), _both_ways(_OUTPUT)


class ConvReLU(nn.Module):
    """A frozen convolution of 3×3, padded by one, and a ReLU: `(B, C, H, W)` in, `(B, C', H, W)` out.

    `blocks`: by Winograd on a CPU in float32. It holds its transformed kernels then, eight times what the kernels take.
    """

    def __init__(self, conv: nn.Conv2d, *, blocks: bool) -> None:
        super().__init__()
        self.conv = conv
        self._blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        """Its output, rectified."""
        if self.by_winograd and x.shape[0] == 1 and not torch.compiler.is_compiling():
            found: Tensor = _WinogradReLU.apply(x, self)
            return found
        return relu(self.conv(x), inplace=True)

    @property
    def by_winograd(self) -> bool:
        """Whether it makes features in blocks of `OUT` × `OUT`, a picture at a time."""
        weight = self.conv.weight
        return self._blocks and weight.device.type == "cpu" and weight.dtype == torch.float32

    @property
    def kernels_bytes(self) -> int:
        """Bytes of its transformed kernels, both ways; made when they are first wanted."""
        return 2 * PLACES // 9 * self.conv.weight.nbytes if self.by_winograd else 0

    @cached_property
    def kernels(self) -> Tensor:
        """`(36, C, C')`: the transformed kernels, for the way there."""
        return transformed(self.conv.weight)

    @cached_property
    def kernels_back(self) -> Tensor:
        """`(36, C', C)`: those of the gradient, the kernels turned by 180°, for the way back."""
        return transformed(self.conv.weight.flip(2, 3).transpose(0, 1))


def transformed(weight: Tensor) -> Tensor:
    """`(36, C, C')`: kernels `(C', C, 3, 3)` in Winograd's domain."""
    outputs, inputs = weight.shape[:2]
    kernel = torch.tensor(_KERNEL, dtype=torch.float64)
    found = weight.new_empty((PLACES, inputs, outputs))
    for first in range(0, outputs, OUTPUTS_AT_ONCE):
        some = slice(first, first + OUTPUTS_AT_ONCE)
        found[..., some] = torch.einsum("ai,oxij,bj->abxo", kernel, weight[some].double(), kernel).flatten(0, 1).float()
    return found


class _WinogradReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: ConvReLU) -> Tensor:
        found = convolved(x, layer.kernels, layer.conv.bias, rectified=True)
        ctx.layer = layer
        ctx.save_for_backward(found)
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """The gradient of `x`."""
        (found,) = ctx.saved_tensors
        gradient = torch.ops.aten.threshold_backward(gradients[0], found, 0)
        return convolved(gradient, ctx.layer.kernels_back), None


def convolved(x: Tensor, kernels: Tensor, bias: Tensor | None = None, *, rectified: bool = False) -> Tensor:
    """`(1, C, H, W) float32` convolved with transformed kernels, padded by one: `(1, C', H, W)`, channels_last."""
    _, channels, height, width = x.shape
    outputs = kernels.shape[2]
    down, across = -(-height // OUT), -(-width // OUT)
    found = x.new_empty((down, OUT, across, OUT, outputs))
    rows_at_once = max(1, BLOCK_NUMBERS // (across * max(channels, outputs)))
    places_hwc = x[0].permute(1, 2, 0)
    for row in range(0, down, rows_at_once):
        rows = min(rows_at_once, down - row)
        target = found[row : row + rows]
        target.copy_(_block(_tiles(places_hwc, row, rows, across), kernels, rows))
        if bias is not None:
            target.add_(bias)
        if rectified:
            target.clamp_(min=0)
    # A picture's stride must be that of channels_last, or layers after this one take it for another order, and copy it.
    whole = found.view(1, OUT * down, OUT * across, outputs).permute(0, 3, 1, 2)
    return whole[..., :height, :width].contiguous(memory_format=torch.channels_last)


def _block(tiles: Tensor, kernels: Tensor, rows: int) -> Tensor:
    """`(rows, OUT, across, OUT, C')`: rows of tiles convolved; what is made on the way is gone with it."""
    _, channels, outputs = kernels.shape
    product = torch.bmm((_INPUT_2D @ tiles).view(PLACES, -1, channels), kernels)
    return (_OUTPUT_2D @ product.view(PLACES, -1)).view(OUT, OUT, rows, -1, outputs).permute(2, 0, 3, 1, 4)


def _tiles(places_hwc: Tensor, row: int, rows: int, across: int) -> Tensor:
    """`(36, rows · across · C)`: rows of tiles, each place of a tile by itself."""
    height, width, channels = places_hwc.shape
    top, bottom = OUT * row - 1, OUT * (row + rows) + 1
    inside = places_hwc[max(0, top) : min(height, bottom)]
    padding = (0, 0, 1, OUT * across + 1 - width, max(0, -top), max(0, bottom - height))
    padded = pad(inside, padding).contiguous()
    down, right, _ = padded.stride()
    shape = (TILE, TILE, rows, across, channels)
    return padded.as_strided(shape, (down, right, OUT * down, OUT * right, 1)).reshape(PLACES, -1)
