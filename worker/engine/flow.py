"""Paintings carried along the motion of the source, where it can be trusted.

Over many frames, flows are composed and the painting is warped once, not once per frame, so that it arrives sharp.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from farm.contract.params import FlowMethod
from farm.motion import Trust, camera_shift, consistent, flow_pair, inside, luma, round_trip
from worker.engine.contrast import crisp_warp
from worker.engine.machine import ONE_CORE, Machine, spread
from worker.engine.pixels import Flow, Frame, Image, Mask, image_from_frame
from worker.engine.warp import sampled

ALIKE, ALIKE_SIGMA_PX = 0.06, 1.5
"""Difference in sRGB [0, 1] to the carried source up to which a place is the same one, and the spread of the window it
is meant in: noise and interpolation stay below it, an edge that came into sight does not."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A painting carried to another frame: `image (H, W, 3) float32 [0, 1]`, `mask (H, W) float32 [0, 1]`.

    `pace`: size of the steps to go from here; 1 is the usual one. `extra`: how many more there are on the finest level,
    as a share of the usual number. `lately`: see `bare.came_lately`.
    """

    image: Image
    mask: Mask
    pace: float = 1.0
    extra: float = 0.0
    lately: float = 0.0


@dataclass(frozen=True, slots=True)
class Motion:
    """How the source moved by one frame: `flow_ba (H, W, 2) float32 px` from the later frame to the earlier one, and
    where it can be `trusted`, `(H, W) bool`. It needs no painting, so it can be estimated ahead."""

    flow_ba: Flow
    trusted: Trust

    @property
    def bare(self) -> float:
        """Share of the later frame that came into sight with it, 0 to 1."""
        return 1.0 - float(self.trusted.mean())


class LongFlow:
    """Backward flow from the newest frame to the first, composed frame by frame."""

    def __init__(self, size_hw: tuple[int, int]) -> None:
        self.flow: Flow = np.zeros((*size_hw, 2), np.float32)
        self.trust: Trust = np.ones(size_hw, np.bool_)

    def add(self, flow_ba: Flow, closed: Trust) -> None:
        """Go one frame on: `flow_ba` from the new frame to the last; `closed`: where the way there and back closes."""
        reached = sampled(self.trust.astype(np.float32), flow_ba) > 0.5
        self.trust = reached & closed
        self.flow = composed(flow_ba, self.flow)


def composed(flow_cb: Flow, flow_ba: Flow) -> Flow:
    """`flow_ca[p] = flow_cb[p] + flow_ba[p + flow_cb[p]]`."""
    return flow_cb + sampled(flow_ba, flow_cb)


def carry(
    painted: Frame,
    content_before: Frame,
    content_now: Frame,
    method: FlowMethod = FlowMethod.DIS,
    machine: Machine = ONE_CORE,
) -> Carried:
    """The painting of `content_before`, carried one frame on: `carry_along` the motion between the two."""
    return carry_along(painted, motion_between(content_before, content_now, method), machine)


def motion_between(content_before: Frame, content_now: Frame, method: FlowMethod = FlowMethod.DIS) -> Motion:
    """The motion from one source frame to the next: not trusted where it was occluded, nor where things move apart."""
    return _motion(content_before, content_now, method, consistent)


def _motion(
    content_before: Frame, content_now: Frame, method: FlowMethod, holds: Callable[[Flow, Flow], Trust]
) -> Motion:
    """The motion, trusted where the check `holds` for the flow to the frame before and the one back.

    Differs: where the check does not trust DIS, a broader DIS is asked that sees more of the picture at once, and is
    trusted where the check holds for it, and the source looks there as it says. In dim or flat places, where nothing
    is occluded, two fine estimates seldom agree: what is bare for that alone would be painted anew in every frame.
    Where a frame shows nothing, the painting stands still.
    """
    before, now = luma(content_before), luma(content_now)
    shift = camera_shift(now, before)
    flow_ba, flow_ab = flow_pair(before, now, method, shift)
    trusted = holds(flow_ba, flow_ab)
    if method is not FlowMethod.DIS or trusted.all():
        return Motion(flow_ba, trusted)
    broad_ba, broad_ab = flow_pair(before, now, method, shift, broad=True)
    held = holds(broad_ba, broad_ab) & alike(content_before, content_now, broad_ba)
    return Motion(np.where(trusted[..., None], flow_ba, broad_ba), trusted | held)


def alike(content_before: Frame, content_now: Frame, flow_ba: Flow) -> Trust:
    """`(H, W) bool`: whether a place looks as it did before, to less than `ALIKE` in every channel.

    What was occluded does not, but for what looks like that which hid it.
    """
    channels = cv2.split(cv2.absdiff(sampled(image_from_frame(content_before), flow_ba), image_from_frame(content_now)))
    apart = cv2.max(cv2.max(channels[0], channels[1]), channels[2])  # NumPy's max over a pixel takes six times as long
    return np.asarray(cv2.GaussianBlur(apart, (0, 0), ALIKE_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101) < ALIKE)


def carry_along(painted: Frame, motion: Motion, machine: Machine = ONE_CORE) -> Carried:
    """A painting carried along a motion."""
    return carried_by(painted, motion.flow_ba, motion.trusted, machine)


def carried_by(painted: Frame, flow_ba: Flow, trusted: Trust, machine: Machine = ONE_CORE) -> Carried:
    """A painting carried to where `flow_ba` comes from, as far as it is `trusted`."""
    return Carried(crisp_warp(image_from_frame(painted), flow_ba, machine.device), trusted.astype(np.float32))


def carry_far(
    painted: Frame, contents: Iterable[Frame], method: FlowMethod = FlowMethod.DIS, machine: Machine = ONE_CORE
) -> Carried:
    """The painting of the first of `contents`, carried to the last.

    `contents` may be a generator; besides two, as many are held as the machine has threads.
    """
    long_flow = LongFlow((painted.shape[0], painted.shape[1]))
    for motion in flow_steps(contents, method, machine):
        long_flow.add(motion.flow_ba, motion.trusted)
    trust = long_flow.trust & inside(long_flow.flow)
    return carried_by(painted, long_flow.flow, trust, machine)


def flow_steps(
    contents: Iterable[Frame], method: FlowMethod, machine: Machine = ONE_CORE
) -> Generator[Motion, None, None]:
    """Of each of `contents` but the first: motion from the one before, trusted where the way there and back closes.

    Composed flows lose a place for good where one step is not trusted, so the broader estimate counts here, too.
    """

    def step(frames: tuple[Frame, Frame]) -> Motion:
        return _motion(*frames, method, round_trip)

    return spread(step, pairwise(contents), machine.threads)
