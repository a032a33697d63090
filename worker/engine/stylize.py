"""The painter: one style, one size, any number of frames.

A first frame is painted coarse to fine, so that strokes come in every length; a frame that follows a painted one
starts from it, carried along the motion. Pure tensors: no queue, no store, no environment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from farm.contract.errors import PermanentError
from farm.contract.params import Params
from farm.contract.spec import WEIGHTS_SHA256
from worker.engine import backbones
from worker.engine.backbones import Network
from worker.engine.bare import filled
from worker.engine.color import ColorStatistics, color_statistics
from worker.engine.flow import Carried
from worker.engine.losses import losses_by_name
from worker.engine.memory import Memory
from worker.engine.objective import Objective, Pull
from worker.engine.optimize import optimized
from worker.engine.palette import Palette
from worker.engine.pixels import (
    Frame,
    Image,
    Mask,
    SizeHW,
    image_from_frame,
    resized,
    tensor_from_image,
)
from worker.engine.style import StyleTargets

COARSEST_PX = 80
"""No pyramid level's longer side is smaller: so the coarsest is 80 to 159 px whatever the frame's size."""
NARROWEST_PX = 8
"""Nor its shorter one: of less, VGG19's four poolings leave nothing."""
COARSE_STEPS, FINE_STEPS = 4.0, 3.0
"""How many times as many steps a carried frame gets on its coarse levels and on its finest, where `BARE_FULL` or more
of it is bare: bare places have but this frame's steps to become a painting. Coarse steps cost little, and set colours
and light; the finest ones lower the style loss most."""
BARE_FULL = 0.25
"""Share of a carried frame without carried paint from which on it gets all these steps; with less, fewer."""
FOLLOW_RATE = 0.2
"""Share of the learning rate where paint is carried, on the finest level: it is nearly painted, and the noise of longer
steps would be carried on and grow."""
BARE_RATE = 0.45
"""The same where no paint is carried: such places have this frame's steps to be painted as strongly as the rest. Longer
ones leave more noise than strokes: a moving frame would have more detail than a still one, and flicker."""
SETTLE_RATE = 0.3
"""The same where two paintings were mixed. Less leaves them more style loss; more, more error from frame to frame."""
SETTLE_FROM = 0.05
"""Share of the one in the other from which on a place settles at that rate."""
SETTLE_FULL = 0.2
"""Share of a frame so mixed from which on it gets all its steps to settle; with less, fewer."""
PACE_SIGMA_PX = 2.0
"""Over how many pixels the one goes over into the other."""
BARE_SHARE = 0.003
"""Share of a frame that no carried paint covers, from which on it is painted coarse to fine, like a first frame."""
OPENING_PASSES = 2
"""How often a shot's first frame is painted on as the frames after it are, so that it has their look from the start."""
LEAD_STEPS, LEAD_PACE = 0.7, 2.0
"""Share of a following frame's steps that a frame of a lead-in takes, and how much larger they are: nobody sees it."""
LEAD_EFFORT, ANCHOR_EFFORT = 0.3, 0.5
"""Shares of the usual steps that these take beyond theirs at full effort."""
ANCHOR_PACE = 1.5
"""How much larger an anchor's steps are. At the usual size it has a twelfth more style loss than a film in motion, and
the frames after it take long to lose it."""
NOISE = 0.02
"""Spread of the noise a first frame starts with: flat skies have no edge for a stroke to begin at."""


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far one painting is: `step` of `steps` at `level` of `levels`, all from 1."""

    level: int
    levels: int
    step: int
    steps: int


OnStep = Callable[[StepProgress], None]
"""Called after every step; what it raises ends the painting at once."""


@dataclass(frozen=True, slots=True)
class Painted:
    """A painted frame, `(H, W, 3) uint8 sRGB`, the weighted losses of its last step, and the steps it took."""

    frame: Frame
    losses: dict[str, float]
    steps: int


class Painter:
    """Paints frames of one size in one style, or in several mixed by weight.

    `colors` are the clip's, of the whole shot; needed where `params.color` is not the style's. Within `memory_bytes`,
    as far as it goes, or where the device has no more, a picture is painted in tiles: the same but for rounding.
    """

    def __init__(
        self,
        network: Network,
        params: Params,
        style: Frame | Sequence[tuple[Frame, float]],
        *,
        size_hw: SizeHW,
        device: torch.device | str,
        colors: ColorStatistics | None = None,
        memory_bytes: int | None = None,
    ) -> None:
        self._network = network
        self._params = params
        self._size_hw = size_hw
        self._device = torch.device(device)
        self._palette = Palette(params.color, colors)
        frames = [(style, 1.0)] if isinstance(style, np.ndarray) else style
        styles = [(self._palette.style(frame), weight) for frame, weight in frames]
        self._memory = Memory(memory_bytes)
        self._targets = StyleTargets(
            network, styles, scale=params.style_scale, device=self._device, memory=self._memory
        )

    def paint_still(self, content: Frame, *, on_step: OnStep | None = None) -> Painted:
        """A frame by itself, coarse to fine."""
        return self._painted(image_from_frame(content), None, self._params.steps, on_step)

    def paint_first(self, content: Frame, *, on_step: OnStep | None = None) -> Painted:
        """A shot's first frame: painted by itself, then on from there as the frames that follow will be."""
        painted = self.paint_still(content, on_step=on_step)
        steps = painted.steps
        for _ in range(OPENING_PASSES):
            whole = Carried(image_from_frame(painted.frame), np.ones(self._size_hw, np.float32))
            painted = self.paint_next(content, whole, on_step=on_step)
            steps += painted.steps
        return replace(painted, steps=steps)

    def paint_lead(
        self, content: Frame, carried: Carried, effort: float = 0.0, *, on_step: OnStep | None = None
    ) -> Painted:
        """A frame on the way to an anchor, not kept; with more steps, the more `effort`, 0 to 1, its way is worth."""
        quick, share = _quicker(carried, LEAD_PACE), LEAD_STEPS + LEAD_EFFORT * effort
        return self._painted(image_from_frame(content), quick, round(share * self._params.steps_next), on_step)

    def paint_anchor(
        self, content: Frame, carried: Carried, effort: float = 0.0, *, on_step: OnStep | None = None
    ) -> Painted:
        """A chunk's first frame, at the end of its lead-in; `effort` as there."""
        quick, share = _quicker(carried, ANCHOR_PACE), 1 + ANCHOR_EFFORT * effort
        return self._painted(image_from_frame(content), quick, round(share * self._params.steps_anchor), on_step)

    def paint_next(self, content: Frame, carried: Carried, *, on_step: OnStep | None = None) -> Painted:
        """A frame that follows a painted one."""
        return self._painted(image_from_frame(content), carried, self._params.steps_next, on_step)

    def settle(self, content: Frame, blended: Frame, weight: Mask, *, on_step: OnStep | None = None) -> Painted:
        """A frame mixed from two paintings, made crisp again where `weight`, `(H, W) float32 [0, 1]`, is not 0.

        The more of it is mixed, the more steps it takes, `steps_settle` at the most.
        """
        whole = Carried(image_from_frame(blended), np.ones(blended.shape[:2], np.float32))
        mixed = _smoothed(np.minimum(1.0, weight / SETTLE_FROM).astype(np.float32))
        steps = round(self._params.steps_settle * min(1.0, float(mixed.mean()) / SETTLE_FULL))
        return self._painted(image_from_frame(content), whole, steps, on_step, SETTLE_RATE * mixed)

    def _painted(
        self, content: Image, carried: Carried | None, steps: int, on_step: OnStep | None, pace: Mask | None = None
    ) -> Painted:
        """Coarse to fine; where a painting is carried, coarse levels paint only what it does not cover.

        `pace`: share of the learning rate on the finest level; by default less where paint is carried.
        """
        clip, content, carried = content, self._palette.content(content), self._palette.carried(carried)
        pace = _pace(carried) if pace is None else pace
        bare = 1.0 if carried is None else 1.0 - float(carried.mask.mean())
        sizes = self._sizes(bare, carried=carried is not None)
        start = content if carried is None else filled(content, carried, self._device)
        picture = self._tensor(resized(start, sizes[0])) + (0 if carried else self._noise(sizes[0]))
        terms, steps_done = picture, 0
        for level, size_hw in enumerate(sizes, start=1):
            pull = self._pull(carried, size_hw)
            finest = level == len(sizes)
            level_steps = steps if carried is None else self._level_steps(steps, bare, carried, finest=finest)
            picture, terms = optimized(
                _covered(_scaled(picture, size_hw), pull),
                self._objective(resized(content, size_hw), pull),
                steps=level_steps,
                optimizer=self._params.optimizer,
                learning_rate=self._params.learning_rate,
                pace=None if pace is None or not finest else self._plane(pace),
                after_step=_reporter(on_step, level, len(sizes), level_steps),
            )
            steps_done += level_steps
        return Painted(self._palette.shown(picture, clip), _finite(losses_by_name(terms)), steps_done)

    def _level_steps(self, steps: int, bare: float, carried: Carried, *, finest: bool) -> int:
        """Steps of one level of a carried frame; `bare` is the share without carried paint.

        An anchor gets as many for what is bare as any frame does: its own go to what is carried, on the finest level.
        There, what came into sight lately counts, too.
        """
        usual = min(steps, self._params.steps_next)
        if not finest:
            return round(usual * (1 + (COARSE_STEPS - 1) * min(1.0, bare / BARE_FULL)))
        bareness = min(1.0, (bare + carried.lately) / BARE_FULL)
        return steps - usual + round(usual * (1 + (FINE_STEPS - 1) * bareness + carried.extra))

    def _sizes(self, bare: float, *, carried: bool) -> list[SizeHW]:
        if bare < BARE_SHARE:
            return [self._size_hw]
        if not carried:
            return pyramid_sizes(self._size_hw, self._params.pyramid)
        # Bare places get their steps on a coarse level, whatever the pyramid of first frames. A frame too small for one
        # is painted twice at its own size.
        sizes = pyramid_sizes(self._size_hw, max(2, self._params.pyramid))
        return sizes * 2 if len(sizes) == 1 else sizes

    def _objective(self, content: Image, pull: Pull | None) -> Objective:
        height, width = content.shape[:2]
        grams = self._targets.at((height, width))
        return Objective(
            self._network,
            self._params,
            style_grams=grams,
            content_bchw=self._tensor(content),
            pull=pull,
            memory=self._memory,
        )

    def _pull(self, carried: Carried | None, size_hw: SizeHW) -> Pull | None:
        if carried is None:
            return None
        image, mask = resized(carried.image, size_hw), resized(carried.mask, size_hw)
        return Pull(self._tensor(image), self._tensor(mask[..., None]))

    def _noise(self, size_hw: SizeHW) -> Tensor:
        """`(1, channels, H, W)` from the seed alone; made on the CPU, so every device starts alike."""
        generator = torch.Generator().manual_seed(self._params.seed)
        return NOISE * torch.randn((1, self._palette.channels, *size_hw), generator=generator).to(self._device)

    def _plane(self, mask: Mask) -> Tensor:
        """`(1, 1, H, W)`."""
        return torch.from_numpy(np.ascontiguousarray(mask[None, None], dtype=np.float32)).to(self._device)

    def _tensor(self, image: Image) -> Tensor:
        return tensor_from_image(image[..., : self._palette.channels], self._device)


