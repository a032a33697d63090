"""Shots that fade in, and frames that show nothing.

A painting of a black frame is the style alone, and carried along, it would cover for a whole shot what comes into
sight. So what is painted first of a shot that fades in is the frame in which it is there, and that painting is carried
back to the shot's beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from farm.contract.params import FlowMethod
from farm.motion import Trust, blank, camera_shift, contrast, flow_pair, inside, luma, round_trip
from worker.engine.flow import Carried, carried_by, composed
from worker.engine.machine import ONE_CORE, Machine
from worker.engine.pixels import Flow, Frame
from worker.engine.warp import sampled

STEADY = 1.06
"""Growth of contrast in one frame up to which a shot does not fade in. What moves fast through a steady one makes its
contrast grow by up to 1.05."""
FADE_FRAMES = 64
"""Most frames of a fade that are looked at; what shows nothing at all before it does not count."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The frame in which a shot that fades in is there, and the way back to its first frame.

    `frames`: how much later it comes; `flow_sl (H, W, 2) float32 px` from the first frame to it, trusted in `(H, W)`.
    """

    frames: int
    content: Frame
    flow_sl: Flow
    trusted: Trust

    def carried(self, painted: Frame, machine: Machine = ONE_CORE) -> Carried:
        """A painting of `content`, as the shot's first frame has it."""
        return carried_by(painted, self.flow_sl, self.trusted & inside(self.flow_sl), machine)


def opening(contents: Iterator[Frame], method: FlowMethod = FlowMethod.DIS) -> Opening | None:
    """How the shot `contents` fades in; None where it does not, or shows nothing at all."""
    before = next(contents)
    size_hw = before.shape[:2]
    flow, trust = np.zeros((*size_hw, 2), np.float32), np.ones(size_hw, np.bool_)
    frames = seen = 0
    for now in contents:
        one, other = luma(before), luma(now)
        if not blank(one):
            if seen == FADE_FRAMES or contrast(other) <= STEADY * contrast(one):
                break
            back, forth = flow_pair(one, other, method, camera_shift(other, one))
            if contrast(other) <= STEADY * contrast(sampled(one.astype(np.float32), back).astype(np.uint8)):
                break
            closed = round_trip(forth, back)
            trust &= sampled(closed.astype(np.float32), flow) > 0.5
            flow, seen = composed(flow, forth), seen + 1
        before, frames = now, frames + 1
    return Opening(frames, before, flow, trust) if frames and not blank(luma(before)) else None
