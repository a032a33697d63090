"""Motion between source frames, where it can be trusted, and paintings carried along it.

Flow: DIS (Kroeger et al. 2016) or Farnebäck 2003, by OpenCV. Masks: Sundaram, Brox, Keutzer 2010, *Dense Point
Trajectories by GPU-accelerated Large Displacement Optical Flow*. Over many frames, flows are composed and the
painting is warped once, not once per frame, so that it arrives sharp.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from farm.contract.params import FlowMethod
from worker.engine.color import luma
from worker.engine.contrast import crisp_warp
from worker.engine.pixels import Flow, Frame, Image, Mask, image_from_frame
from worker.engine.warp import inside, sampled

Trust = npt.NDArray[np.bool_]
"""`(H, W) bool`: where a flow can be trusted."""

MIN_FLOW_SIDE_PX = 32
"""OpenCV's DIS needs a few of its 8 px patches on each side; smaller frames are padded to this."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A painting carried to another frame: `image (H, W, 3) float32 [0, 1]`, `mask (H, W) float32 [0, 1]`.

    `pace`: share of the usual steps to go from here, in [0, 1].
    """

    image: Image
    mask: Mask
    pace: float = 1.0


def flow_estimate(a: Frame, b: Frame, method: FlowMethod = FlowMethod.DIS) -> Flow:
    """`(H, W, 2) float32, px`: `flow_ab[y, x]` points from a's pixel to its place in b."""
    height, width = a.shape[:2]
    grays = [_padded(luma(frame)) for frame in (a, b)]
    if method is FlowMethod.DIS:
        dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        flow = dis.calc(grays[0], grays[1], None)  # type: ignore[call-overload]
    else:
        flow = cv2.calcOpticalFlowFarneback(grays[0], grays[1], None, 0.5, 4, 15, 3, 7, 1.5, 0)  # type: ignore[call-overload]
    return np.ascontiguousarray(flow[:height, :width], dtype=np.float32)


def consistency_mask(flow_ba: Flow, flow_ab: Flow) -> Trust:
    """`(H, W) bool`, on b's pixels: the way to a and back closes, inside the frame, and off motion boundaries."""
    return round_trip(flow_ba, flow_ab) & ~motion_boundary(flow_ba)


def round_trip(flow_ba: Flow, flow_ab: Flow) -> Trust:
    """`(H, W) bool`: `|w + ŵ|² < 0.01(|w|² + |ŵ|²) + 0.5` and inside the frame (Sundaram et al. 2010, eq. 5)."""
    back = sampled(flow_ab, flow_ba)
    closed = _energy(flow_ba + back) < 0.01 * (_energy(flow_ba) + _energy(back)) + 0.5
    return np.asarray(closed & inside(flow_ba))


def motion_boundary(flow: Flow) -> Trust:
    """`(H, W) bool`: `|∇u|² + |∇v|² > 0.01|w|² + 0.002` (Sundaram et al. 2010, eq. 6)."""
    slopes = sum(_energy(np.asarray(np.gradient(flow, axis=axis), dtype=np.float32)) for axis in (0, 1))
    return np.asarray(slopes > 0.01 * _energy(flow) + 0.002)


class LongFlow:
    """Backward flow from the newest frame to the first, composed frame by frame."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.flow: Flow = np.zeros((*size_hw, 2), np.float32)
        self.trust: Trust = np.ones(size_hw, np.bool_)

    def add(self, flow_ba: Flow, flow_ab: Flow) -> None:
        """Go one frame on: `flow_ba` from the new frame to the last, `flow_ab` back."""
        reached = sampled(self.trust.astype(np.float32), flow_ba) > 0.5
        self.trust = reached & round_trip(flow_ba, flow_ab)
        self.flow = composed(flow_ba, self.flow)


def composed(flow_cb: Flow, flow_ba: Flow) -> Flow:
    """`flow_ca[p] = flow_cb[p] + flow_ba[p + flow_cb[p]]`."""
    return flow_cb + sampled(flow_ba, flow_cb)


def carry(painted: Frame, content_before: Frame, content_now: Frame, method: FlowMethod = FlowMethod.DIS) -> Carried:
    """The painting of `content_before`, carried one frame on."""
    flow_ba = flow_estimate(content_now, content_before, method)
    trust = consistency_mask(flow_ba, flow_estimate(content_before, content_now, method))
    return _carried(painted, flow_ba, trust)


def carry_far(painted: Frame, contents: Iterable[Frame], method: FlowMethod = FlowMethod.DIS) -> Carried:
    """The painting of the first of `contents`, carried to the last. `contents` may be a generator; two are held."""
    long_flow = LongFlow((painted.shape[0], painted.shape[1]))
    for before, now in pairwise(contents):
        long_flow.add(flow_estimate(now, before, method), flow_estimate(before, now, method))
    trust = long_flow.trust & inside(long_flow.flow)
    return _carried(painted, long_flow.flow, trust)


def _carried(painted: Frame, flow_ba: Flow, trust: Trust) -> Carried:
    return Carried(crisp_warp(image_from_frame(painted), flow_ba), trust.astype(np.float32))


def _energy(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(np.square(vectors).sum(axis=-1), dtype=np.float32)


def _padded(gray: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    missing = [max(0, MIN_FLOW_SIDE_PX - side) for side in gray.shape]
    return np.pad(gray, ((0, missing[0]), (0, missing[1])), mode="edge") if any(missing) else gray
