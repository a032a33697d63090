"""The motion a film is judged by: between two source frames, with the places where it can be trusted.

A film is judged with another flow than it was painted with, so that the judge does not share the painter's mistakes;
synthetic clips bring their exact flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np

from farm.contract.errors import InvalidParameter
from farm.motion import Flow, Frame, Gray, Trust, camera_shift, consistent, inside, luma, motion_boundary

EXACT = "exact"
"""The name of a judge whose flow is known, not estimated."""

GRID_PX, WINDOW_PX, HALVINGS = 4, 9, 4
"""Points are followed this far apart, by windows of this side, in pictures halved so often."""
STEPS, STEP_PX = 20, 0.02
"""Most steps a point takes at each size, and how short the last one is."""
LEAST_EIGENVALUE = 1e-5
"""Of a window's gradients: under it there is nothing to follow, and a point goes with what larger windows found."""
OUTLIER_SIDE = 5
"""Points of the square whose median each point takes."""


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


def lucas_kanade(a: Gray, b: Gray, shift: tuple[int, int] = (0, 0)) -> Flow:
    """`(H, W, 2) float32 px` from a's pixels to their places in b; looked for around `shift`.

    Lucas & Kanade 1981 by pyramids (Bouguet 2001), for the points of a grid; between them variational refinement
    (Brox, Bruhn, Papenberg, Weickert 2004). Differs: a point takes its neighbours' median.
    """
    height, width = a.shape
    first = GRID_PX // 2
    points = np.stack(np.meshgrid(*(np.arange(min(first, side - 1), side, GRID_PX) for side in (width, height))), -1)
    points = points.astype(np.float32)
    found, _, _ = cv2.calcOpticalFlowPyrLK(
        a, b, points.reshape(-1, 1, 2), (points + np.array(shift, np.float32)).reshape(-1, 1, 2),
        winSize=(WINDOW_PX, WINDOW_PX), maxLevel=HALVINGS, flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
        criteria=(cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, STEPS, STEP_PX), minEigThreshold=LEAST_EIGENVALUE,
    )  # fmt: skip
    moved = found.reshape(points.shape) - points
    moved = np.dstack([cv2.medianBlur(np.ascontiguousarray(moved[..., axis]), OUTLIER_SIDE) for axis in (0, 1)])
    x, y = ((np.arange(side, dtype=np.float32) - first) / GRID_PX for side in (width, height))
    between = np.meshgrid(x, y)
    flow = cv2.remap(moved, between[0], between[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.VariationalRefinement.create().calc(a, b, np.ascontiguousarray(flow)), dtype=np.float32)


class EstimatedMotion:
    """A judge that estimates flow both ways, side by side in `pool`, and trusts it where the two agree."""

    name = "lucas-kanade"

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool

    def motion(self, before: Frame, now: Frame, *, cut: bool) -> Motion | None:
        """The estimated motion and where it is trusted; None at a cut."""
        if cut:
            return None
        grays = luma(before), luma(now)
        shift = camera_shift(grays[1], grays[0])
        ahead = self._pool.submit(lucas_kanade, grays[0], grays[1], (-shift[0], -shift[1]))
        flow_ba = lucas_kanade(grays[1], grays[0], shift)
        return Motion(flow_ba, consistent(flow_ba, ahead.result()))


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
                "there are fewer exact flows than frames; give one for each frame but the first", name="motions"
            ) from None
        if known is None or cut:
            return None
        if known.flow_ba.shape[:2] != now.shape[:2]:
            raise InvalidParameter(
                f"the exact flow is {known.flow_ba.shape[1]}×{known.flow_ba.shape[0]}, the film "
                f"{now.shape[1]}×{now.shape[0]}; give flow of the film's size",
                name="motions",
            )
        trust = known.trust & inside(known.flow_ba) & ~motion_boundary(known.flow_ba)
        return Motion(known.flow_ba, trust)
