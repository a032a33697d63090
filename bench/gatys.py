"""`python -m bench gatys`: the painter against the plain loop of `bench.plain`, side by side in one run.

One step, at two sizes, in rounds in which each takes its turn: a machine that slows down meanwhile slows all. And, with
the default backbone, a frame until its style loss, each by its own measure, is 5 % of what it is at the source frame. A
painting's steps are given at its start, so the painter's time is that of the fewest steps that get there, found by
trying; what the default number of steps takes and reaches stands beside it.

The plain loop runs in a process of its own: as it comes, without what a worker sets up for itself. It is given
up after `LIMIT` steps, a tenth of neural-style's: then its time is a lower bound. What each painted is
shown in one strip.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from torch import Tensor

from bench.bars import Bar, at_least, table, verdict_table
from bench.clips import BUNNY
from bench.plain import Gatys, features
from bench.sheets import Row, save_jpeg, strip
from bench.step import has_weights, network_of, step_ms, synchronize, vgg19_state
from farm import styles
from farm.cli.demo import sample_clip
from farm.contract.params import Backbone, Params
from worker.device import low_backbones
from worker.engine import Frame, Painted, Painter, carry
from worker.engine.backbones import Network

SIZES_HW = ((192, 256), (384, 512))
BAR_SIZE_HW = SIZES_HW[-1]
SHARE = 0.05
"""Of the style loss at the source frame: there a frame counts as painted."""
ROUNDS, RUNS, PLAIN_STEPS, LIMIT = 5, 3, 3, 100
"""Rounds of single steps; runs of a frame; steps of the plain loop in a round, and at most for a frame."""
FRAMES = 4
"""Of the film: the steady state is measured at the last, after this many others."""
TRIED_NEXT = (1, 2, 3, 4, 6, 8, 12, 16, 24, 48)
TRIED_FIRST = (5, 10, 15, 20, 30, 40, 60, 80, 120, 240)
OPTIMIZERS = ("adam", "lbfgs")
PLAIN = "the plain loop, VGG19"
OURS = {Backbone.EFFICIENTNET_LITE0: "ours, EfficientNet-Lite0", Backbone.VGG19: "ours, VGG19"}
IN_FLOAT32 = ", in float32"
STYLE = "swirl"
STRIP_FILE, STRIP_CELL_PX, STRIP_LIMIT_BYTES = "gatys.jpg", 300, 200_000


@dataclass(frozen=True, slots=True)
class FrameCost:
    """One frame: until its style loss is `SHARE` of the source's, and with the default steps."""

    seconds: float
    steps: int
    share: float
    default_s: float | None = None
    default_share: float | None = None

    @property
    def reached(self) -> bool:
        """Whether it got there; where not, the seconds are what was tried."""
        return self.share <= SHARE


@dataclass
class Race:
    """All figures of a run."""

    steps_ms: dict[tuple[str, tuple[int, int]], list[float]] = field(default_factory=dict)  # of every round
    frames: dict[tuple[str, str], FrameCost] = field(default_factory=dict)  # by painter and kind of frame
    pictures: dict[tuple[str, str], Frame] = field(default_factory=dict)  # by painter and caption

    def bars(self) -> list[Bar]:
        """What is asked of one step, of a steady-state frame and of a first frame."""
        fast, slow = (OURS[backbone] for backbone in (Backbone.EFFICIENTNET_LITE0, Backbone.VGG19))
        return [
            at_least(1, "one step, default backbone, over the plain loop's", self._step_ratios(fast), 15),
            at_least(1, "one step, VGG19, over the plain loop's", self._step_ratios(slow), 1.2),
            at_least(2, "steady-state frame, default backbone, over the plain loop's", self._ratios(fast, "next"), 20),
            at_least(2, "first frame, default backbone, over the plain loop's", self._ratios(fast, "first"), 10),
        ]

    def told(self) -> Iterator[str]:
        """The figures, a line each."""
        for (name, size_hw), rounds_ms in self.steps_ms.items():
            yield f"{name}, {_px(size_hw)}: {statistics.median(rounds_ms):.1f} ms a step in the median"
        for (name, kind), cost in self.frames.items():
            took = f"{cost.seconds:.2f} s, {cost.steps} steps"
            yield f"{name}, {kind} frame: {took}, {cost.share:.1%} of the style loss left"

    def _step_ratios(self, ours: str) -> dict[str, float]:
        """Against each plain loop: the median of the rounds' ratios."""
        own_ms = self.steps_ms.get((ours, BAR_SIZE_HW), [])
        names = [name for name, size_hw in self.steps_ms if size_hw == BAR_SIZE_HW and name.startswith("plain")]
        rounds = {name: list(zip(self.steps_ms[name, BAR_SIZE_HW], own_ms, strict=False)) for name in names}
        return {name: statistics.median(a / b for a, b in pairs) for name, pairs in rounds.items() if pairs}

    def _ratios(self, ours: str, kind: str) -> dict[str, float]:
        """Against each plain loop; nothing where ours did not get there."""
        own = self.frames.get((ours, kind))
        plain = {name: cost for (name, _), cost in self.frames.items() if name.startswith("plain")}
        return {name: cost.seconds / own.seconds for name, cost in plain.items()} if own and own.reached else {}


