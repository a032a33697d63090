"""What one optimisation step costs, for both backbones at several sizes.

VGG19 runs on seeded random weights where its own are not on this machine: its speed does not depend on them.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import torch

from farm import styles
from farm.contract.params import Backbone, Params
from farm.contract.spec import WEIGHTS_SHA256
from worker import heap
from worker.device import low_backbones, repeat_alike
from worker.engine import Frame, Network, Painter, StepProgress, carry
from worker.engine.backbones import load, weights_sha256
from worker.engine.backbones.vgg19 import GROUPS
from worker.engine.backbones.weights import load_state
from worker.engine.losses import PHASES

SIZES_HW = ((180, 320), (368, 512))
STEPS = {Backbone.EFFICIENTNET_LITE0: 24, Backbone.VGG19: 8}
"""So many of a frame's are timed."""
RUNS = 3


@dataclass(frozen=True)
class StepRow:
    """Milliseconds of one step: median and fastest of the runs."""

    backbone: Backbone
    width: int
    height: int
    median_ms: float
    best_ms: float


def rows(device: str) -> Iterator[StepRow]:
    """Measure, one row at a time."""
    low = low_backbones(device)
    for backbone in Backbone:
        with network_of(backbone, device, bfloat16=backbone in low) as network:
            for size_hw in SIZES_HW:
                times = [step_ms(network, backbone, size_hw, device) for _ in range(RUNS + 1)][1:]
                height, width = size_hw
                yield StepRow(backbone, width, height, statistics.median(times), min(times))


def page(device: str, head: str, say: Callable[[str], None]) -> str:
    """Measure; the Markdown page."""
    lines = ["# One optimisation step", "", f"{head} Milliseconds; `python -m bench step` writes this page.", ""]
    lines += ["| backbone | size | median | best |", "|---|---|---|---|"]
    medians: dict[tuple[int, int], list[float]] = {}
    for row in rows(device):
        lines.append(f"| {row.backbone} | {row.width}×{row.height} | {row.median_ms:.1f} | {row.best_ms:.1f} |")
        say(lines[-1])
        medians.setdefault((row.width, row.height), []).append(row.median_ms)
    lines += ["", "VGG19 takes, for one step of the default backbone's:", ""]
    lines += [f"- {width}×{height}: {slow / fast:.1f} ×" for (width, height), (fast, slow) in medians.items()]
    return "\n".join(lines) + "\n"


def scene(size_hw: tuple[int, int]) -> Frame:
    """A soft random picture, always the same."""
    noise = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    return np.asarray(cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 6), None, 0, 255, cv2.NORM_MINMAX), np.uint8)


def step_ms(network: Network, backbone: Backbone, size_hw: tuple[int, int], device: str) -> float:
    """One step in the mean of a carried frame's, as a worker takes them.

    A frame's first steps also look at its source, once on each grid: they go before, as a plain loop's target does.
    """
    if device == "cpu":
        heap.keep_freed()
    first, steps = len(PHASES), STEPS[backbone]
    params = replace(Params(backbone=backbone), steps_next=first + steps, blend_frames=0)
    painter = Painter(network, params, styles.paint("swirl", 512, 384), size_hw=size_hw, device=device)
    content = scene(size_hw)
    times_s: list[float] = []

    def on_step(progress: StepProgress) -> None:
        if progress.step in (first, first + steps):
            synchronize(device)
            times_s.append(time.perf_counter())

    painter.paint_next(content, carry(content, content, content), on_step=on_step)
    began_s, ended_s = times_s
    return 1000 * (ended_s - began_s) / steps


@contextmanager
def network_of(backbone: Backbone, device: str, *, bfloat16: bool = False) -> Iterator[Network]:
    """The backbone on `device`, as a worker loads it; VGG19 on random weights where its own are not here."""
    repeat_alike()
    if backbone is not Backbone.VGG19 or has_weights(backbone):
        yield load(backbone, WEIGHTS_SHA256[backbone], device, bfloat16=bfloat16)
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "vgg19-dcbb9e9d.pth"
        torch.save(vgg19_state(), file)
        sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
        yield load(backbone, sha256, device, Path(folder), bfloat16=bfloat16)


def has_weights(backbone: Backbone) -> bool:
    """Whether this machine has a backbone's weights."""
    return bool(weights_sha256(backbone))


def vgg19_state() -> dict[str, torch.Tensor]:
    """VGG19's weights under torchvision's names: its own where they are on this machine, else random ones."""
    known = weights_sha256(Backbone.VGG19)
    return dict(load_state(Backbone.VGG19, known)) if known else _random_vgg19()


def _random_vgg19() -> dict[str, torch.Tensor]:
    """He-initialised weights under torchvision's names."""
    generator = torch.Generator().manual_seed(0)
    state, inputs, index = {}, 3, 0
    for group, widths in enumerate(GROUPS):
        index += group > 0
        for outputs in widths:
            weight = torch.randn((outputs, inputs, 3, 3), generator=generator) * (2 / (9 * inputs)) ** 0.5
            state |= {f"features.{index}.weight": weight, f"features.{index}.bias": torch.zeros(outputs)}
            inputs, index = outputs, index + 2
    return state


def synchronize(device: str) -> None:
    """Wait for the device."""
    if device != "cpu":
        torch.cuda.synchronize(device)
