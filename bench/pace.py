"""How long the benchmark still takes: work counted in frames of one size, and the time they took so far. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from farm.contract.params import Params

UNIT_PX = 320 * 180
"""One unit of work: one frame of this many pixels, painted after another."""
FLOW_STEPS = 5
"""What a frame's flow and files cost, in steps."""
FIRST_GUESS_S = 1.0
"""Seconds a unit takes, until there is a measurement."""
LEAST_TOLD = 0.1
"""From this fraction of a job on, its own speed counts: of a first frame nothing is done until all of it is."""


def units(frames: float, size_wh: tuple[int, int], factor: float = 1.0) -> float:
    """The work of `frames` frames, each of which costs `factor` times one that follows another."""
    return frames * size_wh[0] * size_wh[1] / UNIT_PX * factor


def afresh_factor(params: Params) -> float:
    """What a frame painted from nothing costs, over one that follows: its steps at every level of the pyramid, which
    has a third more pixels than the frame, against the few of one level, its flow and its files."""
    return 4 / 3 * params.steps / (params.steps_next + FLOW_STEPS)


@dataclass(slots=True)
class Pace:
    """Work left and the speed so far. Work found done counts as none: it says nothing of the speed."""

    left: float
    done: float = 0.0
    took_s: float = 0.0

    def painted(self, work: float, seconds: float) -> None:
        """A job of `work` units is done, in `seconds`."""
        self.left -= work
        self.done += work
        self.took_s += seconds

    def found(self, work: float) -> None:
        """A job of `work` units was there already."""
        self.left -= work

    def left_s(self, job_work: float = 0.0, job_fraction: float = 0.0, job_s: float = 0.0) -> float:
        """Seconds left; the job under way has `job_work` units and is done to `job_fraction` after `job_s`."""
        begun = job_work * job_fraction
        tells = job_fraction >= LEAST_TOLD
        done, took_s = self.done + begun * tells, self.took_s + job_s * tells
        unit_s = took_s / done if done else FIRST_GUESS_S
        return max(0.0, (self.left - begun) * unit_s)


def clock(seconds: float) -> str:
    """`48 s`, `12 min`, `1 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
