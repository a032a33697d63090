"""Warps of known motion."""

from __future__ import annotations

import numpy as np

from worker.engine import Frame
from worker.engine.pixels import image_from_frame
from worker.engine.warp import backward_warp, sampled


def pan(height: int, width: int, dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (height, width, 2)).copy()


def test_a_pan_by_whole_pixels_copies_them_exactly(texture: Frame) -> None:
    image = image_from_frame(texture)
    warped = backward_warp(image, pan(80, 112, 3, -2))
    np.testing.assert_allclose(warped[2:, :-3], image[:-2, 3:], atol=1e-6)  # out[y, x] = image[y − 2, x + 3]


def test_no_motion_gives_the_same_picture(texture: Frame) -> None:
    image = image_from_frame(texture)
    np.testing.assert_allclose(backward_warp(image, pan(80, 112, 0, 0)), image, atol=1e-6)


def test_places_outside_the_picture_repeat_its_edge() -> None:
    image = np.zeros((16, 16, 3), np.float32)
    image[:, 0] = 1
    assert backward_warp(image, pan(16, 16, -20, 0)).min() == 1


def test_fields_are_sampled_bilinearly() -> None:
    field = np.array([[0.0, 1.0, 3.0]], np.float32)
    np.testing.assert_allclose(sampled(field, pan(1, 3, 0.5, 0)), [[0.5, 2.0, 3.0]], atol=1e-6)


def test_many_warps_by_part_of_a_pixel_keep_most_of_the_detail() -> None:
    stroke = 0.5 + 0.4 * np.sin(np.arange(96) * 2 * np.pi / 6)  # strokes 3 px wide
    image = np.repeat(np.broadcast_to(stroke, (32, 96))[..., None], 3, axis=2).astype(np.float32)
    kept, bilinear = image, image
    for step in range(24):
        motion = pan(32, 96, 0.5 if step % 2 else -0.5, 0)
        kept, bilinear = backward_warp(kept, motion), sampled(bilinear, motion)
    middle = np.s_[8:24, 24:72]
    assert kept[middle].std() > 0.75 * image[middle].std()
    assert bilinear[middle].std() < 0.1 * image[middle].std()
