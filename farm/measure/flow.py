"""The motion a film is judged by: between two source frames, with the places where it can be trusted.

A film is judged with another flow than it was painted with, so that the judge does not share the painter's mistakes;
synthetic clips bring their exact flow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from farm.contract.errors import InvalidParameter
from farm.contract.params import FlowMethod
from farm.motion import Flow, Frame, Trust, camera_shift, consistent, flow_estimate, inside, luma, motion_boundary

EXACT = "exact"
"""The name of a judge whose flow is known, not estimated."""


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


def other_method(painted_with: FlowMethod) -> FlowMethod:
    """The method to judge with: one that the painter did not use."""
    return FlowMethod.FARNEBACK if painted_with is FlowMethod.DIS else FlowMethod.DIS


class EstimatedMotion:
    """A judge that estimates flow both ways, side by side in `pool`, and trusts it where the two agree."""

    def __init__(self, method: FlowMethod, pool: ThreadPoolExecutor) -> None:
        self.name = str(method)
        self._method = method
        self._pool = pool

    def motion(self, before: Frame, now: Frame, *, cut: bool) -> Motion | None:
        """The estimated motion and its consistency; None at a cut."""
        if cut:
            return None
        grays = luma(before), luma(now)
        shift = camera_shift(grays[1], grays[0])
        ahead = self._pool.submit(flow_estimate, grays[0], grays[1], self._method, (-shift[0], -shift[1]))
        flow_ba = flow_estimate(grays[1], grays[0], self._method, shift)
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
                "there are fewer exact flows than frames; give one for each frame but the first", name="judge"
            ) from None
        if known is None or cut:
            return None
        if known.flow_ba.shape[:2] != now.shape[:2]:
            raise InvalidParameter(
                f"the exact flow is {known.flow_ba.shape[1]}×{known.flow_ba.shape[0]}, the film "
                f"{now.shape[1]}×{now.shape[0]}; give flow of the film's size",
                name="judge",
            )
        trust = known.trust & inside(known.flow_ba) & ~motion_boundary(known.flow_ba)
        return Motion(known.flow_ba, trust)
