"""The style's targets: mixtures, and what their weights mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from worker.engine import Frame, Network
from worker.engine.losses import style_loss
from worker.engine.style import StyleTargets

LEVEL = (60, 80)


def targets(network: Network, *styles: tuple[Frame, float]) -> list[Tensor]:
    return StyleTargets(network, styles, device="cpu").at(LEVEL)


@pytest.fixture
def dots() -> Frame:
    y, x = np.mgrid[0:48, 0:64]
    spot = ((x % 12 - 6) ** 2 + (y % 12 - 6) ** 2 < 16)[..., None]
    return np.asarray(np.where(spot, (200, 60, 40), (240, 230, 210)), dtype=np.uint8)


def test_two_of_the_same_style_are_the_style(network: Network, stripes: Frame) -> None:
    for mixed, alone in zip(targets(network, (stripes, 2), (stripes, 1)), targets(network, (stripes, 1)), strict=True):
        torch.testing.assert_close(mixed, alone)


def test_only_the_ratio_of_weights_counts(network: Network, stripes: Frame, dots: Frame) -> None:
    for one, other in zip(
        targets(network, (stripes, 2), (dots, 1)), targets(network, (stripes, 4), (dots, 2)), strict=True
    ):
        assert torch.equal(one, other)


def test_a_mixture_is_the_weighted_mean_of_its_styles(network: Network, stripes: Frame, dots: Frame) -> None:
    mixed = targets(network, (stripes, 3), (dots, 1))
    for layer, a, b in zip(mixed, targets(network, (stripes, 1)), targets(network, (dots, 1)), strict=True):
        torch.testing.assert_close(layer, 0.75 * a + 0.25 * b)


def test_the_heavier_style_is_the_nearer(network: Network, stripes: Frame, dots: Frame) -> None:
    near, far = targets(network, (stripes, 1)), targets(network, (dots, 1))
    mixed = targets(network, (stripes, 3), (dots, 1))
    assert style_loss(mixed, near) < style_loss(mixed, far)
