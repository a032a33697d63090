"""`python bench/gpu.py [--quick] [--sizes 1080p,4K]`: what a GPU could do, and what the painter makes of it. Torch 2.11
or newer.

Ceilings first: matmul in TF32 and bf16, and copying, as this very device does them. Then, for both backbones at 540p,
1080p and 4K, in float32, in bfloat16, and that compiled: ms a step, its arithmetic (`torch.utils.flop_counter`) as
a share of the bf16 ceiling, frames a second of the steady state, of frames in which something new is seen, peak memory;
and what a frame takes besides: its motion, looked for by the CPU, and the painting carried along it. Written to
`bench/results/gpu.md` after every row, as a machine may be lent for minutes only; frame costs go to `costs.json` for
the simulation. `--quick`: tiny sizes, also on a CPU, to see that it works; writes nothing.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # started as a file, not as a module

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from bench import around, costs
from bench.around import Around
from bench.bars import Bar, at_least, at_most, table, verdict_table
from bench.step import network_of, scene, synchronize
from farm import styles
from farm.contract.errors import FarmError
from farm.contract.params import Backbone, Params
from farm.settings import Settings
from worker.device import Device, choose_device, machine_of, versions
from worker.engine import Carried, Frame, Machine, Painter, carry
from worker.engine.backbones import Network, warmed
from worker.engine.losses import style_grams

RESULTS = Path(__file__).resolve().parent / "results"
Sizes = dict[str, tuple[int, int]]
SIZES_HW: Sizes = {"540p": (540, 960), "1080p": (1080, 1920), "4K": (2160, 3840)}
QUICK_SIZES_HW: Sizes = {"64 px": (48, 64)}
MATMUL, COPY_BYTES = 8192, 1 << 30
QUICK_MATMUL, QUICK_COPY_BYTES, QUICK_STEPS = 128, 1 << 20, 2
RUNS = 5
GIB = 1 << 30
NEWLY_SEEN = 0.02
"""Share of a frame that nothing is carried to, where something comes into view: it is painted coarse to fine."""
BAR_S = {Backbone.VGG19: 1.0, Backbone.EFFICIENTNET_LITE0: 0.3}
BAR_GIB = {"1080p": 6.0, "4K": 24.0}


@dataclass(frozen=True, slots=True)
class Ceilings:
    """What the device does at its best: multiply-adds count twice; a copied byte is read and written."""

    tf32_flops: float
    bf16_flops: float
    copy_bytes_s: float


class Way(Enum):
    """How the network runs."""

    EAGER = "float32"  # as TF32 where the device has it
    LOW = "bfloat16"  # what workers do on a GPU
    COMPILED = "bfloat16, compiled"  # with FARM_COMPILE=on


@dataclass(frozen=True, slots=True)
class Row:
    """One backbone at one size."""

    backbone: Backbone
    size: str
    way: Way
    step_ms: float = 0.0
    step_flops: float = 0.0
    frame_s: float = 0.0
    peak_bytes: int = 0
    newly_seen_s: float = 0.0  # a frame of which `NEWLY_SEEN` is bare
    failed: str = ""  # why it could not be measured

    def share(self, ceiling: Ceilings) -> float:
        """Of the bf16 ceiling."""
        return self.step_flops / (self.step_ms / 1000) / ceiling.bf16_flops

    @property
    def label(self) -> str:
        """For people."""
        return f"{self.backbone}, {self.size}, {self.way.value}"


def best_s(work: Callable[[], object], device: str, runs: int = RUNS) -> float:
    """The fastest of some runs, after one to warm up."""
    times = []
    for _ in range(runs + 1):
        synchronize(device)
        began_s = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - began_s)
    return min(times[1:])


def ceilings(device: str, side: int = MATMUL, copied_bytes: int = COPY_BYTES) -> Ceilings:
    """Measured by square matmuls and a large copy."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")  # TF32
    try:
        flops = [
            2 * side**3 / best_s(_matmul(side, dtype, device), device) for dtype in (torch.float32, torch.bfloat16)
        ]
    finally:
        torch.set_float32_matmul_precision(before)
    source = torch.zeros(copied_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    copy_s = best_s(lambda: target.copy_(source), device)
    return Ceilings(flops[0], flops[1], 2 * copied_bytes / copy_s)


def rows(device: str, sizes_hw: Sizes, ways: Sequence[Way], steps: int) -> Iterator[Row]:
    """Every backbone at every size in these ways, with `steps` a frame; one that fails says why."""
    for backbone in Backbone:
        for way in ways:
            for size, size_hw in sizes_hw.items():
                row = Row(backbone, size, way)
                try:
                    with network_of(backbone, device, bfloat16=way is not Way.EAGER) as network:
                        chosen = warmed(network.compiled()) if way is Way.COMPILED else network
                        yield _measured(row, chosen, size_hw, device, steps)
                except (RuntimeError, FarmError) as error:  # too little memory, no compiler
                    yield replace(row, failed=str(error).strip().splitlines()[0][:100])
                if device != "cpu":
                    torch.cuda.empty_cache()
            torch.compiler.reset()


def bars(found: Sequence[Row], ceiling: Ceilings, beside: Sequence[Around] = ()) -> list[Bar]:
    """What is asked of an H100, of the fastest way."""
    good = [row for row in found if not row.failed]
    shares = {f"{row.size}, {Params().backbone}": row.share(_paint_s(found, row.size)) for row in beside
              if _paint_s(found, row.size)}  # fmt: skip
    result = [at_least(3, "the painter's share of a frame's time", shares, 0.95)]
    for backbone, limit_s in BAR_S.items():
        frames = {row.label: row.frame_s for row in good if row.backbone is backbone and row.size == "1080p"}
        best = min(frames, key=lambda name: frames[name], default="")
        chosen = {best: frames[best]} if best else {}
        result.append(at_most(8, f"1080p steady-state frame, {backbone}, s", chosen, limit_s))
    shares = {row.label: row.share(ceiling) for row in good if row.backbone is Backbone.VGG19}
    best = max(shares, key=lambda name: shares[name], default="")
    result.append(at_least(8, "share of the bf16 matmul ceiling, VGG19", {best: shares[best]} if best else {}, 0.5))
    for size, limit_gib in BAR_GIB.items():
        peaks = {row.label: row.peak_bytes / GIB for row in good if row.size == size and row.peak_bytes}
        result.append(at_most(8, f"peak memory at {size}, GiB", peaks, limit_gib))
    return result


def page(found: Sequence[Row], ceiling: Ceilings, beside: Sequence[Around], head: str) -> str:
    """The Markdown page."""
    header = ("backbone", "size", "", "ms a step", "of the bf16 ceiling", "frames/s", "where something is newly seen",
              "peak, GiB", "")  # fmt: skip
    return "\n".join([
        "# The painter on a GPU", "", f"{head} `python bench/gpu.py` writes this page.", "",
        *verdict_table(bars(found, ceiling, beside)), "",
        "| ceiling | measured |", "| --- | --- |",
        f"| matmul, TF32 | {ceiling.tf32_flops / 1e12:.3g} TFLOP/s |",
        f"| matmul, bf16 | {ceiling.bf16_flops / 1e12:.3g} TFLOP/s |",
        f"| copy | {ceiling.copy_bytes_s / 1e9:.3g} GB/s |", "",
        *table(header, [_cells(row, ceiling) for row in found]), "",
        "A frame of the steady state is one painted after another with the default number of steps, without its "
        f"motion and without the painting being carried along it. Where {NEWLY_SEEN:.0%} of it is newly seen, it is "
        "painted coarse to fine. The rest, ms a frame:", "",
        *table(around.HEADER, [around.cells(row) for row in beside]), "",
        "Motion is looked for on the CPU beside the painter, and PNGs are made there; the painter waits where either "
        "takes longer than it does. It goes on once the painting is carried, in a chunk's last frames also mixed with "
        "what the next anchor looks like from there. Filling bare places is a part of painting.", "",
    ])  # fmt: skip


def measured_costs(found: Sequence[Row], beside: Sequence[Around]) -> dict[str, float]:
    """What the simulation takes from here: a 1080p frame of the default backbone, and one of the way to an anchor."""
    paint_s, around_s = _paint_s(found, "1080p"), [row for row in beside if row.size == "1080p"]
    if not paint_s or not around_s:
        return {}
    row = around_s[0]
    return {"frame_s": max(paint_s + row.carry_s, row.motion_s, row.png_s), "carry_frame_s": row.far_s}


def _paint_s(found: Sequence[Row], size: str) -> float:
    """A frame of the default backbone, the fastest way; 0 where none was measured."""
    times = [row.frame_s for row in found if row.size == size and row.backbone is Params().backbone and row.frame_s]
    return min(times, default=0.0)


def _measured(row: Row, network: Network, size_hw: tuple[int, int], device: str, steps: int) -> Row:
    params = replace(Params(backbone=row.backbone), steps_next=steps, blend_frames=0)
    painter = Painter(network, params, styles.paint("swirl", 512, 384), size_hw=size_hw, device=device)
    content = scene(size_hw)
    carried = carry(content, content, content, machine=Machine(device))
    edge = np.arange(size_hw[1]) < NEWLY_SEEN * size_hw[1]
    newly_seen = Carried(carried.image, np.where(edge, 0, carried.mask).astype(np.float32))
    painter.paint_next(content, newly_seen)  # targets, and what is compiled once for a size
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    frame_s, done = _frame(painter, content, carried, device)
    newly_seen_s, _ = _frame(painter, content, newly_seen, device)
    peak_bytes = torch.cuda.max_memory_allocated(device) if device != "cpu" else 0
    return replace(
        row,
        step_ms=1000 * frame_s / done,
        step_flops=step_flops(network, size_hw, device),
        frame_s=frame_s,
        newly_seen_s=newly_seen_s,
        peak_bytes=peak_bytes,
    )


def _frame(painter: Painter, content: Frame, carried: Carried, device: str) -> tuple[float, int]:
    """A frame's seconds, the median of some, and its steps."""
    times, done = [], 0
    for _ in range(RUNS):
        synchronize(device)
        began_s = time.perf_counter()
        done = painter.paint_next(content, carried).steps
        synchronize(device)
        times.append(time.perf_counter() - began_s)
    return statistics.median(times), done


def step_flops(network: Network, size_hw: tuple[int, int], device: str) -> float:
    """Arithmetic of one step's network and Gram matrices, forward and backward, counted on the network as it comes."""
    image = torch.zeros((1, 3, *size_hw), device=device, requires_grad=True)
    with FlopCounterMode(display=False) as counter:
        seen = network.walked(image)
        asked = [*style_grams(network, seen), seen[network.content_tap].float()]
        torch.stack([each.sum() for each in asked]).sum().backward()  # type: ignore[no-untyped-call]
    return float(counter.get_total_flops())


def _matmul(side: int, dtype: torch.dtype, device: str) -> Callable[[], object]:
    a, b = (torch.randn((side, side), device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b


def _cells(row: Row, ceiling: Ceilings) -> tuple[str, ...]:
    start = (row.backbone.value, row.size, row.way.value)
    if row.failed:
        return (*start, "—", "—", "—", "—", "—", row.failed)
    peak = f"{row.peak_bytes / GIB:.2f}" if row.peak_bytes else "—"
    return (*start, f"{row.step_ms:.2f}", f"{row.share(ceiling):.1%}", f"{1 / row.frame_s:.2f}",
            f"{1 / row.newly_seen_s:.2f}" if row.newly_seen_s else "—", peak, "")  # fmt: skip


def _head(device: Device) -> str:
    facts = ", ".join(f"{name} {version}" for name, version in versions().items())
    return f"{time.strftime('%Y-%m-%d')}, {device.title}, {facts}."


def main(arguments: Sequence[str]) -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="bench/gpu.py", description="The painter on a GPU, against its ceilings.")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, also on a CPU; writes nothing")
    parser.add_argument("--sizes", type=_sizes, default=SIZES_HW, help=f"some of {','.join(SIZES_HW)}")
    options = parser.parse_args(arguments)
    quick: bool = options.quick
    settings = Settings.load()
    device = choose_device(settings)
    if device.torch_name == "cpu" and not quick:
        parser.error("torch sees no CUDA device; run it on a GPU machine, or with --quick to see that it works")
    ceiling = ceilings(device.torch_name, QUICK_MATMUL, QUICK_COPY_BYTES) if quick else ceilings(device.torch_name)
    sizes_hw: Sizes = QUICK_SIZES_HW if quick else options.sizes
    found: list[Row] = []
    beside: list[Around] = []

    def keep(cells: Sequence[str]) -> None:
        print(" | ".join(cells), flush=True)
        if not quick:
            RESULTS.mkdir(exist_ok=True)
            (RESULTS / "gpu.md").write_text(page(found, ceiling, beside, _head(device)))

    for size, size_hw in sizes_hw.items():
        beside.append(around.measured(size, size_hw, machine_of(device, settings.threads)))
        keep(around.cells(beside[-1]))
    ways = (Way.EAGER, Way.LOW) if device.torch_name == "cpu" else (Way.LOW, Way.EAGER, Way.COMPILED)
    for row in rows(device.torch_name, sizes_hw, ways, QUICK_STEPS if quick else Params().steps_next):
        found.append(row)
        keep(_cells(row, ceiling))
    print(page(found, ceiling, beside, _head(device)))
    if not quick:
        costs.keep(measured_costs(found, beside))


def _sizes(names: str) -> Sizes:
    chosen = names.split(",")
    if unknown := sorted(set(chosen) - set(SIZES_HW)):
        raise argparse.ArgumentTypeError(f"no size {', '.join(unknown)}; there are {', '.join(SIZES_HW)}")
    return {name: SIZES_HW[name] for name in chosen}


if __name__ == "__main__":
    main(sys.argv[1:])
