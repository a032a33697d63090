"""`python -m bench overhead` and `scaling`: what the farm itself costs, on a private farm with real parts.

Overhead: a job whose painting takes no optimisation steps (`steps_next` 0, one step for first frames and anchors), with
everything else as it is: decoding, flow, PNG, PUT, leases, manifests. Painting and flow are the painter's and are taken
off by the spans in the tasks' manifests; a chunk's flow runs beside its painting, so only the longer of them is. Two
jobs, of short and of long chunks, tell a frame's part from a chunk's.
Scaling: a job painted as usual by one worker of one thread, and again by two.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from bench.bars import Bar, at_least, at_most, table, verdict_table
from bench.clips import BUNNY, cut
from bench.costs import FREE, Costs
from bench.jobs import ROOT, manifests_of, plan_of, settings_for
from bench.simulation import film, simulate
from farm.cli.demo import sample_clip
from farm.client import Farm, Job
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.messages import Manifest, Stage, TaskId, TaskMessage
from farm.contract.params import Params
from farm.contract.plan import Plan
from farm.contract.states import JobState, TaskState
from farm.coordinator.advance import Coordinator
from farm.ledger import JobRecord
from farm.stack import Stack, private_stack

NULL = Params(steps=1, steps_anchor=1, steps_next=0, steps_settle=0, pyramid=1)
"""As little painting as the parameters allow: no feature of its own, so nothing can be mistaken for a film."""
PAINTING = ("paint", "warp")
"""Spans of a chunk that are the painter's own."""
RENDER = (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)
SIZE_PX, FRAMES, SHORT, LONG = 320, 96, 6, 48
SCALING_CLIP, SCALING_SIZE_PX, SCALING_CHUNK = "bikes.mp4", 192, 16
JOB_LIMIT_S = 1800.0
LOOKS = (100, 3_000)
"""Frames of the plans, in chunks of 2, on which a look of the coordinator is timed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds the farm takes besides painting."""

    frame_s: float
    chunk_s: float  # inside a task, whatever its frames, and from one task of a worker to the next
    between_s: float  # of which the latter
    first_s: float  # from the submit to the first anchor's manifest
    spans_ms: dict[str, float] = field(default_factory=dict)  # of a frame of a long chunk

    def bars(self) -> list[Bar]:
        """What is asked of it."""
        return [
            at_most(4, "farm overhead, ms a frame", {f"{SIZE_PX} px": 1000 * self.frame_s}, 12),
            at_most(4, "farm overhead, ms a chunk", {f"{SIZE_PX} px": 1000 * self.chunk_s}, 150),
            at_most(4, "submit to first frame, s", {f"{SIZE_PX} px": self.first_s}, 3),
        ]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Seconds of one job on one worker and on two, and the speed-up the simulation gives them."""

    chunks: int
    painting_s: tuple[float, float]
    whole_s: tuple[float, float]
    simulated: float

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


def fitted(samples: Collection[tuple[int, float]]) -> tuple[float, float]:
    """Seconds a frame and seconds a task, of `(frames, seconds)` of tasks, by least squares."""
    frames, seconds = np.array(sorted(samples), np.float64).T
    frame_s, task_s = np.linalg.lstsq(np.stack([frames, np.ones_like(frames)], axis=1), seconds, rcond=None)[0]
    return float(frame_s), float(task_s)


def besides_painting_s(manifest: Manifest) -> float:
    """A chunk's time without what a farm that costs nothing would take: its painting, or its flow if that is longer."""
    painting_s = sum(manifest.timings_s.get(name, 0.0) for name in PAINTING)
    return _took_s(manifest) - max(painting_s, manifest.timings_s.get("flow", 0.0))


def between_s(manifests: Sequence[Manifest]) -> float:
    """From the end of a chunk to the beginning of the next of the same worker, in the median: nobody waits for work
    while chunks are left."""
    chunks = sorted((item for item in manifests if item.stage is Stage.STYLIZE), key=lambda item: item.started_s)
    by_worker: dict[str, list[Manifest]] = {}
    for item in chunks:
        by_worker.setdefault(item.worker, []).append(item)
    gaps = [later.started_s - one.finished_s for items in by_worker.values() for one, later in pairwise(items)]
    return median(gaps) if gaps else 0.0


def painting_s(manifests: Sequence[Manifest]) -> float:
    """From the beginning of the first anchor to the end of the last task before assembly."""
    rendered = [item for item in manifests if item.stage in RENDER]
    return max(item.finished_s for item in rendered) - min(item.started_s for item in rendered)


