"""The style's targets: mixtures, and what their weights mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from worker.engine import Frame, Network
from worker.engine.losses import framed, style_grams, style_loss
from worker.engine.pixels import image_from_frame, resized, tensor_from_image
from worker.engine.style import StyleTargets, style_tiles

LEVEL = (60, 80)


def targets(network: Network, *styles: tuple[Frame, float]) -> list[Tensor]:
    return StyleTargets(network, [(image_from_frame(frame), weight) for frame, weight in styles], device="cpu").at(
        LEVEL
    )


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


def test_a_style_of_half_the_scale_has_strokes_of_half_the_size(network: Network) -> None:
    def striped(period: int) -> Frame:
        wave = np.where(np.arange(192) // (period // 2) % 2, 220, 40).astype(np.uint8)
        return np.repeat(np.tile(wave, (192, 1))[..., None], 3, axis=2)

    def at(scale: float, period: int) -> list[Tensor]:
        return StyleTargets(network, [(image_from_frame(striped(period)), 1)], scale=scale, device="cpu").at((192, 192))

    assert style_loss(at(0.5, 32), at(1.0, 16)) < 0.1 * style_loss(at(1.0, 32), at(1.0, 16))
    assert style_loss(at(2.0, 16), at(1.0, 32)) < 0.5 * style_loss(at(1.0, 16), at(1.0, 32))  # enlarged, it is soft


def test_a_small_style_is_mirrored_until_it_fills_the_level() -> None:
    style = image_from_frame(np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8))
    (tile,) = style_tiles(style, 80, 0.25)
    assert tile.shape == (40, 80, 3)
    assert np.array_equal(tile[:16, 20:40], tile[:16, 19::-1])
    assert np.array_equal(tile[16:32, :20], tile[15::-1, :20])


@pytest.mark.parametrize("scale", [1.0, 1.01, 1.5, 3.0, 4.0])
def test_the_tiles_of_a_large_style_show_the_whole_and_each_is_as_large_as_the_level(scale: float) -> None:
    height, width = 40, 80
    across, down = (np.linspace(0, 1, side, dtype=np.float32) for side in (width, height))
    places = np.dstack([*np.meshgrid(across, down), np.zeros((height, width), np.float32)])
    tiles = style_tiles(places, width, scale)
    assert {tile.shape for tile in tiles} == {(height, width, 3)}
    assert len(tiles) == math.ceil(scale) ** 2
    for axis, steps in ((0, round(scale * width)), (1, round(scale * height))):
        seen = np.unique(np.concatenate([tile[..., axis].ravel() for tile in tiles]))
        assert seen.min() == 0
        assert seen.max() == 1
        assert np.diff(seen).max() < 2.5 / steps, "nothing lies between two tiles"


def test_a_style_a_little_larger_is_a_little_different(network: Network, texture: Frame) -> None:
    def at(scale: float) -> list[Tensor]:
        return StyleTargets(network, [(image_from_frame(texture), 1)], scale=scale, device="cpu").at((96, 96))

    assert style_loss(at(1.01), at(1.0)) < 0.5 * style_loss(at(1.1), at(1.0))


def test_the_mean_over_tiles_is_near_the_statistics_of_the_whole_where_borders_hardly_count(
    network: Network, texture: Frame
) -> None:
    scaled = resized(image_from_frame(texture), (240, 336))
    with torch.no_grad():
        whole = style_grams(network, network(framed(tensor_from_image(scaled, "cpu"))))
    tiled = StyleTargets(network, [(image_from_frame(texture), 1)], scale=2.0, device="cpu").at((120, 168))
    assert style_loss(tiled[:3], whole[:3]) < 0.02


@pytest.mark.parametrize("scale", [0.25, 4.0])
@pytest.mark.parametrize("size_hw", [(16, 16), (17, 31)])
def test_the_smallest_levels_have_targets_at_every_scale(
    network: Network, stripes: Frame, scale: float, size_hw: tuple[int, int]
) -> None:
    for layer in StyleTargets(network, [(image_from_frame(stripes), 1)], scale=scale, device="cpu").at(size_hw):
        assert torch.isfinite(layer).all()
        assert layer.abs().sum() > 0
