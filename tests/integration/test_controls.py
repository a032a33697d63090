"""What a user may ask of a job, kept in a real Redis: no flag is in a process's memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip

from farm.client import Farm
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.errors import InvalidInput, JobNotFound
from farm.contract.messages import Manifest, Priority, Queue, Stage, TaskMessage
from farm.contract.params import Params
from farm.contract.states import JobState, TaskState
from farm.coordinator.advance import Coordinator
from farm.job import Job
from farm.ledger import JobRecord, WorkerInfo
from farm.plan import chosen_chunk_frames, make_plan
from farm.png import png_bytes
from farm.redis_ledger import RedisLedger
from farm.settings import Settings
from farm.status import JobStatus
from farm.testing import MemoryStore

PLAN = make_plan(12, (64, 48), (), 4, 2, "x")


class Bench:
    """A farm whose coordinator runs here, call by call."""

    def __init__(self, settings: Settings) -> None:
        self.farm = Farm(settings, MemoryStore(), RedisLedger(settings.redis_url))
        self.queue: list[tuple[TaskMessage, Priority]] = []

    def submit(self, clip: Path, priority: Priority | None = None, hold: bool = False) -> Job:
        return self.farm.submit(
            clip, clip.with_suffix(".png"), params=Params(), size_px=64, priority=priority, hold=hold
        )

    def advance(self, job: Job) -> None:
        self.coordinator().advance(job.name)

    def sweep(self) -> None:
        self.coordinator().sweep()

    def coordinator(self) -> Coordinator:
        """A new one each time: nothing may be in its memory."""
        farm = self.farm
        publish = lambda *sent: self.queue.append(sent)  # noqa: E731
        return Coordinator(farm.settings, farm.store, farm.ledger, publish, lambda _queue: ())

    def do(self, job: Job, after: TaskState = TaskState.SUCCEEDED) -> None:
        message, _ = self.queue.pop(0)
        lease = self.farm.ledger.claim(message, "one", 30)
        assert lease is not None
        if after is TaskState.SUCCEEDED:
            self.farm.store.put_once(keys.plan(job.name), to_json(PLAN))
            manifest = Manifest(job.name, message.stage, message.start, 1, "one", "cpu", 0.0, 1.0)
            self.farm.store.put_once(keys.manifest(job.name, message.task), to_json(manifest))
        self.farm.ledger.settle(lease, after, error="" if after is TaskState.SUCCEEDED else "it broke")
        self.advance(job)


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Bench:
    return Bench(Settings(redis_url=redis_url, home=tmp_path, cache_dir=tmp_path))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = make_clip(tmp_path_factory.mktemp("clips") / "clip.mp4", frames=2).path
    path.with_suffix(".png").write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))
    return path


def test_a_held_job_begins_when_it_is_resumed(bench: Bench, clip: Path) -> None:
    job = bench.submit(clip, hold=True)
    bench.advance(job)
    assert (job.status().state, bench.queue) == (JobState.PAUSED, [])
    assert job.explain()[0].what == "it is held since it was submitted"
    assert bench.submit(clip).status().state is JobState.PAUSED  # the same submit is the same job
    job.resume()
    bench.advance(job)
    assert [message.stage for message, _ in bench.queue] == [Stage.PLAN]


def test_a_paused_job_keeps_what_is_done_and_goes_on_from_there(bench: Bench, clip: Path) -> None:
    job = bench.submit(clip)
    bench.advance(job)
    bench.do(job)
    assert bench.queue[0][0].stage is Stage.ANCHOR
    job.pause()
    bench.advance(job)
    assert job.status().state is JobState.PAUSED
    assert bench.farm.ledger.claim(bench.queue.pop()[0], "one", 30) is None
    bench.advance(job)
    assert bench.queue == []
    job.resume()
    bench.advance(job)
    assert [(message.stage, message.attempt) for message, _ in bench.queue] == [(Stage.ANCHOR, 1)]


def test_a_pause_waits_for_the_executors(bench: Bench, clip: Path) -> None:
    job = bench.submit(clip)
    bench.advance(job)
    lease = bench.farm.ledger.claim(bench.queue.pop()[0], "one", 30)
    assert lease is not None
    job.pause()
    bench.advance(job)
    assert job.status().state is JobState.PAUSING
    assert "one is giving the plan back, at its next optimisation step" in [item.what for item in job.explain()]
    bench.farm.ledger.settle(lease, TaskState.WAITING)
    bench.advance(job)
    assert job.status().state is JobState.PAUSED


@pytest.mark.parametrize("heard", [True, False])
def test_a_resume_takes_back_a_cancel_that_executors_may_not_have_heard_of(
    bench: Bench, clip: Path, heard: bool
) -> None:
    job, ledger = bench.submit(clip), bench.farm.ledger
    bench.advance(job)
    bench.do(job)
    message, _ = bench.queue.pop()
    lease = ledger.claim(message, "one", 30)
    assert lease is not None
    job.cancel()
    bench.advance(job)
    assert job.status().state is JobState.CANCELING
    assert job.resume().state is JobState.SUBMITTED
    bench.advance(job)
    assert job.status().state is JobState.RENDERING
    if heard:
        assert ledger.settle(lease, TaskState.CANCELED)
        bench.sweep()
        assert [(again.stage, again.attempt) for again, _ in bench.queue] == [(Stage.ANCHOR, 1)]
    else:
        bench.farm.store.put_once(keys.manifest(job.name, message.task), b"{}")
        assert ledger.settle(lease, TaskState.SUCCEEDED)
        bench.sweep()
        assert [(again.stage, again.start) for again, _ in bench.queue] == [(Stage.ANCHOR, 4)]


def test_a_cancel_under_way_does_not_end_a_job_that_was_resumed(bench: Bench, clip: Path) -> None:
    """A coordinator had seen it `canceling`, and goes on after the resume."""
    job = bench.submit(clip)
    bench.advance(job)
    job.cancel()
    seen = bench.farm.ledger.job(job.name)
    assert seen is not None
    job.resume()
    bench.coordinator()._cancel(seen)
    assert job.status().state is JobState.SUBMITTED
    bench.queue.clear()
    bench.sweep()
    bench.sweep()
    assert [message.stage for message, _ in bench.queue] == [Stage.PLAN]


def test_retry_does_again_only_what_failed(bench: Bench, clip: Path) -> None:
    job = bench.submit(clip)
    bench.advance(job)
    bench.do(job)
    bench.do(job, TaskState.FAILED)
    assert (job.status().state, job.status().failed_tasks) == (JobState.FAILED, 1)
    assert job.retry().state is not JobState.FAILED
    bench.advance(job)
    assert [(message.stage, message.start, message.attempt) for message, _ in bench.queue] == [(Stage.ANCHOR, 0, 1)]
    assert job.status().failed_tasks == 0


def test_retry_leaves_a_job_alone_of_which_nothing_failed(bench: Bench, clip: Path) -> None:
    job = bench.submit(clip)
    job.cancel()
    bench.advance(job)
    assert job.retry().state is JobState.CANCELED


@pytest.mark.parametrize("control", [Job.retry, Job.resume])
def test_a_job_whose_tasks_redis_forgot_is_shown_and_goes_on(
    bench: Bench, clip: Path, control: Callable[[Job], JobStatus]
) -> None:
    job = bench.submit(clip)
    bench.advance(job)
    bench.do(job)
    bench.do(job, TaskState.FAILED)
    assert bench.farm.ledger.forget_tasks(job.name)
    status = job.status()
    assert (status.state, status.frame_count) == (JobState.FAILED, 12)
    assert status.error in job.explain()[0].what
    assert [status.job for status in bench.farm.jobs()] == [job.name]
    assert bench.submit(clip).status().state is JobState.FAILED
    control(job)
    bench.advance(job)
    assert [(message.stage, message.start, message.attempt) for message, _ in bench.queue] == [(Stage.ANCHOR, 0, 1)]
    record = bench.farm.ledger.job(job.name)
    assert record is not None
    assert record.in_hand == 1


def test_a_priority_is_kept_and_a_second_submit_changes_it(bench: Bench, clip: Path) -> None:
    job = bench.submit(clip, Priority.LOW)
    bench.submit(clip)
    bench.advance(job)
    assert bench.queue[0][1] is Priority.LOW
    bench.submit(clip, Priority.HIGH)
    bench.do(job)
    assert bench.queue[0][1] is Priority.HIGH
    assert job.status().priority is Priority.HIGH


def test_chunks_are_as_long_as_suits_the_workers_and_the_same_submit_stays_one_job(
    bench: Bench, tmp_path: Path
) -> None:
    style, clip = tmp_path / "style.png", make_clip(tmp_path / "clip.mp4", frames=48, size=(32, 32)).path
    style.write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))

    def submit(**how: bool) -> Job:
        return bench.farm.submit(clip, style, chunk_frames=None, **how)

    alone = submit()
    assert alone.spec.chunk_frames == 48
    for name in ("one", "two"):
        bench.farm.ledger.heartbeat(WorkerInfo(name, "host", 1, "cpu", (str(Queue.STYLIZE),)), 30)
    bench.farm.ledger.heartbeat(WorkerInfo("control", "host", 1, "cpu", (str(Queue.COORDINATE),)), 30)
    assert submit().name == alone.name
    assert submit(again=True).spec.chunk_frames == chosen_chunk_frames(48, 2) < 48
    bench.farm.ledger._redis.flushall()  # type: ignore[attr-defined]
    assert submit().name == alone.name


def test_a_wiped_redis_is_explained(bench: Bench, clip: Path) -> None:
    job = bench.submit(clip)
    bench.farm.ledger._redis.flushall()  # type: ignore[attr-defined]
    assert bench.farm.job(job.name).explain()[0].cure == f"`farm resume {job.name}`"
    job.resume()
    assert job.status().state is JobState.SUBMITTED


def test_logs_are_those_of_a_frames_chunk_boundary_and_segment(bench: Bench) -> None:
    farm, name = bench.farm, "clip-0123456789"
    farm.ledger.create_job(JobRecord(name))
    job = Job(farm, name)
    with pytest.raises(InvalidInput, match="not planned yet"):
        list(job.logs(5))
    farm.store.put(keys.plan(name), to_json(PLAN))
    for stage, start in (
        (Stage.PLAN, 0), (Stage.STYLIZE, 0), (Stage.STYLIZE, 4), (Stage.BLEND, 4), (Stage.STYLIZE, 8),
        (Stage.SEGMENT, 0), (Stage.ASSEMBLE, 0),
    ):  # fmt: skip
        message = TaskMessage(name, stage, start, 1)
        farm.store.put(keys.log(name, message.task, 1, "7:one"), f"{stage} {start}".encode())
    assert [item.text for item in job.logs()] == [
        "plan 0", "stylize 0", "stylize 4", "stylize 8", "blend 4", "segment 0", "assemble 0",
    ]  # fmt: skip
    assert {item.text for item in job.logs(4)} == {"stylize 4", "blend 4", "segment 0"}
    assert {item.text for item in job.logs(0)} == {"stylize 0", "segment 0"}
    with pytest.raises(InvalidInput, match="frames 0 to 11"):
        list(job.logs(12))


def test_controls_of_a_job_nobody_knows(bench: Bench) -> None:
    with pytest.raises(JobNotFound):
        bench.farm.job("clip-9999999999")
