"""Losses against values derived by hand, and their gradients against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, tensor

from farm.contract.params import Params
from worker.engine.losses import (
    CHROMA_SMOOTHNESS,
    MARGIN_PX,
    chroma_metric,
    content_and_style_weights,
    content_loss,
    framed,
    gram_matrix,
    style_loss,
    temporal_loss,
    tv_loss,
)


def random64(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).requires_grad_()


def test_the_gram_matrix_is_the_mean_product_of_channels() -> None:
    features = tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # (1, 2, 1, 2): channels (1, 2) and (3, 4)
    # (1·1+2·2)/2, (1·3+2·4)/2, (3·3+4·4)/2
    torch.testing.assert_close(gram_matrix(features), tensor([[[2.5, 5.5], [5.5, 12.5]]]))


def test_the_gram_matrix_does_not_depend_on_the_size() -> None:
    features = random64(1, 3, 4, 5)
    torch.testing.assert_close(gram_matrix(features.repeat(1, 1, 2, 2)), gram_matrix(features))


def test_each_style_layer_counts_relative_to_its_targets_energy() -> None:
    # layer 1: (3−1)²/1² = 4; layer 2: (300−100)²/100² = 4, though it is 100 times as large
    grams, targets = [tensor([3.0]), tensor([300.0])], [tensor([1.0]), tensor([100.0])]
    assert style_loss(grams, targets).item() == pytest.approx(4.0)


def test_content_loss_is_relative_to_the_contents_energy() -> None:
    # ((1−2)² + (4−2)²) / (2² + 2²) = 5/8
    assert content_loss(tensor([[[[1.0, 4.0]]]]), tensor([[[[2.0, 2.0]]]])).item() == pytest.approx(0.625)


def test_total_variation_is_the_mean_squared_step_right_plus_down() -> None:
    image = tensor([[[[0.0, 1.0], [0.5, 0.5]]]])
    # right: (1² + 0²)/2 = 0.5; down: (0.5² + 0.5²)/2 = 0.25
    assert tv_loss(image).item() == pytest.approx(0.75)


def test_smoothness_counts_colour_more_than_lightness() -> None:
    metric = chroma_metric(3)
    assert metric is not None
    step = torch.zeros(1, 3, 4, 4, dtype=torch.float32)
    step[..., 2:] = 0.5  # grey: a step in lightness
    assert tv_loss(step, metric).item() == pytest.approx(tv_loss(step).item())
    colour = step * tensor([0.587, -0.299, 0.0]).float().view(1, 3, 1, 1)  # the same lightness on both sides
    assert tv_loss(colour, metric).item() == pytest.approx((1 + CHROMA_SMOOTHNESS) * tv_loss(colour).item())
    assert chroma_metric(1) is None  # where lightness alone is painted


def test_a_gpu_gets_its_smoothness_in_float64_and_the_picture_stays_float32() -> None:
    on_cpu, on_gpu = chroma_metric(3), chroma_metric(3, "meta")
    assert on_cpu is not None
    assert on_gpu is not None
    assert (on_cpu.dtype, on_gpu.dtype) == (torch.float32, torch.float64)
    image = random64(1, 3, 6, 8).float().detach().requires_grad_()
    wide, usual = tv_loss(image, on_cpu.double()), tv_loss(image, on_cpu)
    assert wide.dtype == torch.float32
    for each in (wide, usual):
        torch.testing.assert_close(each, usual)
        torch.testing.assert_close(*(torch.autograd.grad(loss, image, retain_graph=True)[0] for loss in (each, usual)))


def test_the_temporal_loss_counts_only_what_the_mask_trusts() -> None:
    image, carried = tensor([[[[1.0, 1.0]]]]), tensor([[[[0.0, 0.5]]]])
    assert temporal_loss(image, carried, tensor([[[[0.0, 1.0]]]])).item() == pytest.approx(0.125)  # (0 + 0.25)/2
    assert temporal_loss(image, carried, tensor([[[[0.0, 0.0]]]])).item() == 0


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: style_loss([gram_matrix(x)], [gram_matrix(random64(1, 3, 4, 5, seed=1))]),
        lambda x: content_loss(x, random64(1, 3, 4, 5, seed=2)),
        tv_loss,
        lambda x: temporal_loss(x, random64(1, 3, 4, 5, seed=3), random64(1, 1, 4, 5, seed=4)),
        lambda x: framed(x, (1, 0)).square().mean(),
    ],
    ids=["style", "content", "tv", "temporal", "framed"],
)
def test_gradients_agree_with_finite_differences(loss: object) -> None:
    assert torch.autograd.gradcheck(loss, (random64(1, 3, 4, 5),))


@pytest.mark.parametrize(
    ("style_weight", "factors"), [(1, (0.1, 1)), (0.5, (0.1, 0.25)), (4, (0.00625, 1)), (0, (0.1, 0))]
)
def test_the_style_weight_sets_the_ratio_and_raises_neither_factor(
    style_weight: float, factors: tuple[float, float]
) -> None:
    params = Params(style_weight=style_weight, content_weight=0.1)
    assert content_and_style_weights(params) == factors


def test_the_margin_reflects_the_picture_and_the_phase_shifts_the_grid() -> None:
    image = torch.arange(40.0).view(1, 1, 1, 40).expand(1, 1, 40, 40)
    whole, shifted = framed(image), framed(image, (0, 1))
    assert whole.shape[-2:] == (40 + 2 * MARGIN_PX, 40 + 2 * MARGIN_PX)
    assert whole[0, 0, 0, MARGIN_PX - 1 : MARGIN_PX + 2].tolist() == [1, 0, 1]
    assert torch.equal(shifted, whole[..., 1:])


def test_a_picture_smaller_than_the_margin_still_has_one() -> None:
    assert framed(torch.rand(1, 3, 4, 1)).shape[-2:] == (4 + 3 + 3, 1)
