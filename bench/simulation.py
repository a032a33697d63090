"""A discrete-event simulation of the farm: a film on any number of GPUs, without having them.

The tasks, and what each needs, are the coordinator's own: `paint_tasks` and `segment_tasks` on a `make_plan`. What is
modelled is how long things take and what must queue: coordinators looking at the job, Redis' one thread, each machine's
line and the store's, GPUs. Transfers of painted frames run beside the painting. SimPy keeps the clock.
Differs from the farm: no faults, no sweep, one job, workers that are all there from the first second.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import simpy

from bench.costs import Costs
from bench.critical import Part, Trace, bottleneck, shares
from bench.line import SharedLine
from farm.broker import GO_LATER
from farm.contract.messages import Stage, TaskId
from farm.contract.plan import Plan
from farm.coordinator.graph import paint_tasks, segment_tasks
from farm.plan import make_plan
from farm.segments import segments

FILM_FRAMES = 172_800
"""Two hours at 24 frames a second."""
FILM_FPS = 24
SHOT_MEDIAN_S, SHOT_SIGMA, SHOT_LEAST_FRAMES = 4.0, 0.8, 12
"""Shots' lengths are about lognormal, with a median of some seconds (Cutting et al. 2010, *Attention and the Evolution
of Hollywood Film*)."""

Steps = Generator[simpy.Event, Any, None]


@dataclass(frozen=True)
class Run:
    """One simulated film."""

    gpus: int
    plan: Plan
    costs: Costs
    traces: dict[TaskId, Trace]

    @cached_property
    def painted_s(self) -> float:
        """When the last task was done: so long the GPUs are held."""
        return max(trace.finished_s for trace in self.traces.values())

    @cached_property
    def ready_s(self) -> float:
        """When the film was assembled."""
        return assembled_s(segment_finals(self.plan, self.traces), self.costs)

    @cached_property
    def work_s(self) -> float:
        """GPU seconds of all tasks, as planned."""
        return sum(trace.work_s for trace in self.traces.values())

    @property
    def gpu_hours(self) -> float:
        """GPU hours that were paid for."""
        return self.gpus * self.painted_s / 3600

    @cached_property
    def shares(self) -> dict[Part, float]:
        """The critical path, seconds by part."""
        return shares(self.traces)

    @property
    def bottleneck(self) -> Part:
        """The part the end of painting waited for longest."""
        return bottleneck(self.shares)

    def efficiency(self, alone: Run) -> float:
        """Speed-up of the painting over one GPU's, a GPU."""
        return alone.painted_s / (self.gpus * self.painted_s)


def film(
    frames: int = FILM_FRAMES, chunk_frames: int = 48, blend_frames: int = 6, seed: int = 0, **options: Any
) -> Plan:
    """The plan of a film with cuts at random, always the same for a seed."""
    rng, cuts, at = np.random.default_rng(seed), [], 0
    while at < frames:
        at += max(SHOT_LEAST_FRAMES, round(FILM_FPS * SHOT_MEDIAN_S * math.exp(SHOT_SIGMA * rng.standard_normal())))
        cuts.append(at)
    return make_plan(frames, (1920, 1080), cuts, chunk_frames, blend_frames, "0" * 64, **options)


def task_work_s(plan: Plan, costs: Costs) -> dict[TaskId, float]:
    """Seconds each task takes on a GPU, as planned."""
    chunks = {chunk.start: chunk for chunk in plan.chunks}
    before = {chunk.stop: chunk for chunk in plan.chunks}
    work: dict[TaskId, float] = {}
    for start, chunk in chunks.items():
        earlier, later = before.get(start), chunks.get(chunk.stop)
        linked = plan.linked and earlier is not None and earlier.shot == chunk.shot
        approached = plan.linked and later is not None and later.shot == chunk.shot
        carry_s = costs.carry_frame_s * len(earlier.frames) if earlier is not None else 0.0
        work[TaskId(Stage.ANCHOR, start)] = costs.anchor_s + carry_s if linked else costs.first_s
        follow = len(chunk.frames) - 1  # its first frame is its anchor
        approach = min(costs.approach_frames, follow) if approached else 0
        depart_s = costs.departure_s if linked and follow else 0.0
        work[TaskId(Stage.STYLIZE, start)] = follow * costs.frame_s + approach * costs.carry_frame_s + depart_s
    for boundary in plan.boundaries:
        work[TaskId(Stage.BLEND, boundary.start)] = len(boundary.frames) * costs.settle_frame_s
    return work


