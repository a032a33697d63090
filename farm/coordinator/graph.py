"""Which task needs which. Pure: a plan in, dependencies out."""

from __future__ import annotations

from itertools import pairwise

from farm.contract.messages import Stage, TaskId
from farm.contract.plan import Plan

PLAN_TASK = TaskId(Stage.PLAN)
ASSEMBLE_TASK = TaskId(Stage.ASSEMBLE)


def render_tasks(plan: Plan) -> dict[TaskId, tuple[TaskId, ...]]:
    """Every anchor, stylize and blend task with the tasks it needs, in the order they should be queued.

    Per shot: an anchor needs the anchor before it; a chunk needs its anchor; a boundary needs both
    its chunks and the boundary before it, as blends run in order.
    """
    needs: dict[TaskId, tuple[TaskId, ...]] = {}
    earlier = {later.start: first.start for first, later in pairwise(plan.chunks) if first.shot == later.shot}
    for chunk in plan.chunks:
        before = earlier.get(chunk.start)
        needs[TaskId(Stage.ANCHOR, chunk.start)] = () if before is None else (TaskId(Stage.ANCHOR, before),)
    for chunk in plan.chunks:
        needs[TaskId(Stage.STYLIZE, chunk.start)] = (TaskId(Stage.ANCHOR, chunk.start),)
    last_in_shot: dict[int, TaskId] = {}
    for boundary in plan.boundaries:
        task = TaskId(Stage.BLEND, boundary.start)
        chunks = (TaskId(Stage.STYLIZE, boundary.before), TaskId(Stage.STYLIZE, boundary.start))
        needs[task] = (*chunks, last_in_shot[boundary.shot]) if boundary.shot in last_in_shot else chunks
        last_in_shot[boundary.shot] = task
    return needs


def frames_of(plan: Plan, task: TaskId) -> int:
    """How many frames a task makes."""
    if task.stage is Stage.ANCHOR:
        return 1
    if task.stage is Stage.STYLIZE:
        return next(len(chunk.frames) for chunk in plan.chunks if chunk.start == task.start)
    if task.stage is Stage.BLEND:
        return next(len(boundary.frames) for boundary in plan.boundaries if boundary.start == task.start)
    return plan.frame_count
