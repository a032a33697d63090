from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from farm.contract.messages import STAGE_QUEUE, Queue, Stage, TaskId
from farm.contract.plan import Plan
from farm.contract.states import JobState, TaskState
from farm.coordinator.graph import PLAN_TASK, frames_by_task, render_tasks
from farm.ledger import JobRecord, TaskRecord
from farm.plan import make_plan
from farm.segments import segments
from farm.status import JobStatus, job_status

BEGAN_S = 1000.0
FRAME_S = {Stage.ANCHOR: 24.0, Stage.STYLIZE: 2.0, Stage.BLEND: 0.4, Stage.SEGMENT: 0.05}
"""Seconds for a frame of each stage: a shot's first anchor takes longer still."""

FIRST_ANCHOR_S = 45.0


@dataclass(frozen=True)
class Course:
    """When each task of a job began and ended, as workers would have it that take the next one that is ready."""

    plan: Plan
    painters: int
    spans: dict[TaskId, tuple[float, float]]

    @property
    def end_s(self) -> float:
        return max(end for _, end in self.spans.values())

    def status(self, now_s: float, painters: int | None = None) -> JobStatus:
        tasks, frames = {PLAN_TASK: TaskRecord(TaskState.SUCCEEDED)}, {PLAN_TASK: self.plan.frame_count}
        needs, made = render_tasks(self.plan), frames_by_task(self.plan)
        for task, (begin, end) in self.spans.items():
            ready = max([BEGAN_S, *(self.spans[other][1] for other in needs[task])])
            if end <= now_s:
                tasks[task] = TaskRecord(TaskState.SUCCEEDED, 1, since_s=end, began_s=begin)
                frames[task] = made[task]
            elif begin <= now_s:
                tasks[task] = TaskRecord(TaskState.RUNNING, 1, since_s=begin, began_s=begin, worker="one")
                anchors = task.stage is Stage.STYLIZE  # a chunk's first frame is there at once
                frames[task] = anchors + int((made[task] - anchors) * (now_s - begin) / (end - begin))
            elif ready <= now_s:
                tasks[task] = TaskRecord(TaskState.QUEUED, 1, since_s=ready)
        record = JobRecord(
            "clip-0123456789", JobState.RENDERING, created_s=BEGAN_S - 5, started_s=BEGAN_S,
            frame_count=self.plan.frame_count, chunk_count=len(self.plan.chunks),
            boundary_count=len(self.plan.boundaries),
            blend_frame_count=sum(len(item.frames) for item in self.plan.boundaries),
            segment_count=len(segments(self.plan)),
        )  # fmt: skip
        alive = self.painters if painters is None else painters
        return job_status(record, tasks, frames, now_s=now_s, workers_alive=alive, coordinators_alive=1, painters=alive)


