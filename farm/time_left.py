"""When a job's film will be there, from what its tasks have taken so far. Pure.

Painting is counted in seconds of a worker: what is left of anchors, chunks and boundaries, each at the cost of those
done, shared by the workers that can have a part in it. It takes at least as long as what can't be shared: a shot's
anchors follow one another, and a chunk is painted in order. Encoding goes on beside it; its last segment comes after.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil

from farm.contract.messages import Stage, TaskId
from farm.contract.states import TASK_IN_HAND, TaskState
from farm.ledger import JobRecord, TaskRecord

PAINTING = (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)

BLEND_SHARE = 0.25
"""A blended frame's cost over a painted one's, until one is done."""

PICKED_UP_S = 3.0
"""A painting task queued for longer waits for a worker; until then one may be about to take it."""


def seconds_left(
    left: Mapping[Stage, int],
    record: JobRecord,
    tasks: Mapping[TaskId, TaskRecord],
    frames_done: Mapping[TaskId, int],
    *,
    painters: int,
    now_s: float,
) -> float | None:
    """Seconds until the last frame is encoded; None where too little is done to tell.

    `left`: frames left of each stage. `painters`: workers that take painting tasks now.
    """
    work = {stage: _Work(stage, tasks, frames_done, now_s) for stage in (*PAINTING, Stage.SEGMENT)}
    encoding = work[Stage.SEGMENT]
    if not any(left[stage] for stage in PAINTING):
        return encoding.cost_s and encoding.cost_s * left[Stage.SEGMENT] / max(1, len(encoding.running))
    painting_s = _painting_s(left, record, work, painters)
    if painting_s is None or encoding.cost_s is None:
        return painting_s
    last = min(left[Stage.SEGMENT], record.frame_count / record.segment_count)
    behind = left[Stage.SEGMENT] / max(1, len(encoding.running))
    return max(painting_s + encoding.cost_s * last, encoding.cost_s * behind)


def _painting_s(
    left: Mapping[Stage, int], record: JobRecord, work: Mapping[Stage, _Work], painters: int
) -> float | None:
    anchors, chunks, boundaries = (work[stage] for stage in PAINTING)
    if chunks.cost_s is None or (left[Stage.ANCHOR] and anchors.cost_s is None):
        return None
    anchor_s, frame_s = anchors.cost_s or 0.0, chunks.cost_s
    blend_s = boundaries.cost_s or BLEND_SHARE * frame_s
    begun_s = anchors.spent_on_next_s
    share_s = anchor_s * left[Stage.ANCHOR] + frame_s * left[Stage.STYLIZE] + blend_s * left[Stage.BLEND] - begun_s
    in_turn_s = blend_s * min(left[Stage.BLEND], record.blend_frame_count / max(1, record.boundary_count))
    chunk_frames = record.frame_count / record.chunk_count
    if chunks.begun < record.chunk_count:
        # One anchor of a shot at a time; shots that have all of theirs have none in hand.
        shots = anchors.in_hand or max(1, record.chunk_count - record.boundary_count)
        in_turn_s += anchor_s * ceil(left[Stage.ANCHOR] / shots) - begun_s / shots + frame_s * chunk_frames
    else:
        in_turn_s += frame_s * max((chunk_frames - done for done in chunks.running), default=0.0)
    stages = [work[stage] for stage in PAINTING]
    hands = sum(len(stage.running) for stage in stages)
    if not any(stage.unheeded for stage in stages):  # no task waits for a worker: those at none will take the next
        hands = max(hands, painters)
    return max(share_s / max(1, hands), in_turn_s, 0.0)


class _Work:
    """What a stage's tasks have taken."""

    def __init__(
        self, stage: Stage, tasks: Mapping[TaskId, TaskRecord], frames_done: Mapping[TaskId, int], now_s: float
    ) -> None:
        self.running: list[int] = []  # frames there of each task under way
        self.begun = 0  # tasks under way or done
        self.in_hand = 0  # tasks queued or under way
        self.unheeded = False  # a task waits for a worker
        self.cost_s: float | None = None  # seconds of a worker a frame; None until one is done
        self.spent_on_next_s = 0.0  # on tasks that have no frame yet, `cost_s` at most for each
        spent_s = frames = 0.0
        fresh: list[float] = []
        for task, item in tasks.items():
            if task.stage is not stage:
                continue
            there = frames_done.get(task, 0)
            made = there - item.began_frames
            self.unheeded |= item.state is TaskState.QUEUED and now_s - item.since_s > PICKED_UP_S
            self.in_hand += item.state in TASK_IN_HAND
            self.begun += item.state in (TaskState.RUNNING, TaskState.SUCCEEDED)
            if item.state is TaskState.RUNNING:
                self.running.append(there)
                took_s = max(0.0, now_s - item.since_s)
                if made > 0:  # and half of the next one, as a guess
                    spent_s, frames = spent_s + took_s, frames + made + 0.5
                else:
                    fresh.append(took_s)
            elif item.state is TaskState.SUCCEEDED and item.began_s and made > 0:
                spent_s, frames = spent_s + max(0.0, item.since_s - item.began_s), frames + made
        if frames:
            self.cost_s = spent_s / frames
            self.spent_on_next_s = sum(min(self.cost_s, took_s) for took_s in fresh)