Say = Callable[[str], None]


def race(
    device: str,
    say: Say = print,
    *,
    sizes_hw: Sequence[tuple[int, int]] = SIZES_HW,
    backbones: Sequence[Backbone] = tuple(OURS),
    limit: int = LIMIT,
) -> Race:
    """Measure everything; whole frames at the last size. `limit`: most steps of the plain loop."""
    found, contents = Race(), film_frames(sizes_hw[-1], FRAMES)
    style = styles.paint(STYLE, contents[-1].shape[1], contents[-1].shape[0])
    found.pictures |= {(PLAIN, "source"): contents[-1], (PLAIN, f"style, {STYLE}"): style}
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, context, _begin, (torch.get_num_threads(),)) as alone,
        ExitStack() as open_networks,
    ):
        networks = {
            name: (backbone, open_networks.enter_context(network_of(backbone, device, bfloat16=bfloat16)))
            for name, backbone, bfloat16 in _ours(backbones, device)
        }
        for size_hw in sizes_hw:
            for number in range(ROUNDS):
                for name, taken_ms in _round(alone, networks, size_hw, device):
                    found.steps_ms.setdefault((name, size_hw), []).append(taken_ms)
                    say(f"{_px(size_hw)}, round {number + 1} of {ROUNDS}: {name}, {taken_ms:.0f} ms a step")
        for optimizer in OPTIMIZERS:
            cost, painted = alone.submit(_plain_frame, optimizer, sizes_hw[-1], device, limit).result()
            found.frames[f"plain, {optimizer}", "each"] = cost
            say(f"plain, {optimizer}: {cost.steps} steps in {cost.seconds:.0f} s")
            found.pictures[PLAIN, _caption(optimizer, cost.steps, cost.share)] = painted
        if (name := OURS[backbone := Params().backbone]) in networks:
            own = _Ours(networks[name][1], backbone, contents, device)
            found.frames |= {(name, kind): cost for kind, cost in own.frames()}
            found.pictures |= {(name, caption): picture for caption, picture in own.pictures.items()}
    for line in found.told():
        say(line)
    return found


def _ours(backbones: Iterable[Backbone], device: str) -> Iterator[tuple[str, Backbone, bool]]:
    """Name, backbone, and whether it is in bfloat16: as a worker has it; where that is bfloat16, in float32 as well."""
    low = low_backbones(device)
    for backbone in backbones:
        yield OURS[backbone], backbone, backbone in low
        if backbone in low:
            yield f"{OURS[backbone]}{IN_FLOAT32}", backbone, False


def _round(
    alone: ProcessPoolExecutor,
    networks: Mapping[str, tuple[Backbone, Network]],
    size_hw: tuple[int, int],
    device: str,
) -> Iterator[tuple[str, float]]:
    """Milliseconds of a step of each, one after another."""
    for name, (backbone, network) in networks.items():
        yield name, step_ms(network, backbone, size_hw, device)
    for optimizer in OPTIMIZERS:
        yield f"plain, {optimizer}", alone.submit(_plain_step_ms, optimizer, size_hw, device).result()


