"""The page of the simulated farm: a two-hour film on 1 to 4,096 GPUs, what bends the curve, and what would lift it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import fields

from bench.bars import at_least, table, verdict_table
from bench.costs import Costs
from bench.pace import clock
from bench.simulation import FILM_FRAMES, LIFTS, Run, everything, film, lifted, simulate
from farm.contract.plan import Plan

COUNTS = tuple(2**power for power in range(13))
LIFTED = (256, 1024, 4096)
BAR_GPUS = 256


def page(costs: Costs, measured: Collection[str], say: Callable[[str], None], counts: Sequence[int] = COUNTS) -> str:
    """Simulate; the Markdown page. `measured`: names of the costs that are no assumptions."""
    plan, runs = film(), []
    for gpus in counts:
        runs.append(simulate(plan, costs, gpus))
        say(f"{gpus} GPUs: {clock(runs[-1].painted_s)}")
    bar = at_least(6, "efficiency", {f"{run.gpus} GPUs": run.efficiency(runs[0]) for run in runs
                                     if run.gpus == BAR_GPUS}, 0.9)  # fmt: skip
    return "\n".join([
        "# A film on many GPUs, simulated", "",
        f"{FILM_FRAMES:,} frames, {len(plan.shots):,} shots, {len(plan.chunks):,} chunks of 48 frames at most. "
        "`python -m bench simulation` writes this page; `bench/simulation.py` says what is modelled.", "",
        *verdict_table([bar]), "",
        *runs_table(runs), "",
        "Efficiency is one GPU's time over that of all GPUs together. Held up by: the longest part of the critical "
        "path besides the GPUs' own work, and its share of it. GPUs are held until the last task is done; the film is "
        f"there when its segments are encoded, as they become final, {costs.encoders} side by side, and joined.", "",
        "## What would lift it", "", "Efficiency with one thing changed:", "",
        *lifts_table(plan, costs, [gpus for gpus in LIFTED if gpus <= max(counts)], say), "",
        "## Costs", "", *costs_table(costs, measured), "",
    ])  # fmt: skip


def runs_table(runs: Sequence[Run]) -> list[str]:
    """One row a number of GPUs."""
    header = ("GPUs", "painted in", "efficiency", "GPU-hours", "held up by", "share", "film ready after")
    rows = [
        (
            f"{run.gpus:,}", clock(run.painted_s), f"{run.efficiency(runs[0]):.3f}", f"{run.gpu_hours:.1f}",
            run.bottleneck.value, f"{run.shares.get(run.bottleneck, 0.0) / run.painted_s:.0%}", clock(run.ready_s),
        )
        for run in runs
    ]  # fmt: skip
    return table(header, rows)


def lifts_table(plan: Plan, costs: Costs, counts: Sequence[int], say: Callable[[str], None]) -> list[str]:
    """One row a lift."""
    rows = []
    for name, changes in {"as it is": {}, **LIFTS, "all of these": everything()}.items():
        rows.append((name, *(f"{value:.3f}" for value in lifted(plan, costs, changes, counts))))
        say(f"{name}: {', '.join(rows[-1][1:])}")
    return table(("", *(f"{gpus:,} GPUs" for gpus in counts)), rows)


def costs_table(costs: Costs, measured: Collection[str]) -> list[str]:
    """Every cost, and whether it was measured."""
    rows = [
        (item.name, f"{getattr(costs, item.name):g}", "measured" if item.name in measured else "assumed")
        for item in fields(costs)
    ]
    return table(("cost", "value", ""), rows)
