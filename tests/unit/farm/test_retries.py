from __future__ import annotations

import pytest

from farm.contract.errors import (
    AccessDenied,
    CorruptObject,
    FrameDamaged,
    InvalidClip,
    LedgerUnavailable,
    MachineFault,
    StoreUnavailable,
    TaskStuck,
    WeightsMismatch,
)
from farm.ledger import WorkerHealth
from farm.retries import Verdict, health_after_failure, reason, retry_delay_s, sweep_pause_s, verdict


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidClip("broken"), Verdict(final=True, blames_worker=False)),
        (WeightsMismatch("other weights"), Verdict()),
        (AccessDenied("other keys"), Verdict()),
        (StoreUnavailable("away"), Verdict(uses_attempt=False, blames_worker=False)),
        (LedgerUnavailable("away"), Verdict(uses_attempt=False, blames_worker=False)),
        (CorruptObject("other bytes"), Verdict(blames_worker=False)),
        (FrameDamaged("another's frame"), Verdict(uses_attempt=False, blames_worker=False)),
        (MachineFault("a full disk"), Verdict(blames_worker=False)),
        (TaskStuck("silent"), Verdict()),
        (MemoryError("no memory"), Verdict()),
    ],
)
def test_whose_fault_an_error_is(error: Exception, expected: Verdict) -> None:
    assert verdict(error) == expected


def test_the_pause_doubles_from_two_seconds_to_a_minute() -> None:
    assert [retry_delay_s(attempt) for attempt in (1, 2, 3, 6, 100)] == [2.0, 4.0, 8.0, 60.0, 60.0]


def test_a_reason_is_one_line() -> None:
    assert reason(ValueError("first\nsecond")) == "ValueError: first"
    assert reason(InvalidClip("")) == "InvalidClip"


def test_after_a_quarantine_one_more_failure_is_the_next() -> None:
    health = WorkerHealth()
    for number, now_s in enumerate((10.0, 20.0, 30.0)):
        health = health_after_failure(health, f"job {number}", "broken", now_s=now_s, limit=3, quarantine_s=60.0)
    assert (health.quarantine(89.0) != "", health.quarantine(91.0)) == (True, "")
    again = health_after_failure(health, "job 7", "still broken", now_s=100.0, limit=3, quarantine_s=60.0)
    assert again.until_s == 160.0
    assert again.failed == ("job 1", "job 2", "job 7")


def test_the_same_task_again_counts_once() -> None:
    health = WorkerHealth()
    for now_s in range(9):
        health = health_after_failure(health, "job 0", "broken", now_s=float(now_s), limit=3, quarantine_s=60.0)
    assert health.failed == ("job 0",)
    assert health.quarantine(9.0) == ""


@pytest.mark.parametrize("sweep_s", [3.0, 5.0])
def test_between_sweeps_is_no_whole_number_of_seconds(sweep_s: float) -> None:
    """Or the same idle worker would be first at every sweep."""
    pauses = [sweep_pause_s(sweep_s) for _ in range(200)]
    assert sweep_s <= min(pauses) <= max(pauses) <= 1.33 * sweep_s
    parts = [pause % 1.0 for pause in pauses]
    assert max(parts) - min(parts) > 0.8