def _begin(threads: int) -> None:
    """In the process of its own: as many threads, and an end with its parent, however that ends."""
    torch.set_num_threads(threads)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def _plain_step_ms(optimizer: str, size_hw: tuple[int, int], device: str) -> float:
    run = _plain(film_frames(size_hw, 1)[0], device).paint(optimizer, 0.0, PLAIN_STEPS)
    return 1000 * run.seconds / run.steps


def _plain_frame(optimizer: str, size_hw: tuple[int, int], device: str, limit: int) -> tuple[FrameCost, Frame]:
    run = _plain(film_frames(size_hw, FRAMES)[-1], device).paint(optimizer, SHARE, limit)
    return FrameCost(run.seconds, run.steps, run.share), _frame(run.image)


class _Ours:
    """Whole frames of one backbone."""

    def __init__(self, network: Network, backbone: Backbone, contents: Sequence[Frame], device: str) -> None:
        self._network, self._contents, self._device = network, contents, device
        self._size_hw = (contents[0].shape[0], contents[0].shape[1])
        self._params = Params(backbone=backbone)
        self._style = styles.paint(STYLE, 512, 384)
        self.pictures: dict[str, Frame] = {}  # of the default steps, by caption

    def frames(self) -> Iterator[tuple[str, FrameCost]]:
        """A first frame, and one of the steady state."""
        whole = self._loss_at(self._contents[0])
        yield "first", self._least("first", TRIED_FIRST, self._params.steps, whole, self._first)
        painter = self._painter()
        last = painter.paint_still(self._contents[0]).frame
        for before, now in pairwise(self._contents[:-1]):
            last = painter.paint_next(now, carry(last, before, now)).frame
        whole = self._loss_at(self._contents[-1])
        default = self._params.steps_next
        yield "next", self._least("next", TRIED_NEXT, default, whole, lambda steps: self._next(last, steps))

    def _least(
        self, kind: str, tried: Iterable[int], default: int, whole: float, paint: Callable[[int], tuple[float, Painted]]
    ) -> FrameCost:
        """The fewest steps of those tried that reach `SHARE` of `whole`."""
        for steps in tried:
            seconds, painted = paint(steps)
            if painted.losses["style"] <= SHARE * whole:
                seconds = statistics.median([seconds, *(paint(steps)[0] for _ in range(RUNS - 1))])
                break
        cost = FrameCost(seconds, painted.steps, painted.losses["style"] / whole)
        self._show(kind, painted, cost.share)
        seconds, painted = paint(default)
        share = painted.losses["style"] / whole
        self._show(kind, painted, share)
        return replace(cost, default_s=seconds, default_share=share)

    def _show(self, kind: str, painted: Painted, share: float) -> None:
        self.pictures[_caption(f"{kind} frame", painted.steps, share)] = painted.frame

    def _first(self, steps: int) -> tuple[float, Painted]:
        painter = self._painter(steps=steps)
        return self._timed(lambda: painter.paint_still(self._contents[0]))

    def _next(self, last: Frame, steps: int) -> tuple[float, Painted]:
        painter, (before, now) = self._painter(steps_next=steps), self._contents[-2:]
        painter.paint_next(now, carry(last, before, now))  # targets and caches, as in the middle of a shot
        return self._timed(lambda: painter.paint_next(now, carry(last, before, now)))

    def _loss_at(self, content: Frame) -> float:
        """The style loss of the source frame itself."""
        everywhere = np.ones(self._size_hw, np.float32)
        return self._painter(steps_settle=0).settle(content, content, everywhere).losses["style"]

    def _timed(self, paint: Callable[[], Painted]) -> tuple[float, Painted]:
        synchronize(self._device)
        began_s = time.perf_counter()
        painted = paint()
        synchronize(self._device)
        return time.perf_counter() - began_s, painted

    def _painter(self, **changes: int) -> Painter:
        params = replace(self._params, **changes)
        return Painter(self._network, params, self._style, size_hw=self._size_hw, device=self._device)


def film_frames(size_hw: tuple[int, int], count: int) -> list[Frame]:
    """The first frames of a real clip with motion, `(H, W, 3) uint8 sRGB`."""
    with av.open(str(sample_clip(BUNNY.file))) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in islice(container.decode(video=0), count)]
    return [cv2.resize(frame, size_hw[::-1], interpolation=cv2.INTER_AREA) for frame in frames]


