"""Frozen convolutions in a row as one step of autograd, which holds and moves half of what it would of its own.

What stands between two convolutions is seen by nobody else: it is clipped where it lies, kept once for the way back,
and so is its gradient. A wide layer is bound by memory, not by arithmetic.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

CEILING = 6.0


class Convolutions(torch.autograd.Function):
    """`(B, C, H, W)` through convolutions of frozen weights, a ReLU6 between each two."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, *convs: nn.Conv2d) -> Tensor:
        """The last one's output."""
        inputs = [x]
        for conv in convs[:-1]:
            inputs.append(_convolved(conv, inputs[-1]).clamp_(0, CEILING))
        ctx.convs = convs
        ctx.save_for_backward(*inputs)
        return _convolved(convs[-1], inputs[-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """The gradient of `x`."""
        (gradient,) = gradients
        inputs: tuple[Tensor, ...] = ctx.saved_tensors
        for place in reversed(range(len(inputs))):
            gradient = _pulled(ctx.convs[place], gradient, inputs[place])
            if place:  # what was clipped does not move
                hardtanh = torch.ops.aten.hardtanh_backward.grad_input
                hardtanh(gradient, inputs[place], 0.0, CEILING, grad_input=gradient)
        return gradient, *(None for _ in ctx.convs)


def _convolved(conv: nn.Conv2d, x: Tensor) -> Tensor:
    y: Tensor = conv(x)
    return y


def _pulled(conv: nn.Conv2d, gradient: Tensor, x: Tensor) -> Tensor:
    """The gradient of a convolution's input `x`, from that of its output."""
    of_input, _, _ = torch.ops.aten.convolution_backward(
        gradient,
        x,
        conv.weight,
        None,
        conv.stride,
        conv.padding,
        conv.dilation,
        False,  # not transposed
        (0, 0),
        conv.groups,
        (True, False, False),
    )
    found: Tensor = of_input
    return found