def task_frames(plan: Plan) -> dict[TaskId, int]:
    """Frames each task stores."""
    frames = {TaskId(Stage.ANCHOR, chunk.start): 1 for chunk in plan.chunks}
    frames |= {TaskId(Stage.STYLIZE, chunk.start): len(chunk.frames) for chunk in plan.chunks}
    return frames | {TaskId(Stage.BLEND, boundary.start): len(boundary.frames) for boundary in plan.boundaries}


def simulate(plan: Plan, costs: Costs, gpus: int, seed: int = 0) -> Run:
    """The film on so many GPUs. A task's luck depends on the seed and the task alone, not on the number of GPUs."""
    return _Farm(plan, costs, gpus, seed).run()


def segment_finals(plan: Plan, traces: dict[TaskId, Trace]) -> list[tuple[int, float]]:
    """Frames of each segment, and when all of them are final."""
    needs = segment_tasks(plan).values()
    ends_s = (max(traces[task].finished_s for task in needed) for needed in needs)
    return [(len(segment), end_s) for segment, end_s in zip(segments(plan), ends_s, strict=True)]


def assembled_s(finals: Sequence[tuple[int, float]], costs: Costs) -> float:
    """When the film is there, of `finals`: each segment's frames, and when they are final.

    Segments are encoded as they become final, so many side by side, and no faster than a line brings frames; then all
    are joined.
    """
    frame_s = max(costs.encode_frame_s, costs.frame_bytes / costs.worker_bytes_s)
    lanes = [0.0] * costs.encoders
    for frames, final_s in sorted(finals, key=lambda item: item[1]):
        heapq.heapreplace(lanes, max(lanes[0], final_s) + frames * frame_s)
    return max(lanes) + sum(frames for frames, _ in finals) * costs.join_frame_s


