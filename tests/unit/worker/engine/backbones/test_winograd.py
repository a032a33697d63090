"""A convolution in Winograd's blocks is the convolution, and every block is computed alike wherever it lies."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from worker.engine.backbones.winograd import OUT, ConvReLU, transformed

SIZES_HW = [(16, 24), (17, 31), (4, 4), (1, 1), (3, 70), (70, 3)]


def layer(inputs: int = 24, outputs: int = 40, *, blocks: bool = True, seed: int = 0) -> ConvReLU:
    torch.manual_seed(seed)
    conv = nn.Conv2d(inputs, outputs, 3, padding=1).requires_grad_(requires_grad=False)
    return ConvReLU(conv, blocks=blocks)


def picture(size_hw: tuple[int, int], channels: int = 24, count: int = 1) -> Tensor:
    values = torch.randn((count, channels, *size_hw), generator=torch.Generator().manual_seed(1))
    return values.to(memory_format=torch.channels_last)


def exact(of: ConvReLU, x: Tensor) -> Tensor:
    """In float64, not yet rectified."""
    return torch.nn.functional.conv2d(x.double(), of.conv.weight.double(), of.conv.bias.double(), padding=1)


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_it_is_the_convolution_rectified(size_hw: tuple[int, int]) -> None:
    of, x = layer(), picture(size_hw)
    found, wanted = of(x), exact(of, x).clamp(min=0)
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= 2e-5 * wanted.abs().max().clamp(min=1)
    assert (of(x.contiguous()) == found).all()  # in whichever order its numbers lie


@pytest.mark.parametrize("size_hw", SIZES_HW)
def test_its_gradient_is_the_convolutions_where_paint_gets_through(size_hw: tuple[int, int]) -> None:
    of, x = layer(), picture(size_hw).requires_grad_()
    found = of(x)
    pull = picture(size_hw, 40)
    found.backward(pull)
    weight = of.conv.weight.double()
    wanted = torch.nn.functional.conv_transpose2d((pull * (found > 0)).double(), weight, padding=1)
    assert x.grad is not None
    assert (x.grad - wanted).abs().max() <= 2e-5 * wanted.abs().max()


def test_what_comes_out_lies_as_what_comes_after_wants_it() -> None:
    """Pooling copies what is not channels_last, its strides as written there."""
    for size_hw in ((16, 24), (17, 31)):
        found = layer()(picture(size_hw))
        assert found.stride() == torch.empty(found.shape, memory_format=torch.channels_last).stride()


@pytest.mark.parametrize("rows_at_once", [1, 3, 100])
def test_in_how_many_parts_it_is_done_changes_nothing(monkeypatch: pytest.MonkeyPatch, rows_at_once: int) -> None:
    of, x = layer(), picture((40, 64))
    wanted = of(x)
    monkeypatch.setattr("worker.engine.backbones.winograd.BLOCK_NUMBERS", rows_at_once * 16 * 40)
    assert (of(x) == wanted).all()


def test_a_part_that_begins_at_a_block_is_rounded_as_in_the_whole() -> None:
    of, x = layer(64, 128), picture((96, 128), 64)
    whole = of(x)
    for top, left in ((OUT, OUT), (5 * OUT, 9 * OUT)):
        part = of(x[..., top - OUT :, left - OUT :])[..., OUT:, OUT:]
        assert (part == whole[..., top:, left:]).all()


@pytest.mark.parametrize("how", ["not asked for", "bfloat16", "several pictures"])
def test_elsewhere_torch_convolves(how: str) -> None:
    of = layer(blocks=how != "not asked for")
    x = picture((16, 24), count=2 if how == "several pictures" else 1)
    if how == "bfloat16":
        of, x = of.to(torch.bfloat16), x.bfloat16()
    assert of.by_winograd == (how == "several pictures")
    assert (of(x) == torch.relu(of.conv(x))).all()


def test_kernels_are_transformed_once_and_only_where_they_are_wanted() -> None:
    of, x = layer(), picture((16, 24))
    of(x)
    assert "kernels_back" not in vars(of)
    assert of.kernels is of.kernels
    assert torch.equal(of.kernels, transformed(of.conv.weight))
    assert of.kernels.shape == (36, 24, 40)
    assert of.kernels.nbytes + of.kernels_back.nbytes == of.kernels_bytes
    assert layer(blocks=False).kernels_bytes == 0
    assert set(of.state_dict()) == {"conv.weight", "conv.bias"}
