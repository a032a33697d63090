"""Bare places start in the painting's colours, not in the clip's, and count for some frames more."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine import Carried
from worker.engine.bare import LATELY_FRAMES, came_lately, filled

SIZE_HW = (64, 96)


def content() -> np.ndarray:
    """Grey ramps with texture, `(H, W, 3) float32`."""
    rng = np.random.default_rng(3)
    light = np.linspace(0.2, 0.8, SIZE_HW[1])[None, :, None] + 0.1 * rng.random((*SIZE_HW, 1))
    return np.repeat(light, 3, axis=2).clip(0, 1).astype(np.float32)


def tinted(image: np.ndarray) -> np.ndarray:
    """A painting that is a linear map of the lightness, another in each channel."""
    return (image * np.array([0.2, 0.5, 0.7]) + np.array([0.1, 0.3, 0.2])).astype(np.float32)


def test_a_linear_painting_is_continued_into_a_hole() -> None:
    mask = np.ones(SIZE_HW, np.float32)
    mask[24:40, 40:56] = 0
    painted = tinted(content())
    painted[24:40, 40:56] = 0  # must not be read
    result = filled(content(), Carried(painted, mask))
    assert np.abs(result - tinted(content()))[24:40, 40:56].max() < 0.06


def test_far_from_all_paint_the_whole_picture_counts() -> None:
    mask = np.zeros(SIZE_HW, np.float32)
    mask[:, :8] = 1
    painted = np.zeros((*SIZE_HW, 3), np.float32)
    painted[..., 2] = 0.75
    assert filled(content(), Carried(painted, mask))[:, 90:].mean(axis=(0, 1)) == pytest.approx((0, 0, 0.75), abs=0.02)


def test_a_flat_surrounding_gives_its_colour_not_a_wild_slope() -> None:
    flat = np.full((*SIZE_HW, 3), 0.5, np.float32)
    flat[30:34, 40:44] = 0.9  # the newly seen thing is lighter than all that taught
    mask = np.ones(SIZE_HW, np.float32)
    mask[30:34, 40:44] = 0
    noise = 0.5 + 0.2 * np.random.default_rng(1).standard_normal((*SIZE_HW, 3)).astype(np.float32)
    result = filled(flat, Carried(noise.clip(0, 1), mask))
    assert np.abs(result[30:34, 40:44] - 0.5).max() < 0.3


def test_with_nothing_carried_the_content_stays() -> None:
    image = content()
    assert filled(image, Carried(np.zeros_like(image), np.zeros(SIZE_HW, np.float32))) is image


def test_what_came_into_sight_counts_the_less_the_longer_ago_it_was() -> None:
    assert came_lately([]) == 0
    assert came_lately([0.4]) == pytest.approx(0.1)
    assert came_lately([0.4, 0.0]) == pytest.approx(0.07)
    assert came_lately([0.4, 0.4]) == pytest.approx(0.17)


def test_what_came_into_sight_long_ago_counts_no_more() -> None:
    assert came_lately([1.0] + [0.0] * (LATELY_FRAMES - 1)) > 0
    assert came_lately([1.0] + [0.0] * LATELY_FRAMES) == 0
