"""What a job looks like to the person who waits for it: stages, frames, speed, time left. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from farm.contract.messages import Priority, Stage, TaskId
from farm.contract.states import JOB_ENDED, JobState, TaskState
from farm.ledger import JobRecord, TaskRecord
from farm.time_left import BLEND_SHARE, seconds_left

FRAME_WORK = {
    Stage.PLAN: 0.01, Stage.ANCHOR: 8.0, Stage.STYLIZE: 1.0, Stage.BLEND: BLEND_SHARE, Stage.SEGMENT: 0.05,
    Stage.ASSEMBLE: 0.001,
}  # fmt: skip
"""What a frame costs in each stage, over one of a chunk: about, as devices and parameters differ."""


@dataclass(frozen=True, slots=True)
class StageStatus:
    """One stage's progress. Frames count work: a blended frame counts in `blend`, too."""

    stage: Stage
    tasks: int  # 0 until the clip is planned
    tasks_done: int
    tasks_running: int
    frames: int
    frames_done: int


@dataclass(frozen=True, slots=True)
class JobStatus:
    """A job at one moment."""

    job: str
    name: str  # of the clip, and which part of it where that is not all
    style_name: str
    state: JobState
    error: str  # why it failed, one line; empty otherwise
    frame_count: int  # 0 until planned
    stages: tuple[StageStatus, ...]
    created_s: float  # Unix time
    elapsed_s: float  # since it was submitted, until it ended
    frames_per_s: float  # painted in chunks, since the first was taken; 0 before
    eta_s: float | None  # seconds left, None where it can't be told
    workers: tuple[str, ...]  # workers that hold a task of this job
    workers_alive: int  # workers of the whole farm
    coordinators_alive: int
    priority: Priority = Priority.NORMAL
    failed_tasks: int = 0  # used up their attempts; the job's other tasks finish first
    quarantines: dict[str, str] = field(default_factory=dict)  # workers that take no tasks, and why

    @property
    def ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in JOB_ENDED

    @property
    def fraction(self) -> float:
        """How much of the job's work is done, 0 … 1, by what a frame costs in each stage: `FRAME_WORK`."""
        if self.state is JobState.SUCCEEDED:
            return 1.0
        total = sum(FRAME_WORK[stage.stage] * stage.frames for stage in self.stages)
        done = sum(FRAME_WORK[stage.stage] * stage.frames_done for stage in self.stages)
        return done / total if total else 0.0

    def stage(self, stage: Stage) -> StageStatus:
        """One stage's progress."""
        return next(item for item in self.stages if item.stage is stage)


def job_status(
    record: JobRecord,
    tasks: dict[TaskId, TaskRecord],
    frames_done: dict[TaskId, int],
    *,
    now_s: float,
    workers_alive: int,
    coordinators_alive: int,
    painters: int = 1,
    quarantines: dict[str, str] | None = None,
) -> JobStatus:
    """The status that ledger records amount to. `painters`: workers that take painting tasks now."""
    stages = tuple(_stage_status(stage, record, tasks, frames_done) for stage in Stage)
    end_s = record.finished_s if record.state in JOB_ENDED and record.finished_s else now_s
    eta_s = None
    if record.state is JobState.RENDERING:
        left = {item.stage: item.frames - item.frames_done for item in stages}
        eta_s = seconds_left(left, record, tasks, frames_done, painters=painters, now_s=now_s)
    holders = sorted({task.worker for task in tasks.values() if task.state is TaskState.RUNNING and task.worker})
    return JobStatus(
        job=record.job,
        name=record.name,
        style_name=record.style_name,
        state=record.state,
        error=record.error,
        frame_count=record.frame_count,
        stages=stages,
        created_s=record.created_s,
        elapsed_s=max(0.0, end_s - record.created_s),
        frames_per_s=_speed(tasks, frames_done, end_s),
        eta_s=eta_s,
        workers=tuple(holders),
        workers_alive=workers_alive,
        coordinators_alive=coordinators_alive,
        priority=record.priority,
        failed_tasks=sum(task.state is TaskState.FAILED for task in tasks.values()),
        quarantines=quarantines or {},
    )


def _stage_status(
    stage: Stage, record: JobRecord, tasks: dict[TaskId, TaskRecord], frames_done: dict[TaskId, int]
) -> StageStatus:
    own = {task: item for task, item in tasks.items() if task.stage is stage}
    task_count, frame_count = _totals(stage, record)
    if record.state is JobState.SUCCEEDED:  # its tasks may be forgotten by now
        return StageStatus(stage, task_count, task_count, 0, frame_count, frame_count)
    return StageStatus(
        stage=stage,
        tasks=task_count,
        tasks_done=sum(item.state is TaskState.SUCCEEDED for item in own.values()),
        tasks_running=sum(item.state is TaskState.RUNNING for item in own.values()),
        frames=frame_count,
        frames_done=min(frame_count, sum(frames_done.get(task, 0) for task in own)),
    )


def _totals(stage: Stage, record: JobRecord) -> tuple[int, int]:
    """Tasks and frames a stage has to do."""
    frames = record.frame_count
    return {
        Stage.PLAN: (1, frames),
        Stage.ANCHOR: (record.chunk_count, record.chunk_count),
        Stage.STYLIZE: (record.chunk_count, frames),
        Stage.BLEND: (record.boundary_count, record.blend_frame_count),
        Stage.SEGMENT: (record.segment_count, frames),
        Stage.ASSEMBLE: (1, frames),
    }[stage]


def _speed(tasks: dict[TaskId, TaskRecord], frames_done: dict[TaskId, int], now_s: float) -> float:
    own = {task: item for task, item in tasks.items() if task.stage is Stage.STYLIZE and item.began_s}
    if not own:
        return 0.0
    painted = sum(frames_done.get(task, 0) - item.began_frames for task, item in own.items())
    running = any(item.state is TaskState.RUNNING for item in own.values())
    end_s = now_s if running else max(item.since_s for item in own.values())
    took_s = end_s - min(item.began_s for item in own.values())
    return painted / took_s if painted > 0 and took_s > 0 else 0.0
