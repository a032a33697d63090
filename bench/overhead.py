"""`python -m bench overhead`: what the farm itself costs, on a private farm with real parts.

A job whose painting takes no optimisation steps (`steps_next` 0, one step for first frames and anchors), with
everything else as it is: decoding, flow, PNG, PUT, leases, manifests. Painting and flow are the painter's and are taken
off by the spans in the tasks' manifests; a chunk's flow runs beside its painting, so only the longer of them is. Two
jobs, of short and of long chunks, tell a frame's part from a chunk's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median

import numpy as np

from bench.bars import Bar, at_most, table, verdict_table
from bench.clips import BUNNY, X264_GOP, cut
from bench.jobs import manifests_of
from bench.simulation import film
from bench.trial import NULL, PAINTING, chunks_of, painted, painting_s, spans_ms, took_s, trial_farm
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.messages import Manifest, Stage, TaskId, TaskMessage
from farm.contract.states import JobState, TaskState
from farm.coordinator.advance import Coordinator
from farm.ledger import JobRecord
from worker.engine.approach import APPROACH_FRAMES

RENDER = (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)
"""Stages of a worker's tasks."""
SIZE_PX, FRAMES, SHORT, LONG, GOP = 320, 96, 6, 48, 6
LOOKS = (100, 3_000)
"""Frames of the plans, in chunks of 2, on which a look of the coordinator is timed."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Overhead:
    """Seconds the farm takes besides painting."""

    frame_s: float
    chunk_s: float  # inside a task, whatever its frames, and from one task of a worker to the next
    seeking_s: float  # that and what a chunk's way from the last key frame takes, where these are `X264_GOP` apart
    between_s: float  # of which from one task to the next
    first_s: float  # from the submit to the first anchor's manifest
    spans_ms: dict[str, float] = field(default_factory=dict)  # of a frame of a long chunk

    def bars(self) -> list[Bar]:
        """What is asked of it."""
        return [
            at_most(4, "farm overhead, ms a frame", {f"{SIZE_PX} px": 1000 * self.frame_s}, 12),
            at_most(4, "farm overhead, ms a chunk", self._chunk_ms(), 150),
            at_most(4, "submit to first frame, s", {f"{SIZE_PX} px": self.first_s}, 3),
        ]

    def _chunk_ms(self) -> dict[str, float]:
        return {f"key frames {GOP} apart": 1000 * self.chunk_s, f"key frames {X264_GOP} apart": 1000 * self.seeking_s}


def fitted(samples: Collection[tuple[int, float]]) -> tuple[float, float]:
    """Seconds a frame and seconds a task, of `(frames, seconds)` of tasks, by least squares."""
    frames, seconds = np.array(sorted(samples), np.float64).T
    frame_s, task_s = np.linalg.lstsq(np.stack([frames, np.ones_like(frames)], axis=1), seconds, rcond=None)[0]
    return float(frame_s), float(task_s)


def besides_painting_s(manifest: Manifest) -> float:
    """A chunk's time without what a farm that costs nothing would take: its painting, or its flow if that is longer.

    A chunk so short that all of it nears the next anchor can't begin before the way there is known.
    """
    spans = manifest.timings_s
    way_s = spans.get("approach", 0.0) if len(manifest.frames) <= APPROACH_FRAMES else 0.0
    return took_s(manifest) - max(painting_s(manifest) + way_s, spans.get("flow", 0.0))


def between_s(manifests: Sequence[Manifest]) -> float:
    """From the end of a task to the beginning of the next of the same worker, in the median: nobody waits for work
    while chunks are left."""
    tasks = sorted((item for item in manifests if item.stage in RENDER), key=lambda item: item.started_s)
    last_chunk_s = max((item.started_s for item in tasks if item.stage is Stage.STYLIZE), default=0.0)
    by_worker: dict[str, list[Manifest]] = {}
    for item in tasks:
        if item.started_s > last_chunk_s:
            break
        by_worker.setdefault(item.worker, []).append(item)
    gaps = [later.started_s - one.finished_s for items in by_worker.values() for one, later in pairwise(items)]
    return median(gaps) if gaps else 0.0


def measure(say: Say, frames: int = FRAMES) -> Overhead:
    """Paint nothing, twice."""
    with trial_farm(threads=1) as farm, tempfile.TemporaryDirectory() as folder:
        clip, seeking = (cut(BUNNY, range(frames), Path(folder), gop=gop) for gop in (GOP, X264_GOP))
        painted(farm, clip, SIZE_PX, LONG, NULL)  # weights, targets, caches
        jobs, first_s = [], []
        for chunk_frames in (SHORT, LONG):
            began_s = time.time()
            jobs.append(painted(farm, clip, SIZE_PX, chunk_frames, NULL))
            anchor = next(item for item in manifests_of(jobs[-1]) if item.stage is Stage.ANCHOR)
            first_s.append(anchor.finished_s - began_s)
            say(f"null painter, chunks of {chunk_frames}: {time.time() - began_s:.1f} s, first {first_s[-1]:.2f} s")
        jobs.append(painted(farm, seeking, SIZE_PX, SHORT, NULL))
        short, long, far = (chunks_of(job) for job in jobs)
        gap_s = between_s(manifests_of(jobs[0]))
    samples = [(len(item.frames), besides_painting_s(item)) for item in (*short, *long)]
    frame_s, task_s = fitted(samples)
    seek_s = fmean(map(besides_painting_s, far)) - fmean(map(besides_painting_s, short))
    chunk_s = task_s + gap_s
    return Overhead(frame_s, chunk_s, chunk_s + seek_s, gap_s, min(first_s), spans_ms(long))


def measure_looks(say: Say) -> dict[str, float]:
    """Seconds of the coordinator's look at what needs a task that ended, and, for each task, of one at a whole job.

    With real Redis and store, but without Celery's messages.
    """
    samples, ends = [], []
    with trial_farm(threads=1, parts=("redis", "store")) as farm:
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


def page(found: Overhead, looks: dict[str, float], head: str) -> str:
    """The Markdown page."""
    spans = [(name, f"{value:.2f}") for name, value in found.spans_ms.items()]
    return "\n".join([
        "# What the farm costs", "",
        f"{head} `python -m bench overhead` writes this page. A farm of one worker with one thread "
        f"paints {FRAMES} frames at {SIZE_PX} px without optimisation steps, in chunks of {SHORT} and of {LONG}; the "
        f"painter's own spans ({', '.join(PAINTING)}) are taken off, or the flow beside them if it is longer.", "",
        *verdict_table(found.bars()), "",
        f"- A frame: {1000 * found.frame_s:.1f} ms. A chunk: {1000 * found.chunk_s:.0f} ms, of which "
        f"{1000 * found.between_s:.0f} ms from one task to the next; {1000 * found.seeking_s:.0f} ms where the clip's "
        f"key frames are {X264_GOP} apart, as x264 sets them, since a chunk is decoded from the one before it.",
        f"- A look of the coordinator at what a task's end lets begin: {1000 * looks['advance_s']:.1f} ms. One at a "
        f"whole job: {1e6 * looks['advance_task_s']:.0f} µs for each of its tasks.", "",
        f"Spans of a frame in chunks of {LONG}, ms; those of threads beside the painter overlap its own:", "",
        *table(("span", "ms"), spans), "",
    ])  # fmt: skip
