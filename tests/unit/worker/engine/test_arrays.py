"""What is worked out on tensors, as on a GPU, is what numpy's arrays give."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from worker.engine.arrays import blurred, computed
from worker.engine.bare import _filled
from worker.engine.contrast import _crisp_warp, _mixture
from worker.engine.warp import backward_warp, sampled

SIZE_HW = (60, 84)


def soft(seed: int, *shape: int, sigma_px: float = 2.0) -> np.ndarray:
    """A soft random field in [0, 1], `(H, W, *shape) float32`."""
    noise = np.random.default_rng(seed).random((*SIZE_HW, *shape)).astype(np.float32)
    return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), sigma_px), None, 0, 1, cv2.NORM_MINMAX)


def motion() -> np.ndarray:
    """A flow of up to 12 px, some of it out of the picture."""
    return 24 * (soft(9, 2, sigma_px=8.0) - 0.5)


def both(work, *arrays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """On numpy's arrays and on tensors."""
    return work(*arrays), work(*(torch.from_numpy(array) for array in arrays)).numpy()


@pytest.mark.parametrize("sigma_px", [0.7, 6.0, 40.0])  # the last reaches further than the picture
@pytest.mark.parametrize("channels", [(), (3,)])
def test_a_blur_is_opencvs(sigma_px: float, channels: tuple[int, ...]) -> None:
    ours, tensors = both(lambda image: blurred(image, sigma_px), soft(1, *channels))
    np.testing.assert_allclose(tensors, ours, atol=3e-6)


def test_fields_are_sampled_as_opencv_does() -> None:
    for field in (soft(1), soft(2, 2)):
        ours, tensors = both(sampled, field, motion())
        np.testing.assert_allclose(tensors, ours, atol=0.02)  # it knows 32 places between two pixels
        assert np.abs(tensors - ours).mean() < 1e-3


def test_a_warp_is_opencvs_but_for_its_steps_of_a_32nd_of_a_pixel() -> None:
    ours, tensors = both(backward_warp, soft(1, 3), motion())
    assert np.abs(tensors - ours).max() < 0.02
    steps = np.round(32 * motion()) / 32  # where it need not round
    ours, tensors = both(backward_warp, soft(1, 3), steps.astype(np.float32))
    np.testing.assert_allclose(tensors, ours, atol=2e-5)


def test_a_warp_of_tensors_by_whole_pixels_copies_them_exactly() -> None:
    image = torch.from_numpy(soft(1, 3))
    flow = torch.tensor([3.0, -2.0]).expand(*SIZE_HW, 2)
    np.testing.assert_allclose(backward_warp(image, flow)[2:, :-3], image[:-2, 3:], atol=1e-6)


def test_contrast_is_kept_alike() -> None:
    ours, tensors = both(_crisp_warp, soft(1, 3, sigma_px=1.0), (np.round(32 * motion()) / 32).astype(np.float32))
    np.testing.assert_allclose(tensors, ours, atol=1e-3)
    ours, tensors = both(_mixture, soft(1, 3), soft(2, 3), soft(3))
    np.testing.assert_allclose(tensors, ours, atol=1e-5)


def test_bare_places_are_filled_alike() -> None:
    ours, tensors = both(_filled, soft(1), soft(2, 3), (soft(3) > 0.4).astype(np.float32))
    np.testing.assert_allclose(tensors, ours, atol=1e-4)


def test_a_cpu_works_on_numpys_arrays_and_another_device_on_tensors() -> None:
    seen = []

    def work(array):
        seen.append(type(array))
        if isinstance(array, torch.Tensor):
            raise torch.OutOfMemoryError("no memory left")
        return array + 1

    assert computed(work, "cpu", soft(1)) == pytest.approx(soft(1) + 1)
    assert seen == [np.ndarray]
    assert computed(work, "meta", soft(1)) == pytest.approx(soft(1) + 1)  # a device without memory
    assert seen == [np.ndarray, torch.Tensor, np.ndarray]
