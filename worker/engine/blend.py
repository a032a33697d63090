"""The flow-blend of a boundary: the painting that comes from before the seam fades into the one after it.

Eidnes 2015 mixes everything, and where strokes do not lie on each other the mean is grey and flat. Here two paintings
are mixed only where they disagree more than two frames in a row do, and the contrast that mixing loses is put back.
"""

from __future__ import annotations

import math

import numpy as np

from worker.engine.contrast import local_energy, mixture
from worker.engine.flow import Carried
from worker.engine.machine import ONE_CORE, Machine
from worker.engine.pixels import Frame, Image, Mask, frame_from_image, image_from_frame

AGREES, DISAGREES = 2.5, 5.0
"""How many times the usual disagreement is none yet, and is full: in between, the blend sets in smoothly."""


def raised_cosine_weights(frames: int) -> tuple[float, ...]:
    """The carried painting's weight in each of K = `frames` frames, near 1 first and near 0 last.

    `½(1 + cos π(i+1)/(K+1))`, so that the frames just outside the window would have 1 and 0.
    """
    return tuple(0.5 * (1 + math.cos(math.pi * (i + 1) / (frames + 1))) for i in range(frames))


def blend_frame(carried: Carried, painted: Frame, weight: float | Mask, machine: Machine = ONE_CORE) -> Frame:
    """`painted` with `weight` of the carried painting in it, where its mask trusts it; contrast kept.

    `weight` in [0, 1], one for all or `(H, W)`; 0 leaves the painted frame's own pixels.
    """
    share = np.asarray(np.float32(weight) * carried.mask, dtype=np.float32)
    return frame_from_image(mixture(carried.image, image_from_frame(painted), share, machine.device))


def blend_weight(carried: Carried, painted: Frame, weight: float, usual: float) -> Mask:
    """`(H, W) float32`: `weight` where carried and painted disagree, 0 where they agree or nothing is carried.

    `usual`: the disagreement of two frames in a row, from `usual_disagreement`; with 0 everything disagrees.
    """
    ramp = np.ones(carried.mask.shape, np.float32)
    if usual > 0:
        apart = disagreement(carried.image, image_from_frame(painted))
        ramp = np.clip((apart / usual - AGREES) / (DISAGREES - AGREES), 0.0, 1.0)
    return np.asarray(weight * carried.mask * ramp * ramp * (3 - 2 * ramp), dtype=np.float32)


def usual_disagreement(carried: Carried, painted: Frame) -> float:
    """How far a frame is from the one before it, carried: the median over the trusted places; 0 where there is none."""
    trusted = carried.mask > 0
    apart = disagreement(carried.image, image_from_frame(painted))[trusted]
    return float(np.median(apart)) if apart.size else 0.0


def disagreement(one: Image, other: Image) -> Mask:
    """`(H, W) float32`: root mean square difference of two pictures in a window of about one stroke."""
    return np.asarray(np.sqrt(np.maximum(local_energy(one - other), 0)), dtype=np.float32)


def mixed(carried: Carried, painted: Frame, weight: float) -> Frame:
    """`painted` with `weight` of the carried painting in it, where its mask trusts it: a plain mean (Eidnes 2015)."""
    share = (weight * carried.mask)[..., None]
    return frame_from_image(share * carried.image + (1 - share) * image_from_frame(painted))