def picture(found: Race) -> Frame:
    """What each painter made of the frame, one strip a painter; ours at the bar's style loss and as it comes."""
    strips = []
    for painter in dict.fromkeys(name for name, _ in found.pictures):
        shown = {caption: frame for (name, caption), frame in found.pictures.items() if name == painter}
        title = painter if has_weights(Backbone.VGG19) or painter != PLAIN else f"{painter} on random weights"
        row = Row("", list(shown.values()))
        strips.append(strip([row], list(shown), title=title, cell_px=STRIP_CELL_PX))
    return np.vstack(strips)


def page(found: Race, head: str) -> str:
    """The Markdown page."""
    sizes = list(dict.fromkeys(size_hw for _, size_hw in found.steps_ms))
    names = list(dict.fromkeys(name for name, _ in found.steps_ms))
    steps = [(name, *(f"{statistics.median(found.steps_ms[name, size]):.1f}" for size in sizes)) for name in names]
    frames = [(name, kind, *_cells(cost)) for (name, kind), cost in found.frames.items()]
    return "\n".join([
        "# Against a plain Gatys loop", "",
        f"{head} `python -m bench gatys` writes this page. The plain loop is `bench/plain.py`.{_weights()}", "",
        *verdict_table(found.bars()), "",
        "## One step, ms", "",
        f"Medians of {ROUNDS} rounds; the bars' ratios are the medians of the rounds' own. {_precision(names)}", "",
        *table(("", *map(_px, sizes)), steps), "",
        f"## One frame at {_px(sizes[-1])}", "",
        f"Seconds until the style loss, each by its own measure, is {SHARE:.0%} of its value at the source frame; then "
        "what the default number of steps takes and reaches. Ours with the flow; the fewest steps that got there. The "
        f"plain loop is given up after {LIMIT} steps.", "",
        *table(("", "frame", "s", "steps", "style loss left", "default: s", "style loss left"), frames), "",
        f"![The plain loop's pictures and ours]({STRIP_FILE})", "",
    ])  # fmt: skip


RANDOM = (
    " VGG19's weights are not on this machine: it ran on random ones. That changes nothing of a step's time, and much "
    "of how many steps the plain loop needs: what bar 2 says of it holds for random weights alone."
)


def _weights() -> str:
    return "" if has_weights(Backbone.VGG19) else RANDOM


def _precision(names: Iterable[str]) -> str:
    """What the networks compute in."""
    low = [name.removesuffix(IN_FLOAT32) for name in names if name.endswith(IN_FLOAT32)]
    return f"As workers have it on this device: {' and '.join(low)} in bfloat16." if low else "All in float32."


def save_picture(found: Race, folder: Path) -> None:
    """Write the strip that the page shows."""
    save_jpeg(picture(found), folder / STRIP_FILE, STRIP_LIMIT_BYTES)


def _caption(name: str, steps: int, share: float) -> str:
    return f"{name}: {steps} steps, {share:.1%} left"


def _cells(cost: FrameCost) -> tuple[str, ...]:
    seconds = f"{cost.seconds:.2f}" if cost.reached else f"not in {cost.seconds:.0f}"
    default_s = "—" if cost.default_s is None else f"{cost.default_s:.2f}"
    default_share = "—" if cost.default_share is None else f"{cost.default_share:.1%}"
    return seconds, str(cost.steps), f"{cost.share:.1%}", default_s, default_share


@cache
def _plain_network(device: str) -> torch.nn.Sequential:
    return features(vgg19_state()).to(device)


def _plain(content: Frame, device: str) -> Gatys:
    height, width = content.shape[:2]
    return Gatys(_plain_network(device), _pixels(content, device), _pixels(styles.paint(STYLE, width, height), device))


def _pixels(frame: Frame, device: str) -> Tensor:
    """`(1, 3, H, W) float32, 0 to 255`."""
    return torch.from_numpy(np.ascontiguousarray(frame.transpose(2, 0, 1)[None])).float().to(device)


def _frame(pixels: Tensor) -> Frame:
    """The other way."""
    return np.asarray(pixels[0].permute(1, 2, 0).round().byte().cpu().numpy(), dtype=np.uint8)


def _px(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]}×{size_hw[0]}"
