"""When a job's film will be there, from what its tasks have taken so far. Pure.

Painting is counted in seconds of a worker: what is left of anchors, chunks and boundaries, each at the cost of those
done, a chunk under way at its own, shared by the workers that can have a part in it. It takes at least as long as what
can't be shared: a shot's anchors follow one another, and a chunk is painted in order. Encoding goes on beside it; its
last segment comes after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from farm.contract.messages import Stage, TaskId
from farm.contract.states import TASK_IN_HAND, TaskState
from farm.ledger import JobRecord, TaskRecord

PAINTING = (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)

BLEND_SHARE = 0.25
"""A blended frame's cost over a painted one's, until one is done."""

OWN_FRAMES = 3
"""From so many frames on a task under way has a cost of its own: chunks in which more moves take longer."""
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
    own: dict[Stage, dict[TaskId, TaskRecord]] = {stage: {} for stage in Stage}
    for task, item in tasks.items():
        own[task.stage][task] = item
    work = {stage: _work(stage, own[stage], frames_done, now_s) for stage in (*PAINTING, Stage.SEGMENT)}
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
    painted = record.frame_count > record.chunk_count  # else each frame is an anchor
    if (painted and chunks.cost_s is None) or (left[Stage.ANCHOR] and anchors.cost_s is None):
        return None
    anchor_s, frame_s = anchors.cost_s or 0.0, chunks.cost_s or 0.0
    blend_s = boundaries.cost_s or BLEND_SHARE * frame_s
    begun_s = anchors.spent_on_next_s
    chunk_frames = record.frame_count / record.chunk_count
    ahead = [(max(0.0, chunk_frames - task.frames), task.cost_s or frame_s) for task in chunks.running]
    given = record.chunk_count - chunks.begun  # by anchors, each the first frame of a chunk to come
    untouched = max(0.0, left[Stage.STYLIZE] - given - sum(frames for frames, _ in ahead))
    chunks_s = frame_s * untouched + sum(frames * cost_s for frames, cost_s in ahead)
    share_s = anchor_s * left[Stage.ANCHOR] + chunks_s + blend_s * left[Stage.BLEND] - begun_s
    in_turn_s = blend_s * min(left[Stage.BLEND], record.blend_frame_count / max(1, record.boundary_count))
    if chunks.begun < record.chunk_count:
        # One anchor of a shot at a time; shots that have all of theirs have none in hand.
        shots = anchors.in_hand or max(1, record.chunk_count - record.boundary_count)
        in_turn_s += anchor_s * ceil(left[Stage.ANCHOR] / shots) - begun_s / shots + frame_s * (chunk_frames - 1)
    else:
        in_turn_s += max((frames * cost_s for frames, cost_s in ahead), default=0.0)
    stages = [work[stage] for stage in PAINTING]
    hands = sum(len(stage.running) for stage in stages)
    if not any(stage.unheeded for stage in stages):  # no task waits for a worker: those at none will take the next
        hands = max(hands, painters)
    return max(share_s / max(1, hands), in_turn_s, 0.0)


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A task that a worker is at."""

    frames: int  # there
    cost_s: float | None  # seconds a frame of its own; None with too few of them


@dataclass(frozen=True, slots=True)
class _Work:
    """What a stage's tasks have taken."""

    running: tuple[_UnderWay, ...]
    begun: int  # tasks under way or done
    in_hand: int  # tasks queued or under way
    unheeded: bool  # a task waits for a worker
    cost_s: float | None  # seconds of a worker a frame; None until one is done
    spent_on_next_s: float  # on tasks that have no frame yet, `cost_s` at most for each


def _work(stage: Stage, own: Mapping[TaskId, TaskRecord], frames_done: Mapping[TaskId, int], now_s: float) -> _Work:
    """Of one stage's tasks."""
    given = stage is Stage.STYLIZE  # a chunk's first frame is its anchor, and there at once
    made = {task: frames_done.get(task, 0) - max(given, item.began_frames) for task, item in own.items()}
    states = Counter(item.state for item in own.values())
    running = {task: max(0.0, now_s - item.since_s) for task, item in own.items() if item.state is TaskState.RUNNING}
    done = {
        task: max(0.0, item.since_s - item.began_s)
        for task, item in own.items()
        if item.state is TaskState.SUCCEEDED and item.began_s
    }
    # Of what a running task is at, half is done, as a guess.
    took = [(took_s, made[task] + 0.5) for task, took_s in running.items() if made[task] > 0]
    took += [(took_s, made[task]) for task, took_s in done.items() if made[task] > 0]
    cost_s = sum(took_s for took_s, _ in took) / sum(frames for _, frames in took) if took else None
    fresh = [took_s for task, took_s in running.items() if made[task] <= 0]
    return _Work(
        running=tuple(
            _UnderWay(frames_done.get(task, 0), took_s / (made[task] + 0.5) if made[task] >= OWN_FRAMES else None)
            for task, took_s in running.items()
        ),
        begun=states[TaskState.RUNNING] + states[TaskState.SUCCEEDED],
        in_hand=sum(states[state] for state in TASK_IN_HAND),
        unheeded=any(item.state is TaskState.QUEUED and now_s - item.since_s > PICKED_UP_S for item in own.values()),
        cost_s=cost_s,
        spent_on_next_s=0.0 if cost_s is None else sum(min(cost_s, took_s) for took_s in fresh),
    )
