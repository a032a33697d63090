"""Workers told to end, as a service manager does it: SIGTERM, and 15 s later what is left is killed."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from chaos.conftest import WORKERS
from chaos.tally import Tally
from chaos.yard import CHUNK_FRAMES, Painted, Yard, until
from held import Held

from farm.contract.messages import Stage, TaskId
from farm.contract.states import JobState
from farm.job import Job

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]

GRACE_S = 15.0
GONE = f"neither it nor a child of it is left ({GRACE_S:.0f} s are allowed)"
TIMES = 3


@pytest.fixture
def on_stored(yard: Yard) -> Iterator[Callable[[Callable[[str], object]], None]]:
    """Sets what happens between an upload and its answer, for one test."""
    yield lambda call: setattr(yard.proxy, "on_stored", call)
    yard.proxy.on_stored = lambda _key: None


def in_the_middle(yard: Yard, job: Job) -> TaskId | None:
    """A chunk of which some frames are painted, and some are not."""
    done = yard.farm.ledger.frames_done(job.name)
    return next((task for task in yard.running(job, Stage.STYLIZE) if 0 < done.get(task, 0) < CHUNK_FRAMES - 1), None)


def painter(yard: Yard, job: Job, task: TaskId) -> str:
    return yard.farm.ledger.task(job.name, task).worker.partition("@")[0]


def check_no_attempt_was_used_up(yard: Yard, job: Job) -> None:
    tasks = yard.farm.ledger.tasks(job.name)
    assert {item.attempt for item in tasks.values()} == {1}
    assert not any(item.failed_on for item in tasks.values())


def test_a_worker_told_to_end_in_a_chunk_hands_it_back_in_time(
    yard: Yard, reference: Painted, tally: Tally, on_stored: Callable[[Callable[[str], object]], None]
) -> None:
    row = tally.row("worker: SIGTERM in the middle of a chunk", GONE)
    dice = random.Random(9)
    on_stored(lambda key: time.sleep(1.0) if "/stylized/" in key else None)  # long enough to be met in the middle
    job = yard.submit()
    for _ in range(TIMES):
        task = until(lambda: in_the_middle(yard, job), "a chunk half painted")
        time.sleep(dice.uniform(0.0, 0.5))
        name = painter(yard, job, task)
        row.recovery_s.append(yard.end(name))
        assert row.recovery_s[-1] <= GRACE_S
        yard.start_worker(name)
    yard.finish(job)
    check_no_attempt_was_used_up(yard, job)
    logs = "".join((yard.log_dir / f"{name}.log").read_text() for name in WORKERS)
    assert "given back: this worker was asked to end" in logs
    yard.await_parts(len(WORKERS))
    tally.prove(row, yard, job, reference, TIMES)


def test_a_worker_told_to_end_while_the_store_does_not_answer_hands_its_chunk_back_in_time(
    yard: Yard, reference: Painted, tally: Tally, on_stored: Callable[[Callable[[str], object]], None]
) -> None:
    """The work can't listen: it waits for an answer that does not come."""
    row = tally.row("worker: SIGTERM while its upload gets no answer", GONE)
    job = yard.submit(hold=True)
    held = Held(job)
    on_stored(held)
    job.resume()
    until(lambda: held.waiting, "an upload that waits")
    task = until(lambda: yard.running(job, Stage.STYLIZE), "its task")[0]
    name = painter(yard, job, task)
    row.recovery_s.append(yard.end(name))
    assert row.recovery_s[-1] <= GRACE_S
    held.free()
    yard.start_worker(name)
    yard.finish(job)
    check_no_attempt_was_used_up(yard, job)
    yard.await_parts(len(WORKERS))
    tally.prove(row, yard, job, reference, 1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_cancel_that_is_pending_holds_though_all_workers_are_restarted(
    yard: Yard,
    reference: Painted,
    tally: Tally,
    on_stored: Callable[[Callable[[str], object]], None],
    number: signal.Signals,
) -> None:
    row = tally.row(f"a cancel is pending: {number.name} to all workers", "the job is canceled")
    job = yard.submit(hold=True)
    held = Held(job)
    on_stored(held)
    job.resume()
    until(lambda: held.waiting >= len(WORKERS), "all workers at work")
    job.cancel()
    canceled_s = time.monotonic()
    assert yard.job_state(job) is JobState.CANCELING
    if number is signal.SIGTERM:
        threading.Timer(1.0, held.free).start()
        assert yard.end(*WORKERS) <= GRACE_S
    else:
        for name in WORKERS:
            yard.kill(name)
        assert yard.job_state(job) is JobState.CANCELING
        held.free()
    for name in WORKERS:
        yard.start_worker(name)
    until(lambda: yard.job_state(job) is JobState.CANCELED, "the end of the job")
    row.recovery_s.append(time.monotonic() - canceled_s)
    stored = yard.painted_keys(job)
    yard.await_parts(len(WORKERS))
    yard.check_clean()  # so every message that was in a queue or a hand has been taken, and dropped
    assert yard.job_state(job) is JobState.CANCELED
    assert yard.running(job) == []
    assert yard.painted_keys(job) == stored
    job.resume()
    yard.finish(job)
    tally.prove(row, yard, job, reference, 1)
