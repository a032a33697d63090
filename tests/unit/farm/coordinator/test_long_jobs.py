"""What a task costs the coordinator does not depend on the job's length, and what it looks at is enough."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import pytest

from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.messages import Priority, Stage, TaskId, TaskMessage
from farm.contract.plan import Plan
from farm.contract.states import JobState, TaskState
from farm.coordinator import advance as advance_module
from farm.coordinator.advance import Coordinator
from farm.coordinator.graph import render_tasks
from farm.ledger import JobRecord
from farm.plan import make_plan
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore

JOB = "film-0123456789"
CHUNK, SHOT = 48, 480
"""Frames of a chunk and of a shot; longer shots would leave fewer tasks that can run side by side."""


@dataclass
class Bench:
    """A job that is being painted, and a coordinator that is told of every end."""

    folder: Path
    plan: Plan
    store: MemoryStore = field(default_factory=MemoryStore)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    queue: list[TaskMessage] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store.put_once(keys.plan(JOB), to_json(self.plan))
        self.coordinator = self.new_coordinator()
        self.ledger.create_job(JobRecord(JOB, JobState.RENDERING))
        self.coordinator.advance(JOB)

    def new_coordinator(self) -> Coordinator:
        settings = Settings(home=self.folder, cache_dir=self.folder)
        return Coordinator(settings, self.store, self.ledger, self._publish, self._queued)

    def _publish(self, message: TaskMessage, _priority: Priority) -> None:
        self.queue.append(message)

    def _queued(self, _queue: str) -> set[str]:
        return {message.name for message in self.queue}

    def end(self, message: TaskMessage, after: TaskState = TaskState.SUCCEEDED) -> None:
        lease = self.ledger.claim(message, "worker", 30)
        assert lease is not None
        assert self.ledger.settle(lease, after)

    @property
    def state(self) -> JobState:
        record = self.ledger.job(JOB)
        assert record is not None
        return record.state

    def task_s(self, count: int) -> float:
        """Median CPU seconds of the coordinator for one task that ended."""
        times = []
        for message in [self.queue.pop(0) for _ in range(count)]:
            self.end(message)
            began_s = time.thread_time()
            self.coordinator.advance(JOB, message.task)
            times.append(time.thread_time() - began_s)
        return median(times)


def film(chunks: int) -> Plan:
    frames = chunks * CHUNK
    return make_plan(frames, (1920, 1080), range(0, frames, SHOT), CHUNK, 6, "0" * 64)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_ends_in_whatever_order_nothing_is_left_for_a_look_at_the_whole_job(tmp_path: Path, seed: int) -> None:
    luck, bench = random.Random(seed), Bench(tmp_path, film(22))
    ended: list[TaskId] = []
    while bench.state is JobState.RENDERING:
        message = bench.queue.pop(luck.randrange(len(bench.queue)))
        given_back = luck.random() < 0.2
        bench.end(message, TaskState.WAITING if given_back else TaskState.SUCCEEDED)
        if not given_back:
            ended.append(message.task)
        bench.coordinator.advance(JOB, message.task)
        queued, state = list(bench.queue), bench.state
        bench.new_coordinator().advance(JOB)
        assert (bench.queue, bench.state) == (queued, state)
    assert sorted(ended) == sorted(render_tasks(bench.plan))  # each once
    assert [message.stage for message in bench.queue] == [Stage.ASSEMBLE]


@pytest.mark.parametrize("seed", range(4))
def test_hints_that_are_lost_late_or_twice_are_made_good_by_the_sweep(tmp_path: Path, seed: int) -> None:
    luck, bench = random.Random(seed), Bench(tmp_path, film(22))
    late: list[TaskId] = []
    done: list[TaskId] = []
    while bench.state is JobState.RENDERING:
        if not bench.queue:
            bench.coordinator.sweep()
            continue
        message = bench.queue.pop(luck.randrange(len(bench.queue)))
        bench.end(message)
        done.append(message.task)
        late += [message.task] * luck.choice((0, 1, 2))
        if late and luck.random() < 0.5:
            bench.coordinator.advance(JOB, late.pop(luck.randrange(len(late))))
    assert sorted(done) == sorted(render_tasks(bench.plan))


def test_a_task_that_fails_lets_the_others_finish_and_the_last_of_them_ends_the_job(tmp_path: Path) -> None:
    bench, poison = Bench(tmp_path, film(22)), TaskId(Stage.STYLIZE, 2 * CHUNK)
    while bench.queue:
        assert bench.state is JobState.RENDERING
        message = bench.queue.pop(0)
        bench.end(message, TaskState.FAILED if message.task == poison else TaskState.SUCCEEDED)
        bench.coordinator.advance(JOB, message.task)
    assert bench.state is JobState.FAILED
    left = {task for task in render_tasks(bench.plan) if bench.ledger.task(JOB, task).state is TaskState.WAITING}
    blends, segments = ({task for task in left if task.stage is stage} for stage in (Stage.BLEND, Stage.SEGMENT))
    assert left == blends | segments
    assert min(blends).start == 2 * CHUNK  # both of the chunk's, and the rest of its shot's
    assert max(blends).start < SHOT
    assert {task.start for task in segments} == set(range(2 * CHUNK, SHOT, 2 * CHUNK))


@pytest.mark.parametrize("asked", [JobState.CANCELING, JobState.PAUSING])
def test_a_job_stops_when_the_last_executor_has_given_up(tmp_path: Path, asked: JobState) -> None:
    bench = Bench(tmp_path, film(22))
    held = [bench.ledger.claim(message, "worker", 30) for message in bench.queue]
    assert len(held) == 3  # one first anchor a shot
    bench.ledger.move_job(JOB, asked)
    bench.coordinator.advance(JOB)
    for lease in held:
        assert bench.state is asked
        assert lease is not None
        bench.ledger.settle(lease, TaskState.CANCELED if asked is JobState.CANCELING else TaskState.WAITING)
        bench.coordinator.advance(JOB, lease.task)
    assert bench.state is (JobState.CANCELED if asked is JobState.CANCELING else JobState.PAUSED)


def test_a_task_costs_as_much_in_a_job_of_a_million_frames_as_in_a_short_one(tmp_path: Path) -> None:
    long = make_plan(1_000_000, (1920, 1080), range(0, 1_000_000, SHOT), CHUNK, 6, "0" * 64)
    assert len(long.chunks) == 20_834
    assert from_json(Plan, to_json(long)) == long
    short_s = Bench(tmp_path, film(1_000)).task_s(100)
    assert Bench(tmp_path, long).task_s(100) <= 3 * short_s


def test_what_a_task_makes_the_ledger_read_does_not_grow_with_the_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    tasks = MemoryLedger.tasks

    def counted(*args: object) -> dict[TaskId, object]:
        found = tasks(*args)  # type: ignore[arg-type]
        read.append(len(found))
        return dict(found)

    bench = Bench(tmp_path, film(600))
    monkeypatch.setattr(MemoryLedger, "tasks", counted)
    while bench.state is JobState.RENDERING:
        message = bench.queue.pop(0)
        bench.end(message)
        bench.coordinator.advance(JOB, message.task)
    total = len(render_tasks(bench.plan))
    assert bench.state is JobState.ASSEMBLING
    assert len([count for count in read if count > 9]) == 2  # the whole job, once nothing was in hand, for both states
    assert sum(read) <= 9 * total + 2 * total


def test_graphs_are_read_once_and_those_used_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    get = MemoryStore.get
    monkeypatch.setattr(MemoryStore, "get", lambda self, key: read.append(key) or get(self, key))
    plan, settings, store = film(10), Settings(home=tmp_path, cache_dir=tmp_path), MemoryStore()
    monkeypatch.setattr(advance_module, "KEPT_TASKS", 2 * len(render_tasks(plan)))
    coordinator = Coordinator(settings, store, MemoryLedger(), lambda *_: None, lambda _: ())
    jobs = [f"film-{number:010x}" for number in range(3)]
    for job in jobs:
        store.put_once(keys.plan(job), to_json(plan))
    for job in (*jobs[:2], jobs[0], jobs[2], jobs[0], jobs[1]):  # the second gives way to the third
        coordinator._graph(job)
    assert [key.split("/")[1] for key in read] == [*jobs, jobs[1]]
