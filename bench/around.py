"""What a frame takes besides its steps: what the painter waits for, and what goes on beside it and must keep up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from bench.step import scene, synchronize
from farm import styles
from farm.contract.params import Params
from farm.png import png_bytes
from worker.engine import Carried, Frame, Machine, carry_far
from worker.engine.approach import approach
from worker.engine.bare import filled
from worker.engine.flow import carry_along, motion_between
from worker.engine.machine import spread
from worker.engine.pixels import SizeHW, image_from_frame

SHIFT_PX = 3
"""By which the scene moves from frame to frame."""
RUNS = 3


@dataclass(frozen=True, slots=True)
class Around:
    """Seconds a frame, of one size on one machine."""

    size: str
    threads: int  # that look for motion at once
    motion_s: float = 0.0  # beside the painter: by all these threads
    carry_s: float = 0.0  # the painting bent along it
    nearing_s: float = 0.0  # mixed with the view of the next anchor: in a chunk's last frames
    fill_s: float = 0.0  # bare places filled: a part of painting
    far_s: float = 0.0  # of the way to an anchor: motion both ways, composed
    png_s: float = 0.0  # beside the painter: encoded, one frame at a time

    def share(self, paint_s: float) -> float:
        """The painter's share of a frame's time, where painting takes `paint_s`: carrying is its own, too."""
        own_s = paint_s + self.carry_s
        return own_s / max(own_s, self.motion_s, self.png_s)


def measured(size: str, size_hw: SizeHW, machine: Machine) -> Around:
    """One size's."""
    frames = moving(size_hw, 2 * machine.threads + 1)
    steps = list(pairwise(frames))
    method = Params().flow

    def motions() -> None:
        for _ in spread(lambda pair: motion_between(*pair, method), steps, machine.threads):
            pass

    painting, motion = textured(size_hw), motion_between(*steps[0], method)
    carried = carry_along(painting, motion, machine)
    ahead = approach(painting, frames[:2], method, machine=machine)
    bare = Carried(carried.image, np.where(np.arange(size_hw[1]) < size_hw[1] // 8, 0, carried.mask).astype(np.float32))
    content = image_from_frame(frames[1])
    return Around(
        size,
        machine.threads,
        motion_s=_took_s(motions, machine, 1) / len(steps),
        carry_s=_took_s(lambda: carry_along(painting, motion, machine), machine),
        nearing_s=_took_s(lambda: ahead.towards(carried, 1), machine),
        fill_s=_took_s(lambda: filled(content, bare, machine.device), machine),
        far_s=_took_s(lambda: carry_far(painting, frames, method, machine), machine, 1) / len(steps),
        png_s=_took_s(lambda: png_bytes(painting), machine),
    )


def moving(size_hw: SizeHW, count: int) -> list[Frame]:
    """A scene in which everything moves sideways."""
    wide = scene((size_hw[0], size_hw[1] + SHIFT_PX * count))
    return [np.ascontiguousarray(wide[:, SHIFT_PX * at : SHIFT_PX * at + size_hw[1]]) for at in range(count)]


def textured(size_hw: SizeHW) -> Frame:
    """As full of strokes as a painted frame."""
    tile = styles.paint("swirl", 512, 384)
    rows, columns = (-(-side // step) for side, step in zip(size_hw, tile.shape[:2], strict=True))
    return np.ascontiguousarray(np.tile(tile, (rows, columns, 1))[: size_hw[0], : size_hw[1]])


def cells(row: Around) -> tuple[str, ...]:
    """As a table's row, in ms a frame."""
    spans = (row.motion_s, row.carry_s, row.nearing_s, row.fill_s, row.far_s, row.png_s)
    return (row.size, str(row.threads), *(f"{1000 * span:.1f}" for span in spans))


HEADER = ("size", "threads", "motion", "carried", "nearing an anchor", "filled", "a frame of an anchor's way", "PNG")


def _took_s(work: Callable[[], object], machine: Machine, runs: int = RUNS) -> float:
    """The fastest of some runs, after one to warm up."""
    times = []
    for _ in range(runs + 1):
        synchronize(machine.device)
        began_s = time.perf_counter()
        work()
        synchronize(machine.device)
        times.append(time.perf_counter() - began_s)
    return min(times[1:])
