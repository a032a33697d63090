"""Pictures as arrays: numpy's where a CPU paints, torch's where a GPU does. What is written for both is written once.

At 1080p a CPU's core takes seconds for what has to be done to a frame between two paintings, in which a GPU would wait.
On a GPU it is some milliseconds. What differs between the two kinds of arrays is here and in `warp.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Array = TypeVar("Array", npt.NDArray[np.float32], Tensor)
"""`(H, W)` or `(H, W, C)`, float32."""

Floats = npt.NDArray[np.float32]


def computed(work: Callable[..., Floats] | Callable[..., Tensor], device: torch.device | str, *given: Floats) -> Floats:
    """`work(*given)`: on numpy's arrays where `device` is a CPU, else on tensors there. Its result is numpy's.

    A device that has no memory left for it is spared it: the CPU does it then, in more time.
    """
    if torch.device(device).type != "cpu":
        with suppress(torch.OutOfMemoryError), torch.inference_mode():
            result = work(*(torch.from_numpy(np.ascontiguousarray(each)).to(device) for each in given))
            assert isinstance(result, Tensor)
            return np.asarray(result.cpu().numpy(), dtype=np.float32)
    return np.asarray(work(*given), dtype=np.float32)


def blurred(image: Array, sigma_px: float) -> Array:
    """Gaussian blur over 8σ pixels; the picture is mirrored at its border."""
    if isinstance(image, Tensor):
        return _blurred_along(_blurred_along(image, sigma_px, 0), sigma_px, 1)
    soft = cv2.GaussianBlur(image, (0, 0), sigma_px, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(soft, dtype=np.float32)


def _blurred_along(image: Tensor, sigma_px: float, axis: int) -> Tensor:
    """Sums of shifted pictures: a convolution of one channel would be done in TF32 by some GPUs, to three digits."""
    taps = _taps(sigma_px)
    length, reach = image.shape[axis], len(taps) // 2
    padded = image.index_select(axis, _mirrored(length, reach, image.device))
    result = taps[reach] * image
    for distance in range(1, reach + 1):
        both = padded.narrow(axis, reach - distance, length) + padded.narrow(axis, reach + distance, length)
        result.add_(both, alpha=taps[reach + distance])
    return result


@lru_cache(maxsize=32)
def _taps(sigma_px: float) -> tuple[float, ...]:
    """As OpenCV takes them of float32 pictures."""
    count = round(8 * sigma_px + 1) | 1
    return tuple(float(tap) for tap in cv2.getGaussianKernel(count, sigma_px, cv2.CV_32F)[:, 0])


@lru_cache(maxsize=32)
def _mirrored(length: int, reach: int, device: torch.device) -> Tensor:
    """The places of `[-reach, length + reach)` in a row of `length`."""
    places = [cv2.borderInterpolate(at, length, cv2.BORDER_REFLECT_101) for at in range(-reach, length + reach)]
    return torch.tensor(places, device=device)
