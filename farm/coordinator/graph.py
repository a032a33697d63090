"""Which task needs which. Pure: a plan in, dependencies out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from farm.contract.messages import Stage, TaskId
from farm.contract.plan import Plan

PLAN_TASK = TaskId(Stage.PLAN)
ASSEMBLE_TASK = TaskId(Stage.ASSEMBLE)


@dataclass(frozen=True, slots=True)
class Graph:
    """The anchor, stylize and blend tasks of a plan, each with its neighbours."""

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
    """Every anchor, stylize and blend task with the tasks it needs, in the order they should be queued.

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


def _at(stage: Stage, start: int | None) -> tuple[TaskId, ...]:
    return () if start is None else (TaskId(stage, start),)


def frames_by_task(plan: Plan) -> dict[TaskId, int]:
    """How many frames each task makes; the plan and the film count as all of them."""
    frames = {PLAN_TASK: plan.frame_count, ASSEMBLE_TASK: plan.frame_count}
    frames |= {TaskId(Stage.ANCHOR, chunk.start): 1 for chunk in plan.chunks}
    frames |= {TaskId(Stage.STYLIZE, chunk.start): len(chunk.frames) for chunk in plan.chunks}
    return frames | {TaskId(Stage.BLEND, boundary.start): len(boundary.frames) for boundary in plan.boundaries}
