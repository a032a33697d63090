"""The losses a painting minimises, each a pure function. `worker.engine.objective` is their weighted sum.

Gatys, Ecker, Bethge 2016, *Image Style Transfer Using Convolutional Neural Networks*; the temporal term is
Ruder, Dosovitskiy, Brox 2016, *Artistic Style Transfer for Videos*, eq. 7.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from farm.contract.params import Params
from worker.engine.backbones.base import Network
from worker.engine.color import LUMA

EPS = 1e-12
"""Keeps a black target's energy from dividing by nought."""

TERMS = ("content", "style", "tv", "temporal", "total")
"""The order of `Objective`'s terms."""


def gram_matrix(features_bchw: Tensor) -> Tensor:
    """`(B, C, C)`: `F Fᵀ / (HW)` of `(B, C, H, W)` features.

    Differs: Gatys et al. eq. 3 does not divide; dividing lets style and painting have different sizes.
    """
    product: Tensor = _Product.apply(features_bchw)
    return product / (features_bchw.shape[2] * features_bchw.shape[3])


Part = tuple[slice, slice]
"""Rows and columns of a feature, as they begin and end."""


def gram_of_part(features_bchw: Tensor, part: Part) -> Tensor:
    """`gram_matrix` of a part of the features, with nothing as large as they are beside their gradient."""
    product: Tensor = _PartsProduct.apply(features_bchw, part)
    return product / places_of(part)


def places_of(part: Part) -> int:
    """How many places it has."""
    rows, columns = part
    count: int = (rows.stop - rows.start) * (columns.stop - columns.start)
    return count


BLOCK_PLACES = 1 << 16
"""Places of a feature that are widened, or cut out, at once: no second copy of the whole is made."""


class _Product(torch.autograd.Function):
    """`F Fᵀ` in float32 of `(B, C, H, W)` features; of bfloat16's, exact but for float32's rounding of the sums."""

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> Tensor:
        ctx.save_for_backward(features)
        return _product(features)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        features: Tensor = ctx.saved_tensors[0]
        return _pulled(features, gradients[0])


class _PartsProduct(torch.autograd.Function):
    """`_Product` of a part of the features, a few rows at a time."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, part: Part) -> Tensor:
        ctx.save_for_backward(features)
        ctx.part = part
        return torch.stack([_product(block) for block in _blocks(features, part)]).sum(dim=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        features: Tensor = ctx.saved_tensors[0]
        found = torch.zeros_like(features)
        for block, target in zip(_blocks(features, ctx.part), _blocks(found, ctx.part), strict=True):
            target.copy_(_pulled(block, gradients[0]))
        return found, None


def _blocks(features: Tensor, part: Part) -> tuple[Tensor, ...]:
    rows, columns = part
    own = features[..., rows, columns]
    return torch.split(own, max(1, BLOCK_PLACES // own.shape[3]), dim=2)


def _product(features: Tensor) -> Tensor:
    """`F Fᵀ`.

    On a CPU it is the gradient of a 1×1 convolution's weights, of the features by themselves: oneDNN makes that twice
    as fast as the product of matrices it is.
    """
    batch, channels = features.shape[:2]
    if features.dtype == torch.bfloat16:
        total = torch.zeros((batch, channels, channels), device=features.device)
        for block in torch.split(_places(features), BLOCK_PLACES, dim=1):
            wide = block.float()
            total.baddbmm_(wide.transpose(1, 2), wide)
        return total
    if _convolves(features):
        weights = features.new_empty((channels, channels, 1, 1))
        pulled = _PULLED(features, features, weights, None, *_ONE_BY_ONE, (False, True, False))
        product: Tensor = pulled[1].view(1, channels, channels)
        return product
    places = _places(features)
    return places.transpose(1, 2) @ places


def _pulled(features: Tensor, gradient: Tensor) -> Tensor:
    """Its gradient, `(D + Dᵀ) F`: one product for autograd's two, in the features' type as all their gradients are.

    On a CPU it is the output of a 1×1 convolution.
    """
    both = (gradient + gradient.transpose(1, 2)).to(features.dtype)
    if _convolves(features):
        return torch.nn.functional.conv2d(features, both[0, :, :, None, None])
    return (_places(features) @ both).transpose(1, 2).view_as(features)


_PULLED = torch.ops.aten.convolution_backward
_ONE_BY_ONE = ((1, 1), (0, 0), (1, 1), False, (0, 0), 1)
"""Stride, padding, dilation, not transposed, output padding, groups."""


def _convolves(features_bchw: Tensor) -> bool:
    return features_bchw.device.type == "cpu" and features_bchw.shape[0] == 1


def _places(features_bchw: Tensor) -> Tensor:
    """`(B, HW, C)`, as channels_last features lie in memory."""
    return features_bchw.permute(0, 2, 3, 1).flatten(1, 2)


def style_loss(grams: Sequence[Tensor], targets: Sequence[Tensor]) -> Tensor:
    """Mean over layers of `‖G − A‖² / ‖A‖²`, a scalar.

    Differs: Gatys et al. eq. 4 divides by `4N²M²`; dividing by the target's own energy gives every layer the
    same say whatever its scale, so that no weight per layer is needed.
    """
    layers = [(gram - target).square().sum() / energy(target) for gram, target in zip(grams, targets, strict=True)]
    return torch.stack(layers).mean()


def content_loss(features_bchw: Tensor, target_bchw: Tensor) -> Tensor:
    """`‖F − P‖² / ‖P‖²`, a scalar. Differs: Gatys et al. eq. 1 is `½‖F − P‖²`, which depends on the layer's scale."""
    return (_wide(features_bchw) - _wide(target_bchw)).square().sum() / energy(target_bchw)


