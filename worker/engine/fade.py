"""Shots that fade in, and frames that show nothing.

A painting of a black frame is the style alone, and carried along, it would cover for a whole shot what comes into
sight. So what is painted first of a shot that fades in is the frame in which it is there, and that painting is carried
back to the shot's beginning.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from farm.contract.params import FlowMethod
from farm.motion import LEAST_CONTRAST, Trust, blank, contrast, flow_pair, inside, luma, round_trip
from worker.engine.flow import Carried, Motion, carried_by, composed
from worker.engine.machine import ONE_CORE, Machine, spread
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


def opening(
    contents: Iterator[Frame], method: FlowMethod = FlowMethod.DIS, machine: Machine = ONE_CORE
) -> Opening | None:
    """How the shot `contents` fades in; None where it does not, or shows nothing at all."""
    first = shown = next(contents)
    flow, trust = np.zeros((*first.shape[:2], 2), np.float32), np.ones(first.shape[:2], np.bool_)
    frames = 0

    def step(pair: tuple[Frame, Frame]) -> tuple[Frame, Motion | None]:
        return pair[1], _way(*pair, method)

    with closing(spread(step, _brighter(first, contents), machine.threads)) as steps:
        for now, motion in steps:
            if motion is None:
                break
            trust &= sampled(motion.trusted.astype(np.float32), flow) > 0.5
            flow = composed(flow, motion.flow_ba)
            shown, frames = now, frames + 1
    return Opening(frames, shown, flow, trust) if frames and not blank(luma(shown)) else None


def _brighter(first: Frame, contents: Iterator[Frame]) -> Iterator[tuple[Frame, Frame]]:
    """Pairs of frames, as long as the second shows more than the first, or the first nothing."""
    seen = 0
    for before, now in pairwise(chain([first], contents)):
        one, other = contrast(luma(before)), contrast(luma(now))
        if one >= LEAST_CONTRAST:
            if seen == FADE_FRAMES or other <= STEADY * one:
                return
            seen += 1
        yield before, now


def _way(before: Frame, now: Frame, method: FlowMethod) -> Motion | None:
    """The motion from `now` back to `before`, on the pixels of `before`; None where what both show does not grow."""
    one, other = luma(before), luma(now)
    back, forth = flow_pair(one, other, method)
    if not blank(one) and contrast(other) <= STEADY * contrast(sampled(one.astype(np.float32), back).astype(np.uint8)):
        return None
    return Motion(forth, round_trip(forth, back))