def pyramid_sizes(size_hw: SizeHW, levels: int) -> list[SizeHW]:
    """The pyramid's sizes, coarse to fine: at most `levels`, each twice the last, the finest the frame itself."""
    sizes = [size_hw]
    while len(sizes) < levels:
        height, width = (side / 2 ** len(sizes) for side in size_hw)
        if max(height, width) < COARSEST_PX or min(height, width) < NARROWEST_PX:
            break
        sizes.insert(0, (round(height), round(width)))
    return sizes


def _quicker(carried: Carried, times: float) -> Carried:
    return replace(carried, pace=times * carried.pace)


def _pace(carried: Carried | None) -> Mask | None:
    """`(H, W)`: what is painted already takes small steps on the finest level, what is bare larger ones."""
    if carried is None:
        return None
    painted = _smoothed(carried.mask)
    return np.asarray(BARE_RATE * (1 - painted) + carried.pace * FOLLOW_RATE * painted, dtype=np.float32)


def _smoothed(mask: Mask) -> Mask:
    blurred = cv2.GaussianBlur(mask, (0, 0), PACE_SIGMA_PX, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, dtype=np.float32)


def _reporter(on_step: OnStep | None, level: int, levels: int, steps: int) -> Callable[[int], None] | None:
    return None if on_step is None else lambda step: on_step(StepProgress(level, levels, step, steps))


