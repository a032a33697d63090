"""A Redis that restarts, freezes, forgets everything or is full, with tasks in flight."""

from __future__ import annotations

import os
import signal
import time

import psutil
import pytest
from chaos.tally import Tally
from chaos.yard import Painted, Yard, until

from farm.contract.messages import Stage
from farm.job import Job

pytestmark = pytest.mark.timeout(300)

FULL_S = 10.0


def in_flight(yard: Yard) -> Job:
    """A job of which a chunk is being painted, and has a frame."""
    job = yard.submit()
    until(lambda: yard.running(job, Stage.STYLIZE), "a chunk at work")
    return job


def test_a_redis_that_forgets_everything_costs_no_frame(yard: Yard, reference: Painted, tally: Tally) -> None:
    row = tally.row("Redis: FLUSHALL, then `farm resume`", "the next object stored")
    job = in_flight(yard)
    yard.redis.flushall()
    wiped_s = time.monotonic()
    yard.farm.job(job.name).resume()
    yard.finish(job)
    tally.prove(row, yard, job, reference, 1, wiped_s)


@pytest.mark.chaos
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_redis_that_is_restarted_costs_no_frame(
    yard: Yard, reference: Painted, tally: Tally, number: signal.Signals
) -> None:
    row = tally.row(f"Redis: {number.name}, away for 5 s, started again", "the next object stored")
    job = in_flight(yard)
    redis = psutil.Process(yard.service_pid("redis"))
    redis.send_signal(number)
    assert not psutil.wait_procs([redis], timeout=10)[1], "it did not end"
    time.sleep(5)
    yard.start_services()
    back_s = time.monotonic()
    yard.finish(job)
    tally.prove(row, yard, job, reference, 1, back_s)


@pytest.mark.chaos
def test_a_redis_that_freezes_costs_no_frame(yard: Yard, reference: Painted, tally: Tally) -> None:
    row = tally.row("Redis: SIGSTOP for 30 s", "the next object stored")
    job = in_flight(yard)
    os.kill(yard.service_pid("redis"), signal.SIGSTOP)
    try:
        time.sleep(30)
    finally:
        os.kill(yard.service_pid("redis"), signal.SIGCONT)
    back_s = time.monotonic()
    yard.finish(job)
    tally.prove(row, yard, job, reference, 1, back_s)


@pytest.mark.chaos
def test_a_redis_that_is_full_costs_no_frame(yard: Yard, reference: Painted, tally: Tally) -> None:
    row = tally.row(f"Redis: full memory (noeviction) for {FULL_S:.0f} s", "the next object stored")
    job = in_flight(yard)
    assert yard.redis.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
    yard.redis.config_set("maxmemory", 1)
    try:
        time.sleep(FULL_S)
    finally:
        yard.redis.config_set("maxmemory", 0)
    back_s = time.monotonic()
    assert yard.dead() == [], "a full Redis ends no process"
    yard.finish(job)
    tally.prove(row, yard, job, reference, 1, back_s)
