"""Convolutions in a row are what their layers are one by one, in values and gradients."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from worker.engine.backbones.convolutions import CEILING, Convolutions

WIDE = 6


def layers(*, stride: int = 1, dtype: torch.dtype = torch.float64) -> list[nn.Conv2d]:
    torch.manual_seed(3)
    made = [
        nn.Conv2d(3, WIDE, 1),
        nn.Conv2d(WIDE, WIDE, 3, stride, 1, groups=WIDE),
        nn.Conv2d(WIDE, 4, 1),
    ]
    return [conv.to(dtype).requires_grad_(requires_grad=False) for conv in made]


def one_by_one(x: Tensor, convs: list[nn.Conv2d]) -> Tensor:
    for conv in convs[:-1]:
        x = nn.functional.relu6(conv(x))
    return convs[-1](x)


def picture(dtype: torch.dtype = torch.float64) -> Tensor:
    # Wide enough that some of what lies between is clipped at 0, some at 6, and some not.
    return (12 * torch.randn((1, 3, 9, 7), generator=torch.Generator().manual_seed(0), dtype=dtype)).requires_grad_()


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_values_and_gradients_are_those_of_the_layers(stride: int, count: int) -> None:
    convs, x = layers(stride=stride)[:count], picture()
    between = convs[0](x)
    assert (between < 0).any()
    assert (between > CEILING).any()
    ours, wanted = Convolutions.apply(x, *convs), one_by_one(x, convs)
    torch.testing.assert_close(ours, wanted)
    pull = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1), dtype=wanted.dtype)
    given = pull.clone()
    torch.testing.assert_close(
        torch.autograd.grad(ours, x, given)[0],
        torch.autograd.grad(wanted, x, pull)[0],
    )
    assert torch.equal(given, pull)  # what came in is its owner's


def test_channels_last_and_bfloat16_go_through() -> None:
    convs = [conv.to(torch.bfloat16) for conv in layers(stride=2)]
    x = picture(torch.bfloat16)
    ours = Convolutions.apply(x.contiguous(memory_format=torch.channels_last), *convs)
    torch.testing.assert_close(ours, one_by_one(x, convs), rtol=0.05, atol=0.05)
    ours.float().square().sum().backward()
    assert x.grad is not None
    assert torch.isfinite(x.grad).all()


def test_it_keeps_each_layers_input_and_nothing_more() -> None:
    convs, x = layers(), picture()
    kept: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        Convolutions.apply(x, *convs)
    assert [tuple(tensor.shape) for tensor in kept] == [(1, 3, 9, 7), (1, WIDE, 9, 7), (1, WIDE, 9, 7)]
