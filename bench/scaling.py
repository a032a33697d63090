"""`python -m bench scaling`: a job painted as usual by one worker of one thread, and again by two.

Beside it what two painters without a farm do on this machine, which is the most that two workers can.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean

from bench import alone
from bench.bars import Bar, at_least, table, verdict_table
from bench.clips import BUNNY, cut
from bench.costs import FREE, Costs
from bench.jobs import manifests_of, plan_of, settings_for
from bench.overhead import RENDER, between_s
from bench.simulation import simulate
from bench.trial import NULL, painted, took_s, trial_farm
from farm.cli.demo import sample_clip
from farm.contract.messages import Manifest, Stage
from farm.contract.params import Params
from farm.contract.plan import Plan
from farm.stack import Stack

CLIP, SIZE_PX, CHUNK = "bikes.mp4", 192, 16
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Scaling:
    """Seconds of one job on one worker and on two, what the simulation makes of two, and what the machine allows."""

    chunks: int
    painting_s: tuple[float, float]
    whole_s: tuple[float, float]
    simulated: float
    alone: float  # steps a second of two painters without a farm, over those of one

    @property
    def painting(self) -> float:
        """Speed-up of the painting."""
        return self.painting_s[0] / self.painting_s[1]

    @property
    def whole(self) -> float:
        """Speed-up of the job."""
        return self.whole_s[0] / self.whole_s[1]

    def bars(self) -> list[Bar]:
        """What is asked of it."""
        where = f"{self.chunks} chunks"
        return [
            at_least(5, "two workers over one, painting", {where: self.painting}, 1.85),
            at_least(5, "two workers over one, whole job", {where: self.whole}, 1.7),
        ]


def painting_time_s(manifests: Sequence[Manifest]) -> float:
    """From the beginning of the first anchor to the end of the last task before assembly."""
    rendered = [item for item in manifests if item.stage in RENDER]
    return max(item.finished_s for item in rendered) - min(item.started_s for item in rendered)


def measure(
    say: Callable[[str], None], *, size_px: int = SIZE_PX, params: Params | None = None, alone_s: float = alone.SECONDS
) -> Scaling:
    """One job on one worker, and on two."""
    clip, params = sample_clip(CLIP), params or Params()
    painting, whole, manifests = [], [], []
    with trial_farm(threads=1) as farm, tempfile.TemporaryDirectory() as folder:
        warm_up = cut(BUNNY, range(8), Path(folder))
        for workers in (1, 2):
            Stack(farm.settings.home, settings_for(farm.settings.home, workers)).up(workers=workers, flower=False)
            painted(farm, warm_up, size_px, 2, replace(NULL, backbone=params.backbone))
            began_s = time.monotonic()
            job = painted(farm, clip, size_px, CHUNK, params)
            whole.append(time.monotonic() - began_s)
            manifests.append(manifests_of(job))
            painting.append(painting_time_s(manifests[-1]))
            say(f"{workers} worker(s): {painting[-1]:.1f} s of painting, {whole[-1]:.1f} s in all")
        plan = plan_of(job)
    simulated, limit = simulated_speedup(plan, manifests[0]), alone.speed_ratio(WORKERS, alone_s)
    say(f"two painters without a farm: {limit:.2f} × one")
    return Scaling(len(plan.chunks), (painting[0], painting[1]), (whole[0], whole[1]), simulated, limit)


def simulated_speedup(plan: Plan, manifests: Sequence[Manifest]) -> float:
    """What the simulation makes of two workers, told one worker's times: the check of the one by the other."""
    alone, two = (simulate(plan, costs_of(plan, manifests), workers) for workers in (1, 2))
    return alone.painted_s / two.painted_s


def costs_of(plan: Plan, manifests: Sequence[Manifest]) -> Costs:
    """One worker's times as costs, the mean of each kind of task; flows of anchors and approaches are in them."""
    shot_starts = {shot.start for shot in plan.shots}
    firsts = [took_s(item) for item in manifests if item.stage is Stage.ANCHOR and item.start in shot_starts]
    carried = [took_s(item) for item in manifests if item.stage is Stage.ANCHOR and item.start not in shot_starts]
    chunks = [item for item in manifests if item.stage is Stage.STYLIZE]
    blends = [item for item in manifests if item.stage is Stage.BLEND]
    followers = sum(len(item.frames) - 1 for item in chunks)
    blended = sum(len(item.frames) for item in blends)
    return replace(
        FREE,
        first_s=_mean_s(firsts),
        anchor_s=_mean_s(carried),
        frame_s=sum(map(took_s, chunks)) / max(1, followers),
        settle_frame_s=sum(map(took_s, blends)) / max(1, blended),
        task_s=max(0.0, between_s(manifests)),
    )


def page(found: Scaling, head: str) -> str:
    """The Markdown page."""
    rows = [
        ("painting", *(f"{each:.1f}" for each in found.painting_s), f"{found.painting:.2f} ×"),
        ("whole job", *(f"{each:.1f}" for each in found.whole_s), f"{found.whole:.2f} ×"),
    ]
    return "\n".join([
        "# One worker and two", "",
        f"{head} `python -m bench scaling` writes this page. {CLIP} at {SIZE_PX} px in {found.chunks} "
        "chunks, workers of one thread each.", "",
        *verdict_table(found.bars()), "",
        *table(("", "one, s", "two, s", "speed-up"), rows), "",
        f"Two painters of one thread, without any farm, take {found.alone:.2f} × the steps of one on this machine: "
        f"the most there is to gain; the farm's painting gains {found.painting / found.alone:.2f} of that. The "
        f"simulation, whose GPUs share nothing, makes {found.simulated:.2f} × of one worker's times.", "",
    ])  # fmt: skip


def _mean_s(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0