def course(
    frame_count: int, cuts: tuple[int, ...], chunk_frames: int, painters: int, slow: frozenset[int] = frozenset()
) -> Course:
    """`slow`: chunks that take three times as long, by their start."""
    plan = make_plan(frame_count, (320, 180), cuts, chunk_frames, 6, "0" * 64)
    needs, made, shots = render_tasks(plan), frames_by_task(plan), {shot.start for shot in plan.shots}
    spans: dict[TaskId, tuple[float, float]] = {}
    free = {True: [BEGAN_S] * painters, False: [BEGAN_S] * max(1, painters // 4)}  # painters; others that encode
    while len(spans) < len(needs):
        ready = {
            task: max([BEGAN_S, *(spans[other][1] for other in needed)])
            for task, needed in needs.items()
            if task not in spans and all(other in spans for other in needed)
        }
        hands = {task: free[STAGE_QUEUE[task.stage] is not Queue.MEDIA] for task in ready}
        task = min(ready, key=lambda item: (max(ready[item], min(hands[item])), ready[item]))
        begin = max(ready[task], min(hands[task]))
        first = task.stage is Stage.ANCHOR and task.start in shots
        pace = 3 if task.stage is Stage.STYLIZE and task.start in slow else 1
        end = begin + (FIRST_ANCHOR_S if first else pace * made[task] * FRAME_S[task.stage])
        hands[task].remove(min(hands[task]))
        hands[task].append(end)
        spans[task] = (begin, end)
    return Course(plan, painters, spans)


DEMO = course(48, (), 16, 1)


@pytest.mark.parametrize(
    "job",
    [
        pytest.param(DEMO, id="demo"),
        pytest.param(course(480, (), 48, 1), id="one worker"),
        pytest.param(course(480, (), 48, 4), id="one shot, four workers"),
        pytest.param(course(960, (100, 340, 700), 48, 8), id="shots, eight workers"),
        pytest.param(course(960, (100, 340, 700), 48, 64), id="more workers than chunks"),
        pytest.param(course(4800, tuple(range(120, 4800, 120)), 24, 16), id="many shots"),
    ],
)
def test_the_time_left_is_that_of_the_work_left(job: Course) -> None:
    length_s = job.end_s - BEGAN_S
    told = 0
    for share in range(2, 100, 2):
        now_s = BEGAN_S + share / 100 * length_s
        status, truth_s = job.status(now_s), job.end_s - now_s
        if status.eta_s is None:
            chunks = status.stage(Stage.STYLIZE)
            assert chunks.frames_done == chunks.tasks_running  # anchors alone
            continue
        told += 1
        assert status.eta_s == pytest.approx(truth_s, abs=max(0.25 * truth_s, 0.06 * length_s)), share
    assert told > 20


def test_a_job_whose_frames_are_all_anchors_has_a_time_left() -> None:
    job = course(24, (), 1, 1)
    now_s = BEGAN_S + 0.7 * (job.end_s - BEGAN_S)
    assert job.status(now_s).eta_s == pytest.approx(job.end_s - now_s, rel=0.25)


def test_anchors_are_not_taken_for_slow_painting() -> None:
    """A third of the demo is its anchors: by frames painted since they began, the first ones would promise hours."""
    begun_s, ended_s = DEMO.spans[TaskId(Stage.STYLIZE, 0)]
    now_s = (begun_s + ended_s) / 2
    status, truth_s = DEMO.status(now_s), DEMO.end_s - now_s
    assert 40 * (now_s - BEGAN_S) / 8 > 5 * truth_s
    assert 40 / status.frames_per_s == pytest.approx(truth_s, rel=0.1)
    assert status.eta_s == pytest.approx(truth_s, rel=0.1)


def test_a_chunk_under_way_goes_on_at_its_own_pace() -> None:
    """Its neighbours were quick: where more moves in it, by their pace it would seem to be nearly done."""
    job = course(96, (), 16, 1, slow=frozenset({80}))
    begin, end = job.spans[TaskId(Stage.STYLIZE, 80)]
    for share in (0.3, 0.5, 0.8):
        now_s = begin + share * (end - begin)
        assert job.status(now_s).eta_s == pytest.approx(job.end_s - now_s, rel=0.1)


def test_workers_that_serve_other_jobs_are_not_counted_on() -> None:
    """Where painting tasks wait in the queue, this job has as many workers as it has tasks running."""
    job = course(480, (), 48, 1)
    now_s = job.spans[TaskId(Stage.STYLIZE, 96)][0] + 20
    alone, shared = job.status(now_s), job.status(now_s, painters=8)
    assert shared.eta_s == alone.eta_s == pytest.approx(job.end_s - now_s, rel=0.1)


def test_workers_without_a_task_take_the_next_ones() -> None:
    job = course(480, (), 48, 4)
    now_s = job.spans[TaskId(Stage.STYLIZE, 0)][0] + 10
    assert job.status(now_s).stage(Stage.STYLIZE).tasks_running < 4
    assert job.status(now_s).eta_s == pytest.approx(job.end_s - now_s, rel=0.2)


def record(**changes: int) -> JobRecord:
    return replace(
        JobRecord(
            "clip-0123456789", JobState.RENDERING, created_s=900.0, started_s=BEGAN_S,
            frame_count=40, chunk_count=1, segment_count=1,
        ),
        **changes,
    )  # fmt: skip


CHUNK, SEGMENT = TaskId(Stage.STYLIZE, 0), TaskId(Stage.SEGMENT, 0)


def left_s(tasks: dict[TaskId, TaskRecord], frames: dict[TaskId, int], now_s: float) -> float | None:
    tasks = {TaskId(Stage.ANCHOR, 0): TaskRecord(TaskState.SUCCEEDED, 1, since_s=BEGAN_S + 9, began_s=BEGAN_S), **tasks}
    frames = {TaskId(Stage.ANCHOR, 0): 1, **frames}
    status = job_status(record(), tasks, frames, now_s=now_s, workers_alive=1, coordinators_alive=1)
    return status.eta_s


def test_frames_of_an_earlier_attempt_say_nothing_of_this_one() -> None:
    again = TaskRecord(TaskState.RUNNING, 2, since_s=2000.0, began_s=2000.0, began_frames=20)
    assert left_s({CHUNK: again}, {CHUNK: 20}, 2001.0) is None
    assert left_s({CHUNK: again}, {CHUNK: 29}, 2019.0) == pytest.approx(11 * 2.0)  # 9.5 frames in 19 s


def test_what_is_done_by_its_manifest_alone_says_nothing() -> None:
    """As after a wiped ledger: nobody knows what these frames took."""
    assert left_s({CHUNK: TaskRecord(TaskState.SUCCEEDED, since_s=2000.0)}, {CHUNK: 40}, 2010.0) is None


def test_once_all_is_painted_the_time_left_is_that_of_the_encoding() -> None:
    painted = TaskRecord(TaskState.SUCCEEDED, 1, since_s=2000.0, began_s=1010.0)
    encoding = TaskRecord(TaskState.RUNNING, 1, since_s=2000.0, began_s=2000.0)
    assert left_s({CHUNK: painted, SEGMENT: encoding}, {CHUNK: 40}, 2001.0) is None
    assert left_s({CHUNK: painted, SEGMENT: encoding}, {CHUNK: 40, SEGMENT: 19}, 2003.9) == pytest.approx(4.2)


def test_a_failed_attempt_is_not_counted() -> None:
    retrying = TaskRecord(TaskState.RETRYING, 1, since_s=2000.0, began_s=1010.0)
    assert left_s({CHUNK: retrying}, {CHUNK: 20}, 2010.0) is None
