"""Frames and images between numpy and torch, and their sizes.

A *frame* is what is stored: `(H, W, 3) uint8, sRGB`. An *image* is what is painted: float32 in [0, 1].
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Frame = npt.NDArray[np.uint8]
"""`(H, W, 3) uint8, sRGB, RGB order`."""
Image = npt.NDArray[np.float32]
"""`(H, W, 3) float32, sRGB [0, 1], RGB order`."""
Mask = npt.NDArray[np.float32]
"""`(H, W) float32 [0, 1]`: 1 where to be trusted."""
Flow = npt.NDArray[np.float32]
"""`(H, W, 2) float32, px`, x before y: `flow_ab[y, x]` points from a's pixel to its place in b."""

SizeHW = tuple[int, int]


def image_from_frame(frame: Frame) -> Image:
    """The frame in [0, 1]."""
    return np.multiply(frame, np.float32(1 / 255), dtype=np.float32)


def frame_from_image(image: Image) -> Frame:
    """The image rounded to 8 bits, clipped to [0, 1] first."""
    return np.asarray(np.rint(np.clip(image, 0.0, 1.0) * 255.0), dtype=np.uint8)


def tensor_from_image(image: Image, device: torch.device | str) -> Tensor:
    """`(1, 3, H, W) float32 [0, 1]`. Its planes are parted on the device: a GPU does that at once."""
    return torch.from_numpy(np.ascontiguousarray(image)).to(device).permute(2, 0, 1)[None].contiguous()


def frame_from_tensor(image_bchw: Tensor) -> Frame:
    """The one image of a `(1, 3, H, W) float32 [0, 1]` batch as a frame."""
    rounded = (image_bchw.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    frame: Frame = rounded[0].permute(1, 2, 0).contiguous().cpu().numpy()
    return frame


def resized(image: npt.NDArray[np.float32], size_hw: SizeHW) -> npt.NDArray[np.float32]:
    """The image or mask at another size: areas averaged when smaller, bicubic when larger, clipped to [0, 1]."""
    if image.shape[:2] == size_hw:
        return image
    smaller = size_hw[0] * size_hw[1] < image.shape[0] * image.shape[1]
    kernel = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    scaled = cv2.resize(image, (size_hw[1], size_hw[0]), interpolation=kernel)
    return np.clip(scaled, 0.0, 1.0).astype(np.float32)


def size_with_longer_side(size_hw: SizeHW, longer_px: int, *, least_px: int = 16) -> SizeHW:
    """`size_hw` scaled so that its longer side is `longer_px`, no side below `least_px`."""
    scale = longer_px / max(size_hw)
    height, width = (max(least_px, math.floor(side * scale + 0.5)) for side in size_hw)
    return height, width
