"""A job as programs see it, against the shipped in-memory store and ledger."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest

from farm import job as job_module
from farm.cli import following
from farm.cli.progress import Progress
from farm.client import Farm
from farm.contract.errors import LedgerUnavailable
from farm.contract.states import JobState
from farm.job import PATIENCE_S, Job
from farm.ledger import JobRecord
from farm.settings import Settings
from farm.status import JobStatus
from farm.testing import MemoryLedger, MemoryStore

JOB = "clip-0123456789"
AWAY = LedgerUnavailable("Redis does not answer")


class Clock:
    """Time that passes as it is slept, and while something is asked of a ledger."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return 1e9 + self.now_s

    def sleep(self, pause_s: float) -> None:
        self.now_s += pause_s


class AwayLedger(MemoryLedger):
    """Does not answer as long as `away` says so, by the clock; has one job, done in the end."""

    def __init__(self, clock: Clock, away: Callable[[float], bool], done_s: float) -> None:
        super().__init__()
        self.clock, self.away, self.done_s = clock, away, done_s

    def job(self, job: str) -> JobRecord:
        self.clock.sleep(0.01)
        if self.away(self.clock.now_s):
            raise AWAY
        return JobRecord(job, JobState.SUCCEEDED if self.clock.now_s >= self.done_s else JobState.RENDERING)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(job_module, "time", clock)
    return clock


def job_of(clock: Clock, tmp_path: Path, away: Callable[[float], bool], done_s: float = 300.0) -> Job:
    ledger = AwayLedger(clock, away, done_s)
    return Job(Farm(Settings(home=tmp_path, cache_dir=tmp_path), MemoryStore(), ledger), JOB)


def test_who_waits_for_a_film_outlasts_a_redis_that_is_started_again(clock: Clock, tmp_path: Path) -> None:
    job = job_of(clock, tmp_path, lambda now_s: 20 < now_s < 20 + PATIENCE_S - 5 or 100 < now_s < 150)
    seen: list[JobState] = []
    silences: list[LedgerUnavailable] = []
    status = job.wait(lambda status: seen.append(status.state), on_silence=silences.append)
    assert status.state is JobState.SUCCEEDED
    assert set(seen) == {JobState.RENDERING, JobState.SUCCEEDED}
    assert 10 < len(silences) < 100
    assert set(silences) == {AWAY}


@pytest.mark.parametrize("away_from_s", [0.0, 20.0])
def test_a_redis_that_stays_away_ends_the_wait(clock: Clock, tmp_path: Path, away_from_s: float) -> None:
    job = job_of(clock, tmp_path, lambda now_s: now_s > away_from_s)
    with pytest.raises(LedgerUnavailable):
        job.wait()
    assert away_from_s + PATIENCE_S < clock.now_s < away_from_s + PATIENCE_S + 5


def test_a_silence_is_waited_for_no_longer_than_was_asked(clock: Clock, tmp_path: Path) -> None:
    job = job_of(clock, tmp_path, lambda now_s: now_s > 20)
    with pytest.raises(LedgerUnavailable):
        job.wait(timeout_s=30)
    assert clock.now_s == pytest.approx(30, abs=0.1)


def test_what_the_command_line_shows_is_warned_of_a_silence(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    warned: list[str] = []

    class Quiet(Progress):
        def __enter__(self) -> Self:
            return self

        def show(self, status: JobStatus) -> None:
            pass

        def warn(self, text: str) -> None:
            warned.append(text)

    monkeypatch.setattr(following, "progress_for", lambda **_: Quiet())
    job = job_of(clock, tmp_path, lambda now_s: 20 < now_s < 24)
    assert following.follow(job).state is JobState.SUCCEEDED
    assert [text for text in warned if "Redis" in text] == ["Redis does not answer; trying again"] * 2
