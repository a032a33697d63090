"""The motion a film is judged by: between two source frames, with the places where it can be trusted.

A film is judged with another flow than it was painted with, so that the judge does not share the painter's mistakes;
synthetic clips bring their exact flow. Trust after Sundaram, Brox, Keutzer 2010, *Dense Point Trajectories by
GPU-accelerated Large Displacement Optical Flow*, as Ruder, Dosovitskiy, Brox 2016 use it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.contract.errors import InvalidParameter
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
EXACT = "exact"
"""The name of a judge whose flow is known, not estimated."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Where this frame's pixels were in the frame before.

    `flow_ba (H, W, 2) float32 px` points from a pixel of this frame to its place in the one before; `trust (H, W)
    bool` is true where that place was seen there.
    """

    flow_ba: Flow
    trust: Trust


class Judge(Protocol):
    """Says how one source frame moved to the next. Called once for each frame but a film's first, in order."""

    name: str

    def motion(self, before: Frame, now: Frame, *, cut: bool) -> Motion | None:
        """The motion from `before` to `now`, both `(H, W, 3) uint8 sRGB`; None where a `cut` lies between them."""
        ...


def other_method(painted_with: FlowMethod) -> FlowMethod:
    """The method to judge with: one that the painter did not use."""
    return FlowMethod.FARNEBACK if painted_with is FlowMethod.DIS else FlowMethod.DIS


class EstimatedMotion:
    """A judge that estimates flow both ways, side by side in `pool`, and trusts it where the two agree."""

    def __init__(self, method: FlowMethod, pool: ThreadPoolExecutor) -> None:
        self.name = str(method)
        self._method = method
        self._pool = pool

    def motion(self, before: Frame, now: Frame, *, cut: bool) -> Motion | None:
        """The estimated motion and its consistency; None at a cut."""
        if cut:
            return None
        grays = luma(before), luma(now)
        shift = camera_shift(grays[1], grays[0])
        ahead = self._pool.submit(flow_estimate, grays[0], grays[1], self._method, (-shift[0], -shift[1]))
        flow_ba = flow_estimate(grays[1], grays[0], self._method, shift)
        return Motion(flow_ba, round_trip(flow_ba, ahead.result()) & ~motion_boundary(flow_ba))


class KnownMotion:
    """A judge with exact flow, one `Motion` for each frame but the first, None at cuts.

    Differs: motion boundaries and places outside the frame are left out of its trust, too, as the kernel that warps
    reads pixels from both sides of them.
    """

    name = EXACT

    def __init__(self, motions: Iterable[Motion | None]) -> None:
        self._motions: Iterator[Motion | None] = iter(motions)

    def motion(self, before: Frame, now: Frame, *, cut: bool) -> Motion | None:  # noqa: ARG002
        """The next motion given; InvalidParameter where there are fewer than frames."""
        try:
            known = next(self._motions)
        except StopIteration:
            raise InvalidParameter(
                "there are fewer exact flows than frames; give one for each frame but the first", name="judge"
            ) from None
        if known is None or cut:
            return None
        if known.flow_ba.shape[:2] != now.shape[:2]:
            raise InvalidParameter(
                f"the exact flow is {known.flow_ba.shape[1]}×{known.flow_ba.shape[0]}, the film "
                f"{now.shape[1]}×{now.shape[0]}; give flow of the film's size",
                name="judge",
            )
        trust = known.trust & inside(known.flow_ba) & ~motion_boundary(known.flow_ba)
        return Motion(known.flow_ba, trust)


def luma(frame: Frame) -> Gray:
    """`(H, W) uint8`: luma of Rec. 601 of an sRGB frame."""
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), dtype=np.uint8)


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


def flow_estimate(a: Gray, b: Gray, method: FlowMethod, shift: tuple[int, int] = (0, 0)) -> Flow:
    """`(H, W, 2) float32 px`: `flow_ab[y, x]` points from a's pixel to its place in b; searched for around `shift`."""
    height, width = a.shape
    a, b = _padded(a), _padded(_shifted(b, shift))
    if method is FlowMethod.DIS:
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = dis.calc(a, b, None)  # type: ignore[call-overload]
    else:
        flow = cv2.calcOpticalFlowFarneback(a, b, None, 0.5, 5, 15, 3, 7, 1.5, 0)  # type: ignore[call-overload]
    return np.asarray(flow[:height, :width] + np.array(shift, np.float32), dtype=np.float32)


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