def energy(features: Tensor) -> Tensor:
    """`‖F‖²`, a scalar above 0."""
    return _wide(features).square().sum().clamp_min(EPS)


def _wide(features: Tensor) -> Tensor:
    """Where features are in bfloat16, in float32."""
    return features.float() if features.dtype == torch.bfloat16 else features


CHROMA_SMOOTHNESS = 4.0
"""How many times more a difference in colour alone counts than one in lightness. The optimiser's noise is as strong in
colour as in lightness, a painter's strokes are not: with one weight for both, what moves is speckled with magenta and
green."""


def tv_loss(image_bchw: Tensor, metric: Tensor | None = None) -> Tensor:
    """Mean squared difference of horizontal plus vertical neighbours, a scalar (Mahendran & Vedaldi 2015).

    `metric`, `(C, C)`: a linear map of colours to those in which differences are measured.
    """
    image = image_bchw
    if metric is not None:
        image = (metric @ image_bchw.flatten(2).to(metric.dtype)).view_as(image_bchw).to(image_bchw.dtype)
    dx = image[..., :, 1:] - image[..., :, :-1]
    dy = image[..., 1:, :] - image[..., :-1, :]
    return dx.square().mean() + dy.square().mean()


def chroma_metric(channels: int, device: torch.device | str = "cpu") -> Tensor | None:
    """`(3, 3)`: M with `‖Md‖² = ‖d‖² + CHROMA_SMOOTHNESS·‖d − Y(d)‖²`; None where lightness alone is painted.

    For a GPU in float64: its float32 products may be TF32's, whose ten bits round away what a soft slope changes from
    pixel to pixel.
    """
    if channels != len(LUMA):
        return None
    chroma = np.eye(3) - np.asarray(LUMA)  # the lightness taken from each channel
    square = np.eye(3) + CHROMA_SMOOTHNESS * chroma.T @ chroma
    on_cpu = torch.device(device).type == "cpu"
    return torch.from_numpy(np.linalg.cholesky(square).T.astype(np.float32 if on_cpu else np.float64)).to(device)


def temporal_loss(image_bchw: Tensor, carried_bchw: Tensor, mask_b1hw: Tensor) -> Tensor:
    """`mean(M (x − warp)²)`, a scalar: what departs from the carried painting where the mask trusts it."""
    return (mask_b1hw * (image_bchw - carried_bchw).square()).mean()


STYLE_WEIGHT_POWER = 2.0
"""Seen steps are even in the square of the style weight: 0.25 is a hint, 4 is all paint."""


def content_and_style_weights(params: Params) -> tuple[float, float]:
    """The factors of content and style loss, whose ratio goes with the square of the style weight.

    A smaller style weight lowers the style's factor, a larger one the content's: so smoothness and temporal terms,
    which are set against factors of this size, are never outweighed.
    """
    ratio = params.style_weight**STYLE_WEIGHT_POWER
    return params.content_weight / max(1.0, ratio), min(1.0, ratio)


Phase = tuple[int, int]
"""How far a network's grid is shifted, in px from the top and left."""

PHASES: tuple[Phase, ...] = ((0, 0), (1, 1), (0, 1), (1, 0))
"""The places where a stride of 2 can begin. A network that strides does not see patterns that fit its grid, and the
optimiser fills the picture with them; walking through the phases, every pattern is seen."""


MARGIN_PX = 16
"""Width of the margin of reflection: the reach of the finest taps, and most of the coarse ones'."""


def framed(image_bchw: Tensor, phase: Phase = (0, 0)) -> Tensor:
    """The image with its own reflection around it, `MARGIN_PX` wide less the phase at the top and left.

    The networks pad with zeros, which they see as a frame of grey: without a margin the paint stays flat there.
    """
    (top, bottom), (left, right) = _margins(image_bchw, phase)
    if image_bchw.device.type == "cpu":
        return pad(image_bchw, (left, right, top, bottom), mode="reflect")
    # A GPU adds up a mirrored pixel's gradients in any order. One axis after the other they are two at most, whose sum
    # has one value; at a corner they would be four, and no frame could be painted twice alike.
    across = pad(image_bchw, (left, right, 0, 0), mode="reflect")
    return pad(across, (0, 0, top, bottom), mode="reflect")


def framed_size(image_bchw: Tensor, phase: Phase = (0, 0)) -> tuple[int, int]:
    """Height and width of `framed`."""
    height, width = (
        side + sum(margins) for side, margins in zip(image_bchw.shape[-2:], _margins(image_bchw, phase), strict=True)
    )
    return height, width


def _margins(image_bchw: Tensor, phase: Phase) -> list[tuple[int, int]]:
    """Before and after the image, down and across."""
    wide = (min(MARGIN_PX, side - 1) for side in image_bchw.shape[-2:])
    return [(max(0, margin - shift), margin) for margin, shift in zip(wide, phase, strict=True)]


def style_grams(network: Network, features: Mapping[str, Tensor]) -> list[Tensor]:
    """The Gram matrix of every style tap."""
    return [gram_matrix(features[tap]) for tap in network.style_taps]


def losses_by_name(terms: Tensor) -> dict[str, float]:
    """`Objective.terms` as numbers, by name. Waits for the device."""
    return dict(zip(TERMS, terms.tolist(), strict=True))