class _Farm:
    def __init__(self, plan: Plan, costs: Costs, gpus: int, seed: int) -> None:
        self._plan, self._costs, self._gpus = plan, costs, gpus
        self._env = simpy.Environment()
        self._redis = simpy.Resource(self._env, capacity=1)
        self._store = SharedLine(self._env, costs.worker_bytes_s, costs.store_bytes_s)
        self._looks = simpy.Store(self._env)  # asks for an advance: how many tasks are looked at
        self._queue = simpy.PriorityStore(self._env)  # task messages
        self._sources: dict[int, simpy.Event] = {}  # by machine: the clip's arrival
        self._done = self._env.event()
        needs = paint_tasks(plan)
        work_s = task_work_s(plan, costs)
        self._frames = task_frames(plan)
        self._traces = {task: Trace(needed, work_s=work_s[task]) for task, needed in needs.items()}
        self._after: dict[TaskId, list[TaskId]] = {task: [] for task in needs}
        for task, needed in needs.items():
            for other in needed:
                self._after[other].append(task)
        self._missing = {task: len(needed) for task, needed in needs.items()}
        self._ready = deque(task for task, count in self._missing.items() if not count)
        self._left, self._queued = len(needs), 0
        self._plan_s = costs.plan_chunk_s * len(plan.chunks)
        luck = np.random.default_rng(seed).standard_normal(len(needs))
        sigma = costs.straggle_sigma
        factors = np.exp(sigma * luck - sigma**2 / 2)  # 1 in the mean
        self._luck = dict(zip(needs, factors.tolist(), strict=True))
        busy = min(0.95, gpus * costs.redis_idle_ops_s * costs.redis_op_s)
        self._redis_slowdown = 1 / (1 - busy)  # heartbeats are served between

    def run(self) -> Run:
        for _ in range(self._costs.coordinators):
            self._env.process(self._coordinator())
        for number in range(min(self._gpus, len(self._traces))):
            self._env.process(self._worker(number // self._costs.machine_gpus))
        self._looks.put(len(self._traces))
        self._env.run(until=self._done)
        return Run(self._gpus, self._plan, self._costs, self._traces)

    def _coordinator(self) -> Steps:
        """Look at the whole job first, then at what ended, and queue what had become ready when the look began."""
        costs = self._costs
        while True:
            tasks = yield self._looks.get()
            found, self._ready = self._ready, deque()
            began_s = self._env.now
            operations_s = costs.redis_advance_ops * costs.redis_op_s
            yield from self._in_redis(operations_s + tasks * costs.redis_advance_task_s)
            redis_s = self._env.now - began_s
            yield self._env.timeout(costs.advance_s + tasks * costs.advance_task_s)
            for task in found:
                trace = self._traces[task]
                trace.queued_s, trace.queue_redis_s = self._env.now, redis_s
                self._queued += 1
                self._queue.put(simpy.PriorityItem((task.stage in GO_LATER, self._queued), task))

    def _worker(self, machine: int) -> Steps:
        before: TaskId | None = None
        while True:
            task = (yield self._queue.get()).item
            trace = self._traces[task]
            trace.started_s, trace.before = self._env.now, before
            if before is None:
                yield from self._timed(trace, Part.SOURCE, self._until(self._source(machine)))
                yield from self._timed(trace, Part.START, self._pause(self._plan_s))
            yield from self._attempt(task, trace)
            before = task
            self._finish(task, trace)

    def _attempt(self, task: TaskId, trace: Trace) -> Steps:
        costs, frames = self._costs, self._frames[task]
        operations = costs.redis_task_ops + frames * costs.redis_frame_ops
        yield from self._timed(trace, Part.START, self._pause(costs.task_s))
        sent = self._store.send(frames * costs.frame_bytes * (1 + costs.frame_reads))
        took_s = trace.work_s * self._luck[task]
        yield self._env.timeout(took_s)
        trace.spent_s[Part.STRAGGLERS] += took_s - trace.work_s
        yield from self._timed(trace, Part.STORE, self._until(sent))
        yield from self._timed(trace, Part.REDIS, self._in_redis(operations * costs.redis_op_s))

    def _finish(self, task: TaskId, trace: Trace) -> None:
        trace.finished_s = self._env.now
        for later in self._after[task]:
            self._missing[later] -= 1
            if not self._missing[later]:
                self._traces[later].ready_s = self._env.now
                self._ready.append(later)
        self._left -= 1
        if not self._left:
            self._done.succeed()
        self._looks.put(0)

    def _source(self, machine: int) -> simpy.Event:
        """The clip's arrival: the first of a machine's workers to need it fetches it for all."""
        if machine not in self._sources:
            self._sources[machine] = self._store.send(self._costs.source_bytes)
        return self._sources[machine]

    def _timed(self, trace: Trace, part: Part, steps: Steps) -> Steps:
        began_s = self._env.now
        yield from steps
        trace.spent_s[part] += self._env.now - began_s

    def _in_redis(self, seconds: float) -> Steps:
        if seconds:
            with self._redis.request() as turn:
                yield turn
                yield self._env.timeout(seconds * self._redis_slowdown)

    def _pause(self, seconds: float) -> Steps:
        yield self._env.timeout(seconds)

    def _until(self, event: simpy.Event) -> Steps:
        if not event.processed:
            yield event


LIFTS: dict[str, dict[str, float]] = {
    "only the frames it needs of the source for each task": {"source_bytes": 0},
    "a store ten times as wide": {"store_bytes_s": 10 * Costs().store_bytes_s},
    "a coordinator that costs nothing": {"advance_s": 0, "advance_task_s": 0, "redis_advance_ops": 0},
    "no stragglers": {"straggle_sigma": 0},
    "anchors carried for nothing": {"carry_frame_s": 0},
    "no overhead of tasks": {"task_s": 0, "plan_chunk_s": 0},
}
"""What could be lifted, one at a time, and how the costs would change."""


def everything() -> dict[str, float]:
    """All lifts together."""
    return {name: value for changes in LIFTS.values() for name, value in changes.items()}


def lifted(plan: Plan, costs: Costs, changes: Mapping[str, float], counts: Sequence[int]) -> list[float]:
    """The efficiency on each number of GPUs where some costs were others."""
    changed = replace(costs, **changes)
    alone = simulate(plan, changed, 1)
    return [simulate(plan, changed, gpus).efficiency(alone) for gpus in counts]
