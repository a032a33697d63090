"""Which stored frame is final: the blended one inside a boundary's window, else the stylized one."""

from __future__ import annotations

from bisect import bisect_right

from farm.contract import keys
from farm.contract.plan import Plan


class FinalFrames:
    """Keys of a job's final frames. A look-up costs the logarithm of the number of boundaries."""

    def __init__(self, job: str, plan: Plan) -> None:
        self._job = job
        self._windows = [boundary.frames for boundary in plan.boundaries]
        self._starts = [window.start for window in self._windows]

    def key(self, frame: int) -> str:
        """The final frame's key."""
        at = bisect_right(self._starts, frame) - 1
        inside = at >= 0 and frame in self._windows[at]
        return keys.blended(self._job, frame) if inside else keys.stylized(self._job, frame)
