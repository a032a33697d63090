"""Motion between two source frames by optical flow, and where it can be trusted: for those who paint and who judge.

Flow: DIS (Kroeger, Timofte, Dai, Van Gool 2016) or Farnebäck 2003, by OpenCV. Trust: Sundaram, Brox, Keutzer 2010,
*Dense Point Trajectories by GPU-accelerated Large Displacement Optical Flow*, as Ruder, Dosovitskiy, Brox 2016 use it.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.contract.params import FlowMethod

Frame = NDArray[np.uint8]
"""`(H, W, 3) uint8 sRGB`."""
Gray = NDArray[np.uint8]
"""`(H, W) uint8`: luma."""
Flow = NDArray[np.float32]
"""`(H, W, 2) float32`, px: x, then y."""
Trust = NDArray[np.bool_]
"""`(H, W) bool`: where a flow can be trusted."""

MIN_SIDE_PX = 32
"""OpenCV's DIS needs a few of its 8 px patches on each side; smaller frames are padded to this."""
BROAD_PATCH_PX, BROAD_SCALE = 16, 2
"""Patches of the broad estimate, and how often its size is halved at its finest."""
BROAD_SIDE_PX = 2 * BROAD_PATCH_PX * 2**BROAD_SCALE
"""Frames with a smaller side hold not even two of these patches: there the usual estimate stands for the broad one."""

LOOK_PX = 80
"""Longer side of the picture in which contrast is measured: it costs nothing at any size."""
LEAST_CONTRAST = 2.0
"""In steps of 1/255: with less of it, a picture shows nothing."""


def luma(frame: Frame) -> Gray:
    """`(H, W) uint8`: luma of Rec. 601 of an sRGB frame."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


def contrast(gray: Gray) -> float:
    """Standard deviation of what a picture shows, in steps of 1/255; noise and grain are averaged away."""
    height, width = gray.shape
    by = min(1.0, LOOK_PX / max(height, width))
    size = max(1, round(width * by)), max(1, round(height * by))
    return float(cv2.resize(gray, size, interpolation=cv2.INTER_AREA).std())


def blank(gray: Gray) -> bool:
    """Whether a picture shows nothing: black, white, or any even colour."""
    return contrast(gray) < LEAST_CONTRAST


def camera_shift(a: Gray, b: Gray) -> tuple[int, int]:
    """Whole px (x, y) from a's pixels to their places in b, for most of the picture; (0, 0) where none fits better.

    Phase correlation (Kuglin & Hines 1975). Only what it leaves is estimated by pixel: so a fast pan is no further
    than the pyramid reaches, and flat areas, where an estimate by pixel tends to 0, move with the camera.
    """
    height, width = a.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(a.astype(np.float32), b.astype(np.float32), window)
    shift = round(x), round(y)
    if shift == (0, 0) or abs(shift[0]) * 2 > width or abs(shift[1]) * 2 > height:
        return 0, 0
    return shift if _mean_difference(a, b, shift) < _mean_difference(a, b, (0, 0)) else (0, 0)


def flow_estimate(
    a: Gray, b: Gray, method: FlowMethod, shift: tuple[int, int] = (0, 0), *, broad: bool = False
) -> Flow:
    """`(H, W, 2) float32 px`: `flow_ab[y, x]` points from a's pixel to its place in b; searched for around `shift`.

    `broad`: DIS with patches of 16 px for 8, on a quarter of the size for a half: in half the time, smooth where there
    is little to see, and blind to what moves by itself and is smaller than a patch.
    """
    height, width = a.shape
    a, b = _padded(a), _padded(_shifted(b, shift))
    if method is FlowMethod.DIS:
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        if broad and min(a.shape) >= BROAD_SIDE_PX:
            dis.setPatchSize(BROAD_PATCH_PX)
            dis.setPatchStride(BROAD_PATCH_PX // 2)
            dis.setFinestScale(BROAD_SCALE)
        flow = dis.calc(a, b, None)  # type: ignore[call-overload]
    else:
        flow = cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 5, 15, 3, 7, 1.5, 0)  # type: ignore[call-overload]
    return np.asarray(flow[:height, :width] + np.array(shift, np.float32), dtype=np.float32)


def flow_pair(
    before: Gray, now: Gray, method: FlowMethod, shift: tuple[int, int] | None = None, *, broad: bool = False
) -> tuple[Flow, Flow]:
    """Flow from `now` to `before` and back, each searched for around the camera's own motion.

    `shift`: that motion, from `now` to `before`, where it is known. None at all where one of them shows nothing.
    """
    if blank(before) or blank(now):
        return np.zeros((*now.shape, 2), np.float32), np.zeros((*now.shape, 2), np.float32)
    x, y = camera_shift(now, before) if shift is None else shift
    return (
        flow_estimate(now, before, method, (x, y), broad=broad),
        flow_estimate(before, now, method, (-x, -y), broad=broad),
    )


def round_trip(flow_ba: Flow, flow_ab: Flow) -> Trust:
    """`(H, W) bool`: `|w + ŵ|² < 0.01(|w|² + |ŵ|²) + 0.5`, inside the frame (Sundaram et al. 2010, eq. 5)."""
    x, y = places(flow_ba)
    back = np.asarray(cv2.remap(flow_ab, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), dtype=np.float32)
    closed = _energy(flow_ba + back) < 0.01 * (_energy(flow_ba) + _energy(back)) + 0.5
    return np.asarray(closed & inside(flow_ba))


def motion_boundary(flow: Flow) -> Trust:
    """`(H, W) bool`: `|∇u|² + |∇v|² > 0.01|w|² + 0.002` (Sundaram et al. 2010, eq. 6)."""
    slopes = sum(_energy(np.asarray(np.gradient(flow, axis=axis), dtype=np.float32)) for axis in (0, 1))
    return np.asarray(slopes > 0.01 * _energy(flow) + 0.002)


def consistent(flow_ba: Flow, flow_ab: Flow) -> Trust:
    """`(H, W) bool`, on b's pixels: the way to a and back closes, inside the frame, and off motion boundaries."""
    return round_trip(flow_ba, flow_ab) & ~motion_boundary(flow_ba)


def inside(flow_ba: Flow) -> Trust:
    """`(H, W) bool`: whether `p + flow_ba[p]` lies in the picture."""
    height, width = flow_ba.shape[:2]
    x, y = places(flow_ba)
    return np.asarray((x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1))


def places(flow: Flow) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x and y, `(H, W) float32 px` each, of where a flow points."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32)[None, :] + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return x, y


def _energy(vectors: Flow) -> NDArray[np.float32]:
    return np.asarray(np.einsum("...c,...c->...", vectors, vectors), dtype=np.float32)


def _shifted(gray: Gray, shift: tuple[int, int]) -> Gray:
    """`gray[p + shift]`; outside repeats the edge."""
    if shift == (0, 0):
        return gray
    rows, columns = (np.arange(length) + by for length, by in zip(gray.shape, shift[::-1], strict=True))
    return np.asarray(gray[rows.clip(0, gray.shape[0] - 1)][:, columns.clip(0, gray.shape[1] - 1)], dtype=np.uint8)


def _mean_difference(a: Gray, b: Gray, shift: tuple[int, int]) -> float:
    return float(cv2.mean(cv2.absdiff(a, _shifted(b, shift)))[0])


def _padded(gray: Gray) -> Gray:
    missing = [max(0, MIN_SIDE_PX - side) for side in gray.shape]
    return np.pad(gray, ((0, missing[0]), (0, missing[1])), mode="edge") if any(missing) else gray
