"""What a job has painted so far, as one picture, while it is being painted.

A shot's anchors come first and lie all over it: so the look of a whole film can be judged, and the job given up, long
before it is painted.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from farm import sheet
from farm.contract import keys
from farm.contract.errors import CorruptObject, FarmError, JobFailed, ObjectNotFound, WaitTimeout
from farm.contract.messages import Stage, StoredFrame, TaskId
from farm.contract.plan import FrameRange, Plan
from farm.contract.states import JobState
from farm.coordinator.graph import frames_by_task
from farm.png import png_read

if TYPE_CHECKING:
    from farm.job import Job
    from farm.status import JobStatus


def preview(job: Job, plan: Plan | None, count: int) -> sheet.Image:
    """One picture (H, W, 3) uint8 sRGB of at most `count` painted frames, spread over the film.

    WaitTimeout where no frame is painted yet, JobFailed where none will be, ObjectNotFound where none is left.
    """
    status = job.status()
    done = _frames_done(job, plan, status)
    found = [
        (stored.frame, None, picture)
        for stored in (chosen(plan, done, count) if plan else ())
        if (picture := _picture(job, stored)) is not None
    ]
    if not found:
        raise _nothing_to_show(job.name, status)
    painted = status.stage(Stage.STYLIZE).frames_done
    lines = [
        f"{status.name}  ·  {status.style_name}",
        f"{painted} of {status.frame_count} frames painted  ·  {status.fraction:.0%} of the work  ·  {status.state}",
    ]
    return sheet.contact_sheet(found, lines)


def _frames_done(job: Job, plan: Plan | None, status: JobStatus) -> Mapping[TaskId, int]:
    """Of a job that succeeded all: the ledger may have forgotten its tasks."""
    if plan is not None and status.state is JobState.SUCCEEDED:
        return frames_by_task(plan)
    return job.farm.ledger.frames_done(job.name)


def _nothing_to_show(job: str, status: JobStatus) -> FarmError:
    if status.state is JobState.SUCCEEDED:
        return frames_removed(job)
    if status.ended:
        why = f"{job} has no painted frame to show: it {status.state}; `farm resume {job}`"
        return JobFailed(why, job=job, state=status.state)
    return WaitTimeout(f"{job} has no painted frame to show, it is {status.state}; `farm watch {job}`", job=job)


def frames_removed(job: str) -> ObjectNotFound:
    """To be raised where a finished job's frames are wanted, and its film alone is there."""
    return ObjectNotFound(f"the frames of {job} were removed; its contact sheet is there: `farm fetch --contact FILE`")


def chosen(plan: Plan, done: Mapping[TaskId, int], count: int) -> list[StoredFrame]:
    """At most `count` painted frames, each the nearest to a place of `count` that divide the film evenly.

    `done`: frames done, by task; a task's are the first of its own.
    """
    there = _painted(plan, done)
    starts = [frames.start for frames in there]
    wanted = [(2 * at + 1) * plan.frame_count // (2 * count) for at in range(count)] if there else []
    numbers = sorted({_nearest(there, starts, number) for number in wanted})
    return [_stored(plan, done, number) for number in numbers]


def _painted(plan: Plan, done: Mapping[TaskId, int]) -> list[FrameRange]:
    """Runs of painted frames, in order: a chunk's first frame is its anchor."""
    runs = []
    for chunk in plan.chunks:
        anchor = min(1, done.get(TaskId(Stage.ANCHOR, chunk.start), 0))
        if count := max(anchor, done.get(TaskId(Stage.STYLIZE, chunk.start), 0)):
            runs.append(FrameRange(chunk.start, min(chunk.stop, chunk.start + count)))
    return runs


def _nearest(there: Sequence[FrameRange], starts: Sequence[int], number: int) -> int:
    at = bisect_right(starts, number)
    near = [min(number, there[at - 1].stop - 1)] if at else []
    near += [starts[at]] if at < len(starts) else []
    return min(near, key=lambda frame: abs(frame - number))


def _stored(plan: Plan, done: Mapping[TaskId, int], number: int) -> StoredFrame:
    """The latest of a frame that is there: blended, stylized, or the anchor."""
    for boundary in plan.boundaries:
        task = TaskId(Stage.BLEND, boundary.start)
        if boundary.start <= number < min(boundary.stop, boundary.start + done.get(task, 0)):
            return StoredFrame(task, number)
    chunk = next(chunk for chunk in plan.chunks if number in chunk.frames)
    stage = Stage.STYLIZE if number - chunk.start < done.get(TaskId(Stage.STYLIZE, chunk.start), 0) else Stage.ANCHOR
    return StoredFrame(TaskId(stage, chunk.start), number)


def _picture(job: Job, stored: StoredFrame) -> sheet.Image | None:
    """None where the store has it no more."""
    try:
        return png_read(job.farm.store.get(keys.frame(job.name, stored)))
    except (ObjectNotFound, CorruptObject):
        return None
