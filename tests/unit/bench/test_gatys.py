"""The plain loop is the one of 2015, and a race's bars are read off its figures."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import mse_loss

from bench.gatys import BAR_SIZE_HW, PLAIN, FrameCost, Race, page, picture
from bench.plain import ADAM_RATE, CONTENT_LAYER, STYLE_LAYERS, Gatys, features, gram
from bench.step import vgg19_state


@pytest.fixture(scope="module")
def network() -> torch.nn.Sequential:
    return features(vgg19_state())


def noise(seed: int, size: int = 32) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(0, 255, (1, 3, size, size))).float()


def test_its_layers_are_the_named_ones(network: torch.nn.Sequential) -> None:
    # Each tapped layer is a ReLU: the number of convolutions up to it says which.
    convolutions = [
        sum(isinstance(layer, torch.nn.Conv2d) for layer in network[: number + 1])
        for number in (*STYLE_LAYERS, CONTENT_LAYER)
    ]
    assert convolutions == [1, 3, 5, 9, 13, 10]
    assert all(isinstance(network[number], torch.nn.ReLU) for number in (*STYLE_LAYERS, CONTENT_LAYER))


def test_a_gram_matrix_by_hand() -> None:
    ours = gram(torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]))  # two channels of two pixels
    assert torch.equal(ours, torch.tensor([[5.0, 11.0], [11.0, 25.0]]) / 4)


def test_style_and_content_in_one_picture_leave_only_smoothness(network: torch.nn.Sequential) -> None:
    flat = torch.full((1, 3, 32, 32), 100.0)
    style, whole = Gatys(network, flat, flat).losses(flat)
    assert (style.item(), whole.item()) == (0, 0)


def test_adams_first_step_moves_every_pixel_by_its_rate(network: torch.nn.Sequential) -> None:
    loop, image = Gatys(network, noise(0), noise(1)), noise(0).requires_grad_()
    loop._step(image, "adam")()
    assert mse_loss((image - noise(0)).abs(), torch.full_like(image, ADAM_RATE)).item() < 1e-2


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_loop_ends_where_its_style_loss_has_fallen_so_far_or_at_its_limit(
    network: torch.nn.Sequential, optimizer: str
) -> None:
    loop = Gatys(network, torch.full((1, 3, 32, 32), 100.0), noise(1))
    once = loop.paint(optimizer, share=0.0, limit=1)
    assert (once.steps, once.share) == (1, 1.0)
    assert not torch.equal(once.image, torch.full_like(once.image, 100.0))
    assert 0 <= once.image.min() <= once.image.max() <= 255
    fell = loop.paint(optimizer, share=0.7, limit=40)
    assert fell.share <= 0.7
    assert 1 < fell.steps < 40


def test_bars_compare_figures_of_one_run() -> None:
    fast, slow = "ours, EfficientNet-Lite0", "ours, VGG19"
    found = Race(
        {
            # The machine was four times as slow in the second round, and for the last one's plain loops alone.
            (fast, BAR_SIZE_HW): [50.0, 200.0, 50.0], (slow, BAR_SIZE_HW): [1_000.0, 4_000.0, 1_000.0],
            ("plain, adam", BAR_SIZE_HW): [1_500.0, 6_000.0, 6_000.0],
            ("plain, lbfgs", BAR_SIZE_HW): [1_600.0, 6_400.0, 6_400.0],
        },
        {
            (fast, "next"): FrameCost(1.0, 8, 0.04), (fast, "first"): FrameCost(2.0, 20, 0.06),
            ("plain, adam", "each"): FrameCost(30.0, 20, 0.05), ("plain, lbfgs", "each"): FrameCost(18.0, 12, 0.05),
        },
    )  # fmt: skip
    step, step_vgg, following, first = found.bars()
    assert (step.figure, step.met) == ("30.0", True)
    assert (step_vgg.figure, step_vgg.met) == ("1.50", True)
    assert (following.figure, following.case, following.met) == ("18.0", "plain, lbfgs", False)
    assert first.met is None  # it did not get there
    assert "not in 2" in page(found, "")


def test_a_strip_shows_what_each_painted_a_painter_below_the_other() -> None:
    found, ours = Race(), "ours, EfficientNet-Lite0"
    for value, key in enumerate([(PLAIN, "source"), (PLAIN, "adam"), (ours, "first frame"), (ours, "next frame")]):
        found.pictures[key] = np.full((30, 40, 3), 60 * value + 40, np.uint8)
    sheet = picture(found)
    upper, lower = np.split(sheet, 2)
    for half, shades in ((upper, (40, 100)), (lower, (160, 220))):
        assert [shade for shade in (40, 100, 160, 220) if (half == shade).all(axis=2).sum() >= 30 * 40] == list(shades)
