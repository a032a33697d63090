"""A coordinator and two workers, one of which or whose task is no good: real Celery, real Redis, no painting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from integration.test_worker_faults import JOB, Bench, until
from light_worker import DIES

from farm.broker import publish
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.messages import Stage, TaskId
from farm.contract.plan import Chunk, FrameRange, Plan
from farm.contract.states import JobState, TaskState
from farm.coordinator.advance import Coordinator
from farm.plan import make_plan
from farm.redis_ledger import RedisLedger
from farm.settings import Settings
from farm.testing import MemoryStore

pytestmark = pytest.mark.timeout(120)


class FarmBench(Bench):
    """A bench whose coordinator sweeps in a thread; the job is planned already."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sweep)

    def begin(self, plan: Plan) -> None:
        self.store = MemoryStore()
        self.store.put(keys.plan(JOB), to_json(plan))
        self.ledger.move_task(JOB, TaskId(Stage.PLAN), TaskState.SUCCEEDED)
        self._thread.start()

    @property
    def job_state(self) -> JobState:
        record = self.ledger.job(JOB)
        assert record is not None
        return record.state

    def end(self) -> None:
        self._ended.set()
        self._thread.join(10)
        super().end()

    def _sweep(self) -> None:
        ledger = RedisLedger(self.settings.redis_url)
        coordinator = Coordinator(self.settings, self.store, ledger, partial(publish, self.app), ledger.queued)
        while not self._ended.wait(self.settings.sweep_s):
            coordinator.sweep()
            for task in ledger.tasks(JOB):
                if task.stage is Stage.SEGMENT:  # no frames here to encode
                    ledger.move_task(JOB, task, TaskState.SUCCEEDED, before=(TaskState.QUEUED,))


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[FarmBench]:
    settings = Settings(redis_url=redis_url, home=tmp_path, cache_dir=tmp_path, lease_s=2.0, sweep_s=0.3)
    one = FarmBench(settings)
    yield one
    one.end()


def test_a_broken_worker_ends_in_quarantine_and_the_job_is_done_by_the_other(bench: FarmBench) -> None:
    bench.start_worker("broken@here", "broken")
    bench.start_worker("good@here")
    until(lambda: len(bench.ledger.workers()) == 2)
    bench.begin(replace(make_plan(96, (64, 48), (), 4, 2, "x"), linked=False))
    until(lambda: bench.job_state is JobState.ASSEMBLING, 60)
    assert "this worker is broken" in bench.ledger.health("broken@here").quarantine(time.time())
    assert bench.ledger.health("good@here").failed == ()
    tasks = {task: item for task, item in bench.ledger.tasks(JOB).items() if task.stage is not Stage.PLAN}
    assert {item.state for task, item in tasks.items() if task.stage is not Stage.ASSEMBLE} == {TaskState.SUCCEEDED}
    assert len([task for task, item in tasks.items() if item.failed_on == ("broken@here",)]) == 3


def test_a_chunk_that_kills_its_process_fails_alone_after_its_attempts(bench: FarmBench) -> None:
    chunks = (Chunk(0, DIES, 0), Chunk(DIES, 6_000, 0), Chunk(6_000, 9_000, 0))
    bench.start_worker("one@here")
    bench.start_worker("two@here")
    until(lambda: len(bench.ledger.workers()) == 2)
    bench.begin(Plan(9_000, 64, 48, "x", (FrameRange(0, 9_000),), chunks, (), linked=False))
    until(lambda: bench.job_state is JobState.FAILED, 90)
    record, tasks = bench.ledger.job(JOB), bench.ledger.tasks(JOB)
    assert record is not None
    assert record.error.startswith(f"stylize at frame {DIES}: its worker ")
    assert record.error.endswith(" died or lost its lease, after 3 attempts")
    assert {tasks[TaskId(Stage.STYLIZE, start)].state for start in (0, 6_000)} == {TaskState.SUCCEEDED}
    assert set(tasks[TaskId(Stage.STYLIZE, DIES)].failed_on) == {"one@here", "two@here"}
    assert not any(info.quarantine for info in bench.ledger.workers())
