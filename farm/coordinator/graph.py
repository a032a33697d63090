"""Which task needs which. Pure: a plan in, dependencies out."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from farm.contract.messages import Stage, TaskId
from farm.contract.plan import FrameRange, Plan
from farm.segments import segments

PLAN_TASK = TaskId(Stage.PLAN)
ASSEMBLE_TASK = TaskId(Stage.ASSEMBLE)


@dataclass(frozen=True, slots=True)
class Graph:
    """The anchor, stylize, blend and segment tasks of a plan, each with its neighbours."""

    needs: Mapping[TaskId, tuple[TaskId, ...]]  # in the order they should be queued
    later: Mapping[TaskId, tuple[TaskId, ...]]  # those that need it


def task_graph(plan: Plan) -> Graph:
    """`render_tasks`, both ways."""
    needs = render_tasks(plan)
    later: dict[TaskId, list[TaskId]] = {task: [] for task in needs}
    for task, needed in needs.items():
        for other in needed:
            later[other].append(task)
    return Graph(needs, {task: tuple(others) for task, others in later.items()})


def render_tasks(plan: Plan) -> dict[TaskId, tuple[TaskId, ...]]:
    """Every task between plan and film with the tasks it needs, in the order they should be queued."""
    return paint_tasks(plan) | segment_tasks(plan)


def paint_tasks(plan: Plan) -> dict[TaskId, tuple[TaskId, ...]]:
    """Every anchor, stylize and blend task with the tasks it needs.

    Per shot: an anchor needs the anchor before it; a chunk needs its anchor, and the next chunk's, which it is
    painted towards; a boundary needs both its chunks and the boundary before it, as blends run in order.

    What takes longest begins first: a shot's anchors wait for one another, so those with most of their shot before
    them lead; then come the longest chunks.
    """
    needs: dict[TaskId, tuple[TaskId, ...]] = {}
    pairs = [pair for pair in pairwise(plan.chunks) if plan.linked and pair[0].shot == pair[1].shot]
    earlier = {later.start: first.start for first, later in pairs}
    later = {first.start: later.start for first, later in pairs}
    for chunk in sorted(plan.chunks, key=lambda item: item.start - plan.shots[item.shot].stop):
        needs[TaskId(Stage.ANCHOR, chunk.start)] = _at(Stage.ANCHOR, earlier.get(chunk.start))
    for chunk in sorted(plan.chunks, key=lambda item: -len(item.frames)):
        own = TaskId(Stage.ANCHOR, chunk.start)
        needs[TaskId(Stage.STYLIZE, chunk.start)] = (own, *_at(Stage.ANCHOR, later.get(chunk.start)))
    last_in_shot: dict[int, TaskId] = {}
    for boundary in plan.boundaries:
        task = TaskId(Stage.BLEND, boundary.start)
        chunks = (TaskId(Stage.STYLIZE, boundary.before), TaskId(Stage.STYLIZE, boundary.start))
        needs[task] = (*chunks, last_in_shot[boundary.shot]) if boundary.shot in last_in_shot else chunks
        last_in_shot[boundary.shot] = task
    return needs


def segment_tasks(plan: Plan) -> dict[TaskId, tuple[TaskId, ...]]:
    """Every segment task with the tasks it needs: all that make its frames final, and the frame before them where that
    is of the same shot, as the step from it is measured.
    """
    needs: dict[TaskId, tuple[TaskId, ...]] = {}
    chunk_starts = [chunk.start for chunk in plan.chunks]
    boundary_starts = [boundary.start for boundary in plan.boundaries]
    cuts = {shot.start for shot in plan.shots}
    for segment in segments(plan):
        stylize = [TaskId(Stage.STYLIZE, start) for start in _inside(chunk_starts, segment)]
        blend = [TaskId(Stage.BLEND, start) for start in _inside(boundary_starts, segment)]
        before = () if segment.start in cuts else _makers_of_last(plan, chunk_starts, boundary_starts, segment.start)
        needs[TaskId(Stage.SEGMENT, segment.start)] = (*before, *stylize, *blend)
    return needs


def _inside(starts: list[int], frames: FrameRange) -> list[int]:
    return starts[bisect_left(starts, frames.start) : bisect_left(starts, frames.stop)]


def _makers_of_last(plan: Plan, chunk_starts: list[int], boundary_starts: list[int], stop: int) -> tuple[TaskId, ...]:
    """Who makes the last frame of the chunk that ends at `stop`: it is blended only where the chunk is very short."""
    start = chunk_starts[bisect_left(chunk_starts, stop) - 1]
    at = bisect_left(boundary_starts, start)
    blended = at < len(boundary_starts) and boundary_starts[at] == start and plan.boundaries[at].stop == stop
    return (TaskId(Stage.STYLIZE, start), *((TaskId(Stage.BLEND, start),) if blended else ()))


def _at(stage: Stage, start: int | None) -> tuple[TaskId, ...]:
    return () if start is None else (TaskId(stage, start),)


def frames_by_task(plan: Plan) -> dict[TaskId, int]:
    """How many frames each task makes; the plan and the film count as all of them, a segment as its own."""
    frames = {PLAN_TASK: plan.frame_count, ASSEMBLE_TASK: plan.frame_count}
    frames |= {TaskId(Stage.ANCHOR, chunk.start): 1 for chunk in plan.chunks}
    frames |= {TaskId(Stage.STYLIZE, chunk.start): len(chunk.frames) for chunk in plan.chunks}
    frames |= {TaskId(Stage.BLEND, boundary.start): len(boundary.frames) for boundary in plan.boundaries}
    return frames | {TaskId(Stage.SEGMENT, segment.start): len(segment) for segment in segments(plan)}
