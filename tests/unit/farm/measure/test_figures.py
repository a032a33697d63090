"""The figures of a frame against values derived by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from farm.measure.figures import (
    detail,
    flat_mask,
    image_from_frame,
    mean_luma,
    saturation,
    squared_error,
    warping_error,
)
from farm.measure.flow import Motion


def plain(value: int | tuple[int, int, int], size_hw: tuple[int, int] = (24, 40)) -> np.ndarray:
    return np.full((*size_hw, 3), value, np.uint8)


def shifted(x: float, size_hw: tuple[int, int] = (24, 40)) -> Motion:
    return Motion(np.full((*size_hw, 2), (x, 0), np.float32), np.ones(size_hw, np.bool_))


def test_a_step_of_one_channel_is_a_third_of_its_energy() -> None:
    before, now = image_from_frame(plain((100, 50, 20))), image_from_frame(plain((130, 50, 20)))
    motion = shifted(0)
    assert warping_error(squared_error(before, now, motion), motion.trust) == pytest.approx(30 / 255 / math.sqrt(3))


def test_only_masked_places_count() -> None:
    before, now = plain(100), plain(100)
    now[:, 20:] = 140
    squared = squared_error(image_from_frame(before), image_from_frame(now), shifted(0))
    left = np.zeros((24, 40), np.bool_)
    left[:, :20] = True
    assert warping_error(squared, left) == 0
    assert warping_error(squared, ~left) == pytest.approx(40 / 255)
    assert warping_error(squared, np.zeros((24, 40), np.bool_)) is None


def test_a_whole_pixel_motion_is_carried_exactly() -> None:
    before = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)
    now = np.roll(before, -3, axis=1)
    squared = squared_error(image_from_frame(before), image_from_frame(now), shifted(3))
    assert squared[:, :37].max() == 0


def test_a_carried_picture_stays_in_its_range() -> None:
    """Lanczos overshoots at an edge from 0 to 1 by 9 %; clipped, half a pixel beside it nothing is left of that."""
    before = plain(0)
    before[:, 20:] = 255
    squared = squared_error(image_from_frame(before), image_from_frame(before), shifted(0.5))
    assert squared[12, 18] == 0 or squared[12, 21] == 0
    assert squared[12, [18, 21]].max() < 0.01


def test_detail_of_a_checkerboard() -> None:
    """Pixels at ±a about the mean have the Laplacian ∓8a: variance 64a²."""
    board = np.indices((24, 40)).sum(axis=0) % 2
    frame = np.repeat(np.where(board, 138, 118).astype(np.uint8)[..., None], 3, axis=2)
    assert detail(frame) == pytest.approx(64 * (10 / 255) ** 2, rel=1e-6)
    assert detail(plain(90)) == 0


def test_luma_is_that_of_rec_601() -> None:
    assert mean_luma(plain((255, 0, 0))) == pytest.approx(0.299, abs=1 / 255)
    assert mean_luma(plain(51)) == pytest.approx(0.2)


def test_saturation_is_weighted_by_value_and_does_not_fall_with_the_light() -> None:
    assert saturation(plain((200, 100, 50))) == pytest.approx(0.75)
    assert saturation(plain((100, 50, 25))) == pytest.approx(0.75)
    assert saturation(plain(80)) == 0
    assert saturation(plain(0)) == 0
    half = plain((200, 100, 50))
    half[:12] = (0, 0, 1)  # next to black a hue is noise
    assert saturation(half) == pytest.approx(0.75, abs=0.002)


def test_flat_is_where_the_source_has_no_texture() -> None:
    rng = np.random.default_rng(0)
    frame = plain(120, (60, 100))
    frame[:, 50:] = rng.integers(0, 256, (60, 50, 1), dtype=np.uint8)
    mask = flat_mask(frame)
    assert mask[:, :44].all()
    assert not mask[:, 50:].any()


def test_a_soft_sky_is_flat_and_a_ramp_is_not() -> None:
    """A slope of 1/255 a pixel is flat, one of 2/255 is not."""
    for step, is_flat in ((1, True), (2, False)):
        ramp = np.repeat(np.tile(np.arange(0, 100 * step, step, dtype=np.uint8), (40, 1))[..., None], 3, axis=2)
        assert flat_mask(ramp)[:, 8:-8].mean() == is_flat
