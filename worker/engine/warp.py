"""Pictures bent along a flow.

Interpolation blurs, and a painting is warped once per frame: after 48 frames a bilinear kernel has eaten the
strokes. So the kernel is Lanczos over 8×8 pixels, which keeps a stroke's edge through hundreds of warps.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from farm.motion import places
from worker.engine.arrays import Array

LOBES = 4
"""Of the Lanczos kernel, to each side."""


def backward_warp(image: Array, flow_ba: Array) -> Array:
    """`out[p] = image[p + flow_ba[p]]`: picture a as seen from b, `(H, W, 3) float32 [0, 1]`.

    Places outside the picture repeat its edge; mask them with `inside`. A whole-pixel flow copies exactly. Differs:
    OpenCV's kernel, used for numpy's arrays, knows 32 places between two pixels, that for tensors every one.
    """
    if isinstance(image, Tensor):
        return _lanczos(image, flow_ba).clamp_(0, 1)
    warped = cv2.remap(image, *places(flow_ba), cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
    return np.clip(warped, 0.0, 1.0).astype(np.float32)


def sampled(field: Array, flow_ba: Array) -> Array:
    """`field[p + flow_ba[p]]`, bilinear: for flows and masks, which must not ring. Outside repeats the edge."""
    if isinstance(field, Tensor):
        return _bilinear(field, flow_ba)
    values = cv2.remap(field, *places(flow_ba), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(values, dtype=np.float32)


def _lanczos(image: Tensor, flow_ba: Tensor) -> Tensor:
    (x, across), (y, down) = (_split(axis) for axis in _places(flow_ba))
    height, width = image.shape[:2]
    pixels = image.reshape(height * width, -1)
    result = torch.zeros_like(image)
    weights = _weights(across)
    for row, weight_y in enumerate(_weights(down), start=1 - LOBES):
        line = (y + row).clamp_(0, height - 1) * width
        for column, weight_x in enumerate(weights, start=1 - LOBES):
            at = line + (x + column).clamp_(0, width - 1)
            result.addcmul_(pixels[at.reshape(-1)].view_as(image), (weight_y * weight_x)[..., None])
    return result


def _weights(part: Tensor) -> list[Tensor]:
    """Of the eight pixels around a place, `part` of a pixel after the fourth of them; their sum is 1."""
    offsets = [part - place for place in range(1 - LOBES, LOBES + 1)]
    raw = [torch.sinc(offset) * torch.sinc(offset / LOBES) for offset in offsets]
    total = torch.stack(raw).sum(dim=0)
    return [each / total for each in raw]


def _bilinear(field: Tensor, flow_ba: Tensor) -> Tensor:
    height, width = field.shape[:2]
    x, y = _places(flow_ba)
    ends = torch.stack((2 * x / max(1, width - 1) - 1, 2 * y / max(1, height - 1) - 1), dim=-1)  # -1 and 1
    planes = field.reshape(height, width, -1).permute(2, 0, 1)[None]
    values = torch.nn.functional.grid_sample(planes, ends[None], padding_mode="border", align_corners=True)
    return values[0].permute(1, 2, 0).reshape(field.shape)


def _places(flow_ba: Tensor) -> tuple[Tensor, Tensor]:
    """x and y, `(H, W) px` each, of where a flow points."""
    height, width = flow_ba.shape[:2]
    device = flow_ba.device
    x = torch.arange(width, dtype=torch.float32, device=device)[None, :] + flow_ba[..., 0]
    y = torch.arange(height, dtype=torch.float32, device=device)[:, None] + flow_ba[..., 1]
    return x, y


def _split(axis: Tensor) -> tuple[Tensor, Tensor]:
    """The whole pixel before a place, and the part of a pixel after it."""
    whole = axis.floor()
    return whole.to(torch.int64), axis - whole