def _covered(image_bchw: Tensor, pull: Pull | None) -> Tensor:
    """The image, overlaid with the carried painting where its mask trusts it."""
    return image_bchw if pull is None else pull.mask * pull.image + (1 - pull.mask) * image_bchw


def _finite(losses: dict[str, float]) -> dict[str, float]:
    """The losses; PermanentError where the painting has run away to no number at all."""
    if not math.isfinite(losses["total"]):
        raise PermanentError(
            f"the painting's loss became {losses['total']}; lower --learning-rate and the weights",
            losses=losses,
        )
    return losses


def _scaled(image_bchw: Tensor, size_hw: SizeHW) -> Tensor:
    """The picture at a level's size, `(1, 3, H, W)`."""
    if image_bchw.shape[-2:] == size_hw:
        return image_bchw
    return torch.nn.functional.interpolate(image_bchw, size_hw, mode="bicubic", align_corners=False).clamp(0, 1)


def stylize(
    content: Frame,
    style: Frame,
    params: Params | None = None,
    *,
    device: torch.device | str = "cpu",
    weights_dir: Path | None = None,
    on_step: OnStep | None = None,
) -> Frame:
    """One still: `content` painted in the style of `style`, both `(H, W, 3) uint8 sRGB`."""
    chosen = params or Params()
    network = backbones.load(chosen.backbone, WEIGHTS_SHA256[chosen.backbone], device, weights_dir)
    size_hw = (content.shape[0], content.shape[1])
    painter = Painter(network, chosen, style, size_hw=size_hw, device=device, colors=color_statistics([content]))
    return painter.paint_still(content, on_step=on_step).frame
