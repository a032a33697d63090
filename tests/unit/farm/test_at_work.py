"""Who is at what, by the leases in the ledger; and how `farm workers` says it."""

from __future__ import annotations

import pytest

from farm.at_work import Work, at_work
from farm.cli.workers import at_text
from farm.contract.messages import Stage, TaskId, TaskMessage
from farm.contract.states import JobState, TaskState
from farm.ledger import JobRecord, WorkerInfo
from farm.testing import MemoryLedger

CHUNK, OTHER = TaskId(Stage.STYLIZE, 48), TaskId(Stage.SEGMENT, 0)


def info(name: str = "paul", queues: tuple[str, ...] = ("stylize", "blend"), quarantine: str = "") -> WorkerInfo:
    return WorkerInfo(name, "h", 1, "cpu", queues, quarantine=quarantine)


def running(ledger: MemoryLedger, job: str, task: TaskId, worker: str) -> None:
    if ledger.create_job(JobRecord(job)):
        for state in (JobState.PLANNING, JobState.RENDERING):
            assert ledger.move_job(job, state)
    assert ledger.move_task(job, task, TaskState.QUEUED, attempt=1)
    assert ledger.claim(TaskMessage(job, task.stage, task.start, 1), worker, 30.0) is not None


def test_tasks_are_told_by_who_holds_them_over_all_jobs_that_live() -> None:
    ledger = MemoryLedger()
    running(ledger, "dunes-0123456789", CHUNK, "paul")
    running(ledger, "sea-0123456789", CHUNK, "emil")
    running(ledger, "sea-0123456789", OTHER, "emil")
    found = at_work(ledger)
    assert {name: [(work.job, work.task) for work in works] for name, works in found.items()} == {
        "paul": [("dunes-0123456789", CHUNK)],
        "emil": [("sea-0123456789", CHUNK), ("sea-0123456789", OTHER)],
    }
    ledger.move_job("sea-0123456789", JobState.FAILED)
    assert set(at_work(ledger)) == {"paul"}


def test_what_a_process_is_at_is_said_as_people_say_it() -> None:
    works = (Work("dunes-0123456789", CHUNK, 900.0, 12), Work("sea-0123456789", OTHER, 990.0, 1))
    said = at_text(info(), works, 1000.0).plain
    assert said.splitlines() == [
        "dunes-0123456789: chunk 48, for 1:40, 12 frames done",
        "sea-0123456789: segment 0, for 0:10, 1 frame done",
    ]
    assert at_text(info(quarantine="no memory"), (), 0.0).plain == "in quarantine: no memory"
    assert at_text(info(), (), 0.0).plain == "nothing"


@pytest.mark.parametrize(
    ("queues", "worker", "coordinator"),
    [
        (("coordinate", "media"), False, True),
        (("blend",), True, False),
        (("stylize", "coordinate"), True, True),
        (("media",), False, False),
    ],
)
def test_what_a_process_is_its_queues_say(queues: tuple[str, ...], worker: bool, coordinator: bool) -> None:
    process = info(queues=queues)
    assert (process.is_worker, process.is_coordinator) == (worker, coordinator)
