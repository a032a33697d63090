"""Shots that fade in, and frames that show nothing.

A painting of a black frame is the style alone, and carried along, it would cover for a whole shot what comes into
sight. So what is painted first of a shot that fades in is the frame in which it is there, and that painting is carried
back to the shot's beginning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, pairwise

import cv2
import numpy as np

from farm.contract.params import FlowMethod
from farm.motion import LEAST_CONTRAST, Gray, Trust, blank, contrast, flow_pair, inside, luma, round_trip
from worker.engine.flow import Carried, Motion, carried_by, composed
from worker.engine.machine import ONE_CORE, Machine, spread
from worker.engine.pixels import Flow, Frame
from worker.engine.warp import sampled

LOOK_PX = 160
"""Longer side of the pictures in which a fade is looked for."""
LOOK_FRAMES, RISE = 12, 1.15
"""A shot fades in as long as contrast has grown that much over so many frames. What moves fast through a steady one
makes it grow by up to 1.12, as far as that can be told from light."""
THERE = 1.06
"""How much more contrast may come after the frame in which a shot counts as there."""
FADE_FRAMES = 120
"""Most frames of a fade that are looked at; what shows nothing at all before it does not count."""
ENOUGH = 0.1
"""Share of a picture whose motion must be trusted to measure growth by it."""
SMOOTH_PX = 2.0
"""Spread of the window light is compared in: noise is no contrast."""
LEAST_GROWTH = 0.5


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


def fade_frames(contents: Iterator[Frame], method: FlowMethod = FlowMethod.DIS) -> int:
    """How many frames after its first the shot `contents` is there; 0 where it does not fade in, or shows nothing."""
    first, levels = 0, [1.0]  # the first frame that shows something, and contrast since, as shares of its own
    before = _small(next(contents))
    for number, content in enumerate(contents, start=1):
        now = _small(content)
        if blank(before):
            first = number
        elif blank(now):
            break
        else:
            levels.append(levels[-1] * _growth(before, now, method))
            if len(levels) > FADE_FRAMES or (
                len(levels) > LOOK_FRAMES and levels[-1] <= RISE * levels[-1 - LOOK_FRAMES]
            ):
                break
        before = now
    if blank(before) and len(levels) == 1:
        return 0
    if max(levels) <= RISE:
        return first
    return first + next(number for number, level in enumerate(levels) if level * THERE >= max(levels))


def opening(contents: Iterable[Frame], method: FlowMethod = FlowMethod.DIS, machine: Machine = ONE_CORE) -> Opening:
    """The last of `contents` as the frame in which their shot is there, and the way from it to the first."""
    source = iter(contents)
    first = shown = next(source)
    flow, trust = np.zeros((*first.shape[:2], 2), np.float32), np.ones(first.shape[:2], np.bool_)
    frames = 0

    def step(pair: tuple[Frame, Frame]) -> tuple[Frame, Motion]:
        return pair[1], _way(*pair, method)

    with closing(spread(step, pairwise(chain([first], source)), machine.threads)) as steps:
        for now, motion in steps:
            trust &= sampled(motion.trusted.astype(np.float32), flow) > 0.5
            flow = composed(flow, motion.flow_ba)
            shown, frames = now, frames + 1
    return Opening(frames, shown, flow, trust)


def _small(content: Frame) -> Gray:
    height, width = content.shape[:2]
    by = min(1.0, LOOK_PX / max(height, width))
    size = max(1, round(width * by)), max(1, round(height * by))
    return luma(np.asarray(cv2.resize(content, size, interpolation=cv2.INTER_AREA), dtype=np.uint8))


def _growth(before: Gray, now: Gray, method: FlowMethod) -> float:
    """How many times more contrast `now` has than `before`, in what both show.

    The slope of the one against the other: what moves in or out of the picture, or is seen more sharply, has no say.
    """
    back, forth = flow_pair(before, now, method)
    carried = sampled(before.astype(np.float32), back)
    trusted = round_trip(back, forth)
    one, other = (cv2.GaussianBlur(plane, (0, 0), SMOOTH_PX)[trusted] for plane in (carried, now.astype(np.float32)))
    if trusted.mean() < ENOUGH or one.std() < LEAST_CONTRAST:
        return contrast(now) / max(LEAST_CONTRAST, contrast(np.rint(carried).astype(np.uint8)))
    return max(LEAST_GROWTH, float(np.cov(one, other)[0, 1] / one.var(ddof=1)))


def _way(before: Frame, now: Frame, method: FlowMethod) -> Motion:
    """The motion from `now` back to `before`, on the pixels of `before`."""
    back, forth = flow_pair(luma(before), luma(now), method)
    return Motion(forth, round_trip(forth, back))
