"""A network in bfloat16 asks for the same picture; losses and Gram matrices lose nothing more to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.step import vgg19_state
from farm.contract.params import Backbone, Params
from farm.contract.spec import WEIGHTS_SHA256
from worker.engine import Frame, Network, Painter, backbones
from worker.engine.backbones.vgg19 import vgg19
from worker.engine.losses import framed, gram_matrix, style_grams, style_loss
from worker.engine.objective import Objective
from worker.engine.pixels import image_from_frame, tensor_from_image
from worker.engine.style import StyleTargets

LITE0 = Backbone.EFFICIENTNET_LITE0


@pytest.fixture(scope="module")
def low_network() -> Network:
    return backbones.load(LITE0, WEIGHTS_SHA256[LITE0], "cpu", bfloat16=True)


def random_picture(seed: int) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).random((1, 3, 64, 96), dtype=np.float32))


def test_a_gram_matrix_of_bfloat16_features_is_that_of_their_values_in_float64() -> None:
    values = torch.randn((1, 24, 300, 310), generator=torch.Generator().manual_seed(0))
    low = values.to(torch.bfloat16).requires_grad_()
    wide = low.detach().double().requires_grad_()
    gram, wanted = gram_matrix(low), gram_matrix(wide)
    assert gram.dtype == torch.float32
    assert (gram - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    weights = torch.randn(gram.shape, generator=torch.Generator().manual_seed(1))
    (gram * weights).sum().backward()
    (wanted * weights).sum().backward()
    assert low.grad is not None
    assert wide.grad is not None
    assert (low.grad - wide.grad).norm() <= 0.01 * wide.grad.norm()


@pytest.mark.parametrize("backbone", list(Backbone))
def test_the_gradient_points_where_that_in_float32_does(
    network: Network, low_network: Network, backbone: Backbone
) -> None:
    pair = (network, low_network) if backbone is LITE0 else (vgg19(vgg19_state()), vgg19(vgg19_state()).lowered())
    found = []
    for each in pair:
        grams = [gram.detach() for gram in style_grams(each, each(framed(random_picture(5))))]
        image = random_picture(3).requires_grad_()
        objective = Objective(each, Params(), style_grams=grams, content_bchw=random_picture(1))
        found.append((objective.descend(image), image.grad))
    (terms, gradient), (low_terms, low_gradient) = found
    assert gradient is not None
    assert low_gradient is not None
    assert low_gradient.dtype == torch.float32
    assert float(low_terms[-1]) == pytest.approx(float(terms[-1]), rel=0.02)
    assert torch.cosine_similarity(gradient.flatten(), low_gradient.flatten(), dim=0) > 0.98


def test_the_painting_is_as_good_by_float32s_own_measure(
    network: Network, low_network: Network, texture: Frame, stripes: Frame
) -> None:
    params, size_hw = replace(Params(), steps=60), (80, 112)
    targets = StyleTargets(network, [(image_from_frame(stripes), 1.0)], device="cpu").at(size_hw)
    losses = []
    for each in (network, low_network):
        painted = Painter(each, params, stripes, size_hw=size_hw, device="cpu").paint_still(texture)
        seen = framed(tensor_from_image(image_from_frame(painted.frame), "cpu"))
        losses.append(float(style_loss(style_grams(network, network(seen)), targets)))
    assert losses[1] < 1.1 * losses[0]
