"""A chunk painted towards the next one: the way its strokes come to lie where the next chunk's anchor has them.

Two chunks that know nothing of each other part, frame by frame, even where both began from anchors that agree. So over
its last frames a chunk takes on, a little in each, what the next anchor looks like from there: the anchor is carried
back along composed flows, and mixed into the painting each frame starts from and is held by. The optimiser makes the
mixture crisp again, and at the boundary little is left to blend.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from farm.contract.params import FlowMethod
from farm.motion import Trust, inside
from worker.engine.contrast import crisp_warp, mixture
from worker.engine.flow import Carried, LongFlow, flow_steps
from worker.engine.machine import ONE_CORE, Machine
from worker.engine.pixels import Frame, frame_from_image, image_from_frame

APPROACH_FRAMES = 24
"""Over how many frames a chunk nears the next anchor: long enough that no frame changes visibly more than its
neighbours do, short enough that the flows still hold."""
CALM = 0.6
"""How much of their pace the optimiser's steps lose where a frame is all anchor. The anchor is painted already: what
the steps change in one frame, the next would take back, and strokes would tremble."""
DEPARTURE_FRAMES = 12
"""Over how many frames after its anchor a chunk finds its pace again. An anchor comes from far and still has a little
way to go; at full pace it would go it in the first two frames after the boundary, and be seen to."""
DEPARTURE_CALM = 0.2
"""How much of the pace is lost right after the anchor. More, and the strokes that carrying blurs are not taken back."""
DEPARTURE_EXTRA, FAR_EXTRA = 1 / 3, 1 / 3
"""Share of the usual steps that is taken beyond them right after the anchor, which had few: by and by they make up for
the painting that a film in motion had in the frames that were left out on the way to the anchor. Where that way was
long, the second share comes on top."""


@dataclass(frozen=True, slots=True)
class Approach:
    """The next anchor as each frame of a chunk's end sees it: `(frame, trust)` per frame, the last one first."""

    views: tuple[tuple[Frame, Trust], ...]
    machine: Machine = ONE_CORE

    def towards(self, carried: Carried, left: int) -> Carried:
        """`carried` a little nearer to the anchor that comes `left` frames later; 1 for a chunk's last frame.

        Where nothing is carried, the anchor alone counts: what comes into sight is painted as it will be.
        """
        if left > len(self.views):
            return carried
        frame, trust = self.views[left - 1]
        share = np.where(carried.mask > 0, step_share(left, len(self.views)), np.float32(1)) * trust
        image = mixture(image_from_frame(frame), carried.image, share.astype(np.float32), self.machine.device)
        mask = np.maximum(carried.mask, trust.astype(np.float32))
        pace = min(carried.pace, 1 - CALM * step_share(left, len(self.views)))
        return replace(carried, image=image, mask=mask, pace=pace)


def approach(
    anchor: Frame,
    contents: Sequence[Frame],
    method: FlowMethod = FlowMethod.DIS,
    on_beat: Callable[[], None] = lambda: None,
    machine: Machine = ONE_CORE,
) -> Approach:
    """The way to an anchor over the source frames `contents`, whose last is the anchor's own.

    `on_beat()` is called for each of them; what it raises ends the work.
    """
    far = LongFlow((anchor.shape[0], anchor.shape[1]))
    image = image_from_frame(anchor)
    views = []
    for motion in flow_steps(contents[::-1], method, machine):
        on_beat()
        far.add(motion.flow_ba, motion.trusted)
        view = frame_from_image(crisp_warp(image, far.flow, machine.device))
        views.append((view, far.trust & inside(far.flow)))
    return Approach(tuple(views), machine)


def departing(carried: Carried, since: int, far: float = 0.0) -> Carried:
    """`carried` with the pace and the steps of a frame `since` frames after its chunk's anchor, from 1 on; `far`: how
    long the anchor's way was, 0 to 1.
    """
    near = 1 - _apart(since - 1, DEPARTURE_FRAMES)
    extra = (DEPARTURE_EXTRA + FAR_EXTRA * far) * near
    return replace(carried, pace=min(carried.pace, 1 - DEPARTURE_CALM * near), extra=extra)


def step_share(left: int, frames: int) -> float:
    """Share of the anchor to mix in with `left` of `frames` frames to go.

    What differs falls by a raised cosine: `d(left) = ½(1 − cos π·left/frames)`, so a frame keeps `d(left)/d(left+1)`.
    """
    return 1 - _apart(left, frames) / _apart(left + 1, frames)


def _apart(left: int, frames: int) -> float:
    return 0.5 * (1 - math.cos(math.pi * min(1.0, left / frames)))
