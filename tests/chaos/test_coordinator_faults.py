"""A coordinator that is killed after a write, for each write it makes for a job, counted by the coordinator itself."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from itertools import count

import pytest
from chaos.tally import Row, Tally
from chaos.yard import Painted, Yard, until

from farm.contract.states import JOB_ENDED
from farm.job import Job

UNTIL = "the film"
SHARES = 3
"""Every third fault point is a test of its own, so that they can be run beside each other."""

FEW = 11
"""The fault point of the short run."""

LAST_WRITE_S = 5.0
"""So long after a write the coordinator that dies of it is dead, on a busy machine."""

CHUNK_FRAMES = 8  # two chunks and their boundary: every kind of write, and no more of each than is needed


def start_doomed(yard: Yard, number: int) -> None:
    """A coordinator that dies after write `number` for the job `point-<number>`, and serves other jobs as any does."""
    yard.start("coordinator", "chaos.coordinator", CHAOS_DIE=f"{_name(number)}:{number}")


def submit_and_kill(yard: Yard, number: int) -> tuple[Job, bool]:
    """The job of a fault point, and whether the coordinator died at it; False: the job was done with fewer writes."""
    yard.await_parts(2)
    job = yard.submit(shutil.copy(yard.clip, yard.home / f"{_name(number)}.mp4"), chunk_frames=CHUNK_FRAMES)
    until(lambda: yard.dead() or yard.job_state(job) in JOB_ENDED, "the coordinator's end")
    ended_s = time.monotonic()
    while not yard.dead() and time.monotonic() < ended_s + LAST_WRITE_S:  # it may be the very write that ends the job
        time.sleep(0.05)
    return job, bool(yard.dead())


def finish(yard: Yard, painted: Painted, tally: Tally, row: Row, job: Job) -> None:
    """The job that a dead coordinator left is finished by the one started in its place."""
    died_s = time.monotonic()
    yard.finish(job)
    row.recovery_s.append(time.monotonic() - died_s)
    tally.prove(row, yard, job, painted, 1)


def write_at(yard: Yard, number: int) -> str:
    """What the last write was, by the coordinator's own word."""
    said = (yard.log_dir / "coordinator.log").read_text(errors="replace")
    return str(re.findall(rf"killed after write {number}: (.*)", said)[-1])


def _name(number: int) -> str:
    return f"point-{number:03d}"


@pytest.fixture(scope="module")
def painted(_yard: Yard, reference: Painted) -> Painted:
    """The undisturbed run in chunks of this length."""
    job = _yard.submit(chunk_frames=CHUNK_FRAMES)
    _yard.finish(job)
    return _yard.painted(job)


@pytest.fixture
def row(yard: Yard, tally: Tally) -> Iterator[Row]:
    yield tally.row("coordinator: SIGKILL after each single write of ledger, store and queue", UNTIL)
    yard.stop("coordinator")


@pytest.mark.timeout(300)
def test_a_coordinator_killed_after_a_write_is_replaced(yard: Yard, painted: Painted, tally: Tally, row: Row) -> None:
    yard.stop("coordinator")
    start_doomed(yard, FEW)
    job, died = submit_and_kill(yard, FEW)
    assert died
    yard.kill("coordinator")
    yard.start_coordinator()
    finish(yard, painted, tally, row, job)


@pytest.mark.chaos
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("first", range(1, SHARES + 1))
def test_a_coordinator_may_be_killed_after_any_write(
    yard: Yard, painted: Painted, tally: Tally, row: Row, first: int
) -> None:
    """The one that is to die at the next fault point takes the place of the one that died at this."""
    yard.stop("coordinator")
    start_doomed(yard, first)
    points = []
    for number in count(first, SHARES):
        job, died = submit_and_kill(yard, number)
        if not died:
            tally.prove(row, yard, job, painted)
            break
        points.append(write_at(yard, number))
        yard.kill("coordinator")
        start_doomed(yard, number + SHARES)
        finish(yard, painted, tally, row, job)
    assert len(points) > 5, f"a job of seven tasks has more writes than {points}"
