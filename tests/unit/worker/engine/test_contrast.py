"""What a warp and a mixture wear away, and that it is put back, not added."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine.contrast import BAND_SIGMAS_PX, bands, crisp_warp, mixture
from worker.engine.warp import backward_warp

SIZE_HW = (64, 80)


def strokes(seed: int = 0) -> np.ndarray:
    """Fine detail around middle grey, `(H, W, 3) float32`."""
    return (0.5 + 0.12 * np.random.default_rng(seed).standard_normal((*SIZE_HW, 3))).clip(0, 1).astype(np.float32)


def shift(x_px: float, y_px: float = 0.0) -> np.ndarray:
    return np.full((*SIZE_HW, 2), (x_px, y_px), np.float32)


def detail(image: np.ndarray) -> float:
    inner = image[8:-8, 8:-8]
    return float(np.square(np.diff(inner, axis=1)).mean())


def test_the_bands_sum_to_the_image() -> None:
    image = strokes()
    assert len(bands(image)) == len(BAND_SIGMAS_PX) + 1
    assert sum(bands(image)) == pytest.approx(image, abs=1e-6)


def test_ten_warps_by_half_pixels_keep_most_of_the_detail() -> None:
    plain = crisp = strokes()
    for turn in range(10):
        flow = shift(0.5 if turn % 2 else -0.5, 0.5 if turn % 2 else -0.5)
        plain, crisp = backward_warp(plain, flow), crisp_warp(crisp, flow)
    assert detail(plain) < 0.5 * detail(strokes())
    assert detail(crisp) > 1.5 * detail(plain)
    assert detail(crisp) < 1.02 * detail(strokes())


def test_a_whole_pixel_warp_stays_an_exact_copy() -> None:
    image = strokes()
    moved = crisp_warp(image, shift(3))
    assert moved[16:-16, 16:-16] == pytest.approx(image[16:-16, 19:-13], abs=0.02)


def test_a_warp_of_a_flat_picture_stays_flat() -> None:
    flat = np.full((*SIZE_HW, 3), 0.3, np.float32)
    assert crisp_warp(flat, shift(0.5)) == pytest.approx(flat, abs=1e-5)


def test_contrast_hardly_grows_in_twenty_warps() -> None:
    image = strokes()
    for _ in range(20):
        image = crisp_warp(image, shift(0.3, -0.2))
    assert 0.95 < image.std() / strokes().std() < 1.06


def test_a_mixture_with_nothing_is_the_picture_itself() -> None:
    one, other = strokes(1), strokes(2)
    assert mixture(one, other, np.zeros(SIZE_HW, np.float32)) == pytest.approx(other, abs=1e-4)
    assert mixture(one, other, np.ones(SIZE_HW, np.float32)) == pytest.approx(one, abs=1e-4)
