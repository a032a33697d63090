"""Which stored frame is final: the blended one inside a boundary's window, else the stylized one."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from farm.contract import keys
from farm.contract.plan import Plan
from farm.png import png_read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from farm.store import Store

READ_AHEAD = 16
READERS = 4


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


def read_final_frames(store: Store, job: str, plan: Plan) -> Iterator[NDArray[np.uint8]]:
    """Every final frame in order, (H, W, 3) uint8 sRGB, checked against its SHA-256 as it is read; a few ahead."""
    final = FinalFrames(job, plan)
    with ThreadPoolExecutor(READERS, thread_name_prefix="frames") as pool:
        ahead: deque[Future[bytes]] = deque()
        for number in range(plan.frame_count):
            ahead.append(pool.submit(store.get, final.key(number)))
            if len(ahead) >= READ_AHEAD:
                yield png_read(ahead.popleft().result())
        while ahead:
            yield png_read(ahead.popleft().result())