def measure_overhead(say: Say, frames: int = FRAMES) -> Overhead:
    """Paint nothing, twice."""
    with _farm(threads=1) as farm, tempfile.TemporaryDirectory() as folder:
        clip = cut(BUNNY, range(frames), Path(folder))
        _painted(farm, clip, SIZE_PX, LONG, NULL)  # weights, targets, caches
        jobs, first_s = [], []
        for chunk_frames in (SHORT, LONG):
            began_s = time.time()
            jobs.append(_painted(farm, clip, SIZE_PX, chunk_frames, NULL))
            anchor = next(item for item in manifests_of(jobs[-1]) if item.stage is Stage.ANCHOR)
            first_s.append(anchor.finished_s - began_s)
            say(f"null painter, chunks of {chunk_frames}: {time.time() - began_s:.1f} s, first {first_s[-1]:.2f} s")
        short, long = (_chunks(job) for job in jobs)
    samples = [(len(item.frames), besides_painting_s(item)) for item in (*short, *long)]
    frame_s, task_s = fitted(samples)
    gap_s, count = between_s(short), sum(len(item.frames) for item in long)
    spans = {name for item in long for name in item.timings_s}
    each = {name: 1000 * sum(item.timings_s.get(name, 0.0) for item in long) / count for name in sorted(spans)}
    return Overhead(frame_s, task_s + gap_s, gap_s, min(first_s), each)


def measure_scaling(say: Say, size_px: int = SCALING_SIZE_PX, params: Params | None = None) -> Scaling:
    """One job on one worker, and on two."""
    clip, params = sample_clip(SCALING_CLIP), params or Params()
    painting, whole, manifests = [], [], []
    with _farm(threads=1) as farm, tempfile.TemporaryDirectory() as folder:
        warm_up = cut(BUNNY, range(8), Path(folder))
        for workers in (1, 2):
            Stack(farm.settings.home, settings_for(farm.settings.home, workers)).up(workers=workers, flower=False)
            _painted(farm, warm_up, size_px, 2, replace(NULL, backbone=params.backbone))
            began_s = time.monotonic()
            job = _painted(farm, clip, size_px, SCALING_CHUNK, params)
            whole.append(time.monotonic() - began_s)
            manifests.append(manifests_of(job))
            painting.append(painting_s(manifests[-1]))
            say(f"{workers} worker(s): {painting[-1]:.1f} s of painting, {whole[-1]:.1f} s in all")
        plan = plan_of(job)
    simulated = simulated_speedup(plan, manifests[0])
    return Scaling(len(plan.chunks), (painting[0], painting[1]), (whole[0], whole[1]), simulated)


def simulated_speedup(plan: Plan, manifests: Sequence[Manifest]) -> float:
    """What the simulation makes of two workers, told one worker's times: the check of the one by the other."""
    alone, two = (simulate(plan, costs_of(plan, manifests), workers) for workers in (1, 2))
    return alone.painted_s / two.painted_s


def costs_of(plan: Plan, manifests: Sequence[Manifest]) -> Costs:
    """One worker's times as costs, the mean of each kind of task; flows of anchors and approaches are in them."""
    shot_starts = {shot.start for shot in plan.shots}
    firsts = [_took_s(item) for item in manifests if item.stage is Stage.ANCHOR and item.start in shot_starts]
    carried = [_took_s(item) for item in manifests if item.stage is Stage.ANCHOR and item.start not in shot_starts]
    chunks = [item for item in manifests if item.stage is Stage.STYLIZE]
    blends = [item for item in manifests if item.stage is Stage.BLEND]
    followers = sum(len(item.frames) - 1 for item in chunks)
    blended = sum(len(item.frames) for item in blends)
    return replace(
        FREE,
        first_s=_mean(firsts),
        anchor_s=_mean(carried),
        frame_s=sum(map(_took_s, chunks)) / max(1, followers),
        settle_frame_s=sum(map(_took_s, blends)) / max(1, blended),
        task_s=max(0.0, between_s(manifests)),
    )


