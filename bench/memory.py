"""`python -m bench memory`: the memory a step takes whole and in tiles, and how far the gradient is from the whole's.

Each row is a process of its own, so that its peak is nobody else's; `python -m bench.memory ROW…` is such a process.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from bench.bars import Bar, at_most, table, verdict_table
from bench.step import network_of, scene
from farm import styles
from farm.contract.params import Backbone, Params
from farm.settings import Settings
from worker.device import low_backbones
from worker.engine.losses import framed_size
from worker.engine.memory import Memory, always_bytes, planned_bytes
from worker.engine.objective import Objective
from worker.engine.pixels import image_from_frame, tensor_from_image
from worker.engine.style import StyleTargets
from worker.heap import hand_back, keep_freed

SIZE_HW = (540, 960)
SEEN_HW = framed_size(torch.empty((1, 3, *SIZE_HW)))
SHARES = (1.0, 0.5, 0.25)
"""Of what a step takes on the whole picture beside what it always does; 1 is no limit."""
ROW_LIMIT_S = 600.0
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One step of one backbone under one limit."""

    backbone: Backbone
    bfloat16: bool  # as a worker has it where the CPU has units for that
    limit_bytes: int  # 0: none
    tiles: str  # `whole`, or the longest side of a tile and the last stage that sees tiles
    planned_bytes: int
    peak_bytes: int
    step_s: float
    gradient: npt.NDArray[np.float32]

    @property
    def name(self) -> str:
        """Of the network."""
        return f"{self.backbone}, bfloat16" if self.bfloat16 else f"{self.backbone}"


def rows(say: Callable[[str], None]) -> list[list[Row]]:
    """For each network the whole picture, then with less and less memory."""
    found, low = [], low_backbones("cpu")
    networks = [(item, False) for item in Backbone] + [(item, True) for item in Backbone if item in low]
    for backbone, bfloat16 in networks:
        with network_of(backbone, "cpu", bfloat16=bfloat16) as network:
            always, whole = always_bytes(network, SEEN_HW), planned_bytes(network, SEEN_HW, None)
        limits = [0 if share == 1 else int(always + share * (whole - always)) for share in SHARES]
        found.append([_measured(backbone, bfloat16, limit) for limit in limits])
        for row in found[-1]:
            say(", ".join(_cells(row, found[-1][0])))
    return found


def page(found: Sequence[Sequence[Row]], head: str) -> str:
    """The Markdown page."""
    sizes = ("limit, MiB", "tiles", "planned, MiB", "peak, MiB")
    header = ("backbone", *sizes, "step over the whole's", "gradient's difference")
    lines = [_cells(row, group[0]) for group in found for row in group]
    height, width = SIZE_HW
    return "\n".join([
        "# Memory", "", f"{head} One step at {width}×{height}; `python -m bench memory` writes this page.", "",
        *verdict_table(bars(found)), "", *table(header, lines), "",
        "Tiles: their longest side, and the last stage of the network that sees them; those behind it see the whole.",
        "Planned: what `worker/engine/memory.py` counts on for that; a limit that the smallest can't keep is",
        "exceeded, with a warning. Peak: what the process held at its most over what it held with the network loaded:",
        "what is made once, targets and transformed kernels, is in it. A step's time is that of a second, without it.",
        "Difference: the largest of any pixel's gradient, over the largest gradient of the whole.", "",
    ])  # fmt: skip


def bars(found: Sequence[Sequence[Row]]) -> list[Bar]:
    """What is asked."""
    limited = [(row, group[0]) for group in found for row in group[1:]]
    apart = {f"{row.name}, {row.tiles}": _difference(row, whole) for row, whole in limited if not row.bfloat16}
    planned = {f"{row.name}, {row.tiles}": row.peak_bytes / row.planned_bytes for group in found for row in group}
    kept = {
        f"{row.name}, {row.tiles}": row.peak_bytes / row.limit_bytes
        for row, _ in limited
        if row.planned_bytes <= row.limit_bytes
    }
    scaled = {name: 1e4 * value for name, value in apart.items()}
    return [
        at_most(7, "gradient in tiles over the whole's, ten-thousandths, float32", scaled, 1.0),
        at_most(7, "peak memory over its plan", planned, 1.0),
        at_most(7, "peak memory over a limit that tiles can keep", kept, 1.0),
    ]


def _measured(backbone: Backbone, bfloat16: bool, limit_bytes: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gradient.npy"
        command = [sys.executable, "-m", "bench.memory", backbone, str(int(bfloat16)), str(limit_bytes), str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=ROW_LIMIT_S, check=True)
        told = json.loads(done.stdout)
        return Row(backbone, bfloat16, limit_bytes, **told, gradient=np.load(file))


def _one(backbone: Backbone, bfloat16: bool, limit_bytes: int, file: Path) -> None:
    keep_freed()  # as workers do
    params = Params(backbone=backbone)
    content = tensor_from_image(image_from_frame(scene(SIZE_HW)), "cpu")
    image = content.flip(3).contiguous().requires_grad_()
    memory = Memory(limit_bytes or None)
    with network_of(backbone, "cpu", bfloat16=bfloat16) as network:
        before = _forgotten_peak_bytes()
        style = image_from_frame(styles.paint("swirl", 96, 72))
        targets = StyleTargets(network, [(style, 1.0)], device="cpu").at((72, 96))
        objective = Objective(network, params, style_grams=targets, content_bchw=content, memory=memory)
        objective.descend(image)
        peak_bytes, began_s = _held_bytes("VmHWM") - before, time.perf_counter()
        objective.descend(image)  # once more, without what is made once
        step_s, tiling = time.perf_counter() - began_s, memory.tiling(network, SEEN_HW)
        planned = int(planned_bytes(network, SEEN_HW, tiling))
        tiles = "whole" if tiling is None else f"{tiling.tile_px} px to {network.names[tiling.stages - 1]}"
    assert image.grad is not None
    np.save(file, image.grad.numpy())
    told = {"tiles": tiles, "planned_bytes": planned, "peak_bytes": peak_bytes, "step_s": step_s}
    print(json.dumps(told))


def _forgotten_peak_bytes() -> int:
    """What this process holds; from here on the most it holds is counted anew."""
    hand_back()
    Path("/proc/self/clear_refs").write_text("5")
    return _held_bytes("VmRSS")


def _held_bytes(what: str) -> int:
    """Of this process, as Linux calls it: VmRSS, now, or VmHWM, the most."""
    found = re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return 1024 * int(found[1])


def _difference(row: Row, whole: Row) -> float:
    return float(np.abs(row.gradient - whole.gradient).max() / np.abs(whole.gradient).max())


def _cells(row: Row, whole: Row) -> tuple[str, ...]:
    limited = row is not whole
    return (
        row.name,
        f"{row.limit_bytes / MIB:.0f}" if limited else "none",
        row.tiles,
        f"{row.planned_bytes / MIB:.0f}",
        f"{row.peak_bytes / MIB:.0f}",
        f"{row.step_s / whole.step_s:.2f}" if limited else "1",
        f"{_difference(row, whole):.1e}" if limited else "0",
    )


if __name__ == "__main__":
    torch.set_num_threads(Settings.load().threads)
    _one(Backbone(sys.argv[1]), bool(int(sys.argv[2])), int(sys.argv[3]), Path(sys.argv[4]))
