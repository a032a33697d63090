"""A store that fails in every way a proxy can make it fail, with a job under way."""

from __future__ import annotations

import os
import signal
import time

import pytest
from chaos.proxy import Fault
from chaos.tally import Tally
from chaos.yard import Painted, Yard, until

from farm.contract.messages import Stage

pytestmark = pytest.mark.timeout(400)

STORMS: dict[str, dict[Fault, float]] = {
    "store: 500 to 20 % of requests": {Fault.ERROR: 0.2},
    "store: 500 to 20 %, half of them after the deed": {Fault.ERROR: 0.1, Fault.ERROR_AFTER: 0.1},
    "store: 20 % of connections dropped": {Fault.DROP: 0.1, Fault.DROP_AFTER: 0.1},
    "store: 20 % of answers slow": {Fault.SLOW: 0.2},
    "store: 20 % of answers cut off": {Fault.SHORT: 0.2},
    "store: 10 % of objects truncated": {Fault.TRUNCATED: 0.1},
    "store: 20 % of uploads truncated": {Fault.CUT_UPLOAD: 0.2},
    "store: 409 and 412 to 40 % of conditional writes": {Fault.CONFLICT: 0.2, Fault.PRECONDITION: 0.2},
}
EVERYTHING = {
    Fault.ERROR: 0.05, Fault.ERROR_AFTER: 0.05, Fault.DROP: 0.03, Fault.DROP_AFTER: 0.03, Fault.SLOW: 0.03,
    Fault.SHORT: 0.05, Fault.TRUNCATED: 0.05, Fault.CUT_UPLOAD: 0.05, Fault.CONFLICT: 0.1, Fault.PRECONDITION: 0.1,
}  # fmt: skip


def paint_in(yard: Yard, reference: Painted, tally: Tally, name: str, shares: dict[Fault, float]) -> None:
    row = tally.row(name)
    with yard.proxy.weather(shares, seed=8) as counted:
        job = yard.submit()
        yard.finish(job)
    assert {fault for fault in shares if not counted[fault]} == set()
    tally.prove(row, yard, job, reference, counted.total())


def test_a_job_is_done_in_all_weathers_at_once(yard: Yard, reference: Painted, tally: Tally) -> None:
    paint_in(yard, reference, tally, "store: all of the faults below at once, each to 3 … 10 %", EVERYTHING)


@pytest.mark.chaos
@pytest.mark.parametrize("name", STORMS)
def test_a_job_is_done_while_the_store_fails(yard: Yard, reference: Painted, tally: Tally, name: str) -> None:
    paint_in(yard, reference, tally, name, STORMS[name])


@pytest.mark.chaos
@pytest.mark.parametrize("fault", [Fault.FULL, Fault.UNAVAILABLE])
def test_workers_wait_for_a_store_that_takes_nothing(
    yard: Yard, reference: Painted, tally: Tally, fault: Fault
) -> None:
    what = "its disk is full (507 to all writes)" if fault is Fault.FULL else "503 to everything"
    row = tally.row(f"store: {what} for 20 s", "the next object stored")
    job = yard.submit()
    until(lambda: yard.running(job, Stage.STYLIZE), "a chunk at work")
    with yard.proxy.weather({fault: 1.0}, seed=8) as counted:
        time.sleep(20)
        tasks = yard.farm.ledger.tasks(job.name)
    ended_s = time.monotonic()
    yard.finish(job)
    assert not any(item.attempt > 1 for item in tasks.values()), "a store that is away uses up no attempt"
    tally.prove(row, yard, job, reference, counted.total(), ended_s)


@pytest.mark.chaos
def test_workers_wait_for_a_store_that_is_stopped(yard: Yard, reference: Painted, tally: Tally) -> None:
    row = tally.row("store: SIGSTOP for 60 s", "the next object stored")
    job = yard.submit()
    until(lambda: yard.running(job, Stage.STYLIZE), "a chunk at work")
    store = yard.service_pid("store")
    os.kill(store, signal.SIGSTOP)
    try:
        time.sleep(60)
    finally:
        os.kill(store, signal.SIGCONT)
    ended_s = time.monotonic()
    yard.finish(job)
    tasks = yard.farm.ledger.tasks(job.name)
    assert {item.attempt for item in tasks.values()} == {1}, "a store that is away uses up no attempt"
    tally.prove(row, yard, job, reference, 1, ended_s)