def measure_looks(say: Say) -> dict[str, float]:
    """Seconds of the coordinator's look at what needs a task that ended, and, for each task, of one at a whole job.

    With real Redis and store, but without Celery's messages.
    """
    samples, ends = [], []
    with _farm(threads=1, parts=("redis", "store")) as farm:
        for frames in LOOKS:
            job, plan = f"look-{frames:010x}", film(frames, chunk_frames=2)
            farm.store.put_once(keys.plan(job), to_json(plan), "application/json")
            farm.ledger.create_job(JobRecord(job, JobState.RENDERING))
            queue: list[TaskMessage] = []
            publish = lambda message, _, queue=queue: queue.append(message)  # noqa: E731
            coordinator = Coordinator(farm.settings, farm.store, farm.ledger, publish, lambda _: ())
            coordinator.advance(job)  # reads the plan, queues what can be queued
            tasks = 2 * len(plan.chunks) + len(plan.boundaries)
            samples.append((tasks, median(_look_s(coordinator, job) for _ in range(5))))
            ended_s = []
            for _ in range(20):
                message = queue.pop(0)
                lease = farm.ledger.claim(message, "bench", 60)
                assert lease is not None
                farm.ledger.settle(lease, TaskState.SUCCEEDED)
                ended_s.append(_look_s(coordinator, job, message.task))
            ends.append(median(ended_s))
            say(f"of {tasks} tasks: one look at all {1000 * samples[-1][1]:.1f} ms, after one {1000 * ends[-1]:.1f} ms")
    return {"advance_s": max(ends), "advance_task_s": max(0.0, fitted(samples)[0])}


def _look_s(coordinator: Coordinator, job: str, ended: TaskId | None = None) -> float:
    began_s = time.perf_counter()
    coordinator.advance(job, ended)
    return time.perf_counter() - began_s


def overhead_page(found: Overhead, looks: dict[str, float], head: str) -> str:
    """The Markdown page."""
    spans = [(name, f"{value:.2f}") for name, value in found.spans_ms.items()]
    return "\n".join([
        "# What the farm costs", "",
        f"{head} `python -m bench overhead` writes this page. A farm of one worker with one thread "
        f"paints {FRAMES} frames at {SIZE_PX} px without optimisation steps, in chunks of {SHORT} and of {LONG}; the "
        f"painter's own spans ({', '.join(PAINTING)}) are taken off, or the flow beside them if it is longer.", "",
        *verdict_table(found.bars()), "",
        f"- A frame: {1000 * found.frame_s:.1f} ms. A chunk: {1000 * found.chunk_s:.0f} ms, of which "
        f"{1000 * found.between_s:.0f} ms from one task to the next.",
        f"- A look of the coordinator at what a task's end lets begin: {1000 * looks['advance_s']:.1f} ms. One at a "
        f"whole job: {1e6 * looks['advance_task_s']:.0f} µs for each of its tasks.", "",
        f"Spans of a frame in chunks of {LONG}, ms; those of threads beside the painter overlap its own:", "",
        *table(("span", "ms"), spans), "",
    ])  # fmt: skip


def scaling_page(found: Scaling, head: str) -> str:
    """The Markdown page."""
    rows = [
        ("painting", *(f"{each:.1f}" for each in found.painting_s), f"{found.painting:.2f} ×"),
        ("whole job", *(f"{each:.1f}" for each in found.whole_s), f"{found.whole:.2f} ×"),
    ]
    return "\n".join([
        "# One worker and two", "",
        f"{head} `python -m bench scaling` writes this page. {SCALING_CLIP} at {SCALING_SIZE_PX} px in {found.chunks} "
        "chunks, workers of one thread each.", "",
        *verdict_table(found.bars()), "",
        *table(("", "one, s", "two, s", "speed-up"), rows), "",
        f"The simulation, told one worker's times, gives two of them {found.simulated:.2f} × for the painting.", "",
    ])  # fmt: skip


@contextmanager
def _farm(threads: int, **options: Sequence[str]) -> Iterator[Farm]:
    (ROOT / "out").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "out") as folder:
        home = Path(folder)
        with private_stack(home, settings=settings_for(home, threads), workers=1, **options) as info:
            yield Farm.from_settings(info.settings)


def _painted(farm: Farm, clip: Path, size_px: int, chunk_frames: int, params: Params) -> Job:
    job = farm.submit(clip, "swirl", size_px=size_px, chunk_frames=chunk_frames, params=params, again=True)
    job.wait(timeout_s=JOB_LIMIT_S)
    return job


def _chunks(job: Job) -> list[Manifest]:
    return [item for item in manifests_of(job) if item.stage is Stage.STYLIZE]


def _took_s(manifest: Manifest) -> float:
    return manifest.finished_s - manifest.started_s


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
