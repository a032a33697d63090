from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from executor_bench import JOB, MESSAGE, Bench

from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.errors import (
    FrameDamaged,
    InvalidClip,
    LedgerUnavailable,
    ObjectNotFound,
    ShuttingDown,
    StoreUnavailable,
)
from farm.contract.messages import FrameRecord, Manifest, Stage, TaskMessage
from farm.contract.plan import Plan
from farm.contract.spec import Media, Spec, Style
from farm.contract.states import JobState, TaskState
from farm.executor import Outcome, Run
from farm.lease import LifeSigns
from farm.plan import make_plan
from farm.tasklog import FIRST_LINES, LAST_LINES


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def until_interrupted(run: Run) -> Outcome:
    for _ in range(500):
        run.check()
        time.sleep(0.02)
    return Outcome()


def test_work_done_leaves_its_manifest_and_asks_for_an_advance(bench: Bench) -> None:
    record = FrameRecord(16, "a" * 64, {"style": 0.5}, 3)

    def work(run: Run) -> Outcome:
        with run.span("paint"):
            run.progress(1)
        return Outcome((record,), "cpu")

    assert bench.executor.execute(MESSAGE, work)
    manifest = from_json(Manifest, bench.store.get(keys.manifest(JOB, MESSAGE.task)))
    assert (manifest.frames, manifest.worker, manifest.attempt) == ((record,), "worker", 1)
    assert set(manifest.timings_s) == {"paint"}
    assert bench.task.state is TaskState.SUCCEEDED
    assert bench.ledger.frames_done(JOB) == {MESSAGE.task: 1}
    assert bench.notified == [MESSAGE]


def test_a_jobs_spec_and_plan_are_read_once_by_a_process(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(48, (64, 48), (), 16, 2, "x")
    blank = Media("0" * 64, ".png", 1)
    bench.store.put(keys.plan(JOB), to_json(plan))
    bench.store.put(keys.spec(JOB), to_json(Spec("clip", blank, (Style(blank, "swirl"),))))
    read: list[str] = []
    get = bench.store.get
    monkeypatch.setattr(bench.store, "get", lambda key: (read.append(key), get(key))[1])
    for message in (MESSAGE, TaskMessage(JOB, Stage.STYLIZE, 32, 1)):
        bench.ledger.move_task(JOB, message.task, TaskState.QUEUED, attempt=1)
        found: list[Plan] = []
        assert bench.executor.execute(
            message, lambda run, found=found: (found.append(run.plan), run.spec, Outcome())[2]
        )
        assert found == [plan]
    assert read == [keys.plan(JOB), keys.spec(JOB)]


def test_a_task_another_holds_is_not_touched(bench: Bench) -> None:
    assert bench.ledger.claim(MESSAGE, "other", 30)
    assert not bench.executor.execute(MESSAGE, lambda run: pytest.fail("it ran"))
    assert bench.notified == []


def test_a_passing_fault_is_tried_again_later_until_the_attempts_are_used_up(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise ObjectNotFound("the frame is not there")

    bench.executor.execute(MESSAGE, work)
    assert (bench.task.state, bench.task.error) == (TaskState.RETRYING, "the frame is not there")
    assert bench.task.retry_at_s > time.time()
    bench.executor.execute(bench.again(2), work)
    assert bench.task.state is TaskState.FAILED


def test_a_damaged_frame_uses_no_attempt_and_blames_nobody_but_is_not_waited_for_without_end(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise FrameDamaged("frame 16 is lost", frame=16, key="key", stored="anchor/00000016/00000016")

    bench.executor.execute(MESSAGE, work)
    for found in (1, 2):
        assert (bench.task.state, bench.task.attempt, bench.task.failed_on) == (TaskState.WAITING, 1, ())
        assert bench.task.damaged == ("anchor/00000016/00000016",) * found
        bench.executor.execute(bench.again(1), work)
    assert bench.task.state is TaskState.FAILED
    assert bench.task.error == "frame 16 is lost, found so 3 times"
    assert bench.ledger.health("worker").failed == ()


def test_a_permanent_fault_fails_at_once(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise InvalidClip("the clip is broken")

    bench.executor.execute(MESSAGE, work)
    assert (bench.task.state, bench.task.error) == (TaskState.FAILED, "the clip is broken")


def test_a_fault_nobody_foresaw_is_named_with_its_kind(bench: Bench) -> None:
    bench.executor.execute(MESSAGE, lambda run: 1 / 0)  # type: ignore[arg-type, return-value]
    assert bench.task.error == "ZeroDivisionError: division by zero"


def test_a_shutdown_gives_the_task_back_without_using_an_attempt(bench: Bench) -> None:
    bench.ending = True
    bench.executor.execute(MESSAGE, until_interrupted)
    assert (bench.task.state, bench.task.attempt) == (TaskState.WAITING, 1)
    assert bench.ledger.leased(JOB, [MESSAGE.task]) == set()


def test_a_canceled_job_stops_its_work(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        bench.ledger.move_job(JOB, JobState.CANCELING)
        return until_interrupted(run)

    bench.executor.execute(MESSAGE, work)
    assert bench.task.state is TaskState.CANCELED
    assert list(bench.store.list(keys.manifests(JOB))) == []


def test_a_lease_is_renewed_for_as_long_as_the_work_takes(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lease_s=0.6)
    held: list[object] = []

    def work(run: Run) -> Outcome:
        time.sleep(1.5)
        held.extend((bench.ledger.leased(JOB, [MESSAGE.task]), bench.ledger.claim(MESSAGE, "other", 30)))
        return Outcome()

    bench.executor.execute(MESSAGE, work)
    assert held == [{MESSAGE.task}, None]
    assert bench.task.state is TaskState.SUCCEEDED


def test_work_outlasts_a_redis_that_is_away_for_longer_than_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(tmp_path, lease_s=0.6)
    away = threading.Event()

    def gone(*_args: object) -> Any:
        if away.is_set():
            raise LedgerUnavailable("Redis is away")
        return True

    renew, job, progress = bench.ledger.renew, bench.ledger.job, bench.ledger.progress
    monkeypatch.setattr(bench.ledger, "renew", lambda *args: gone() and renew(*args))
    monkeypatch.setattr(bench.ledger, "job", lambda *args: gone() and job(*args))
    monkeypatch.setattr(bench.ledger, "progress", lambda *args: gone() and progress(*args))

    def work(run: Run) -> Outcome:
        away.set()
        for _ in range(15):
            time.sleep(0.1)
            run.check()
            run.progress(1)
        away.clear()
        until_s = time.monotonic() + 5
        while not bench.ledger.leased(JOB, [MESSAGE.task]):
            assert time.monotonic() < until_s
            time.sleep(0.05)
        return Outcome()

    bench.executor.execute(MESSAGE, work)
    assert (bench.task.state, bench.task.failed_on) == (TaskState.SUCCEEDED, ())


def test_a_late_executor_whose_lease_is_anothers_changes_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lease_s=0.6)

    def work(run: Run) -> Outcome:
        bench.ledger._leases[JOB, MESSAGE.task] = ("99:thief", time.monotonic() + 30)
        return until_interrupted(run)

    bench.executor.execute(MESSAGE, work)
    assert bench.task.state is TaskState.RUNNING
    assert list(bench.store.list(keys.manifests(JOB))) == []


def test_a_lease_that_another_took_while_the_manifest_was_written_changes_nothing(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "farm.executor")
    put_once = bench.store.put_once

    def put_and_lose(*args: Any) -> Any:
        bench.ledger._leases[JOB, MESSAGE.task] = ("99:thief", time.monotonic() + 30)
        return put_once(*args)

    monkeypatch.setattr(bench.store, "put_once", put_and_lose)
    bench.executor.execute(MESSAGE, lambda run: Outcome())
    assert bench.store.head(keys.manifest(JOB, MESSAGE.task)) is not None
    assert (bench.task.state, bench.task.failed_on, bench.task.error) == (TaskState.RUNNING, (), "")
    assert bench.ledger.leased(JOB, [MESSAGE.task]) == {MESSAGE.task}  # still the other's
    assert bench.ledger.health("worker").failed == ()
    assert [line for line in caplog.messages if "done in" in line or "attempt failed" in line] == []
    assert "given back: the lease of stylize/00000016 ended while its manifest was written" in caplog.messages


def test_interrupted_is_no_failure(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise ShuttingDown("bye")

    bench.executor.execute(MESSAGE, work)
    assert bench.task.error == ""


def test_a_store_that_is_away_uses_up_no_attempt(bench: Bench) -> None:
    def work(run: Run) -> Outcome:
        raise StoreUnavailable("the store does not answer")

    for _ in range(4):
        bench.executor.execute(MESSAGE, work)
        assert (bench.task.state, bench.task.attempt) == (TaskState.WAITING, 1)
        assert bench.task.error == "the store does not answer"
        bench.again(1)
    assert bench.executor.quarantine() == ""


def test_work_without_a_sign_of_life_is_given_up_and_its_process_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stuck_s=0.4)

    def hang(run: Run) -> Outcome:
        assert bench.ended.wait(20), "its process was not ended"
        return Outcome()

    bench.executor.execute(MESSAGE, hang)
    assert bench.ended.is_set()
    assert bench.task.state is TaskState.RETRYING
    assert bench.task.error.startswith("no sign of life for ")
    assert bench.task.failed_on == ("worker",)
    assert "no sign of life" in bench.log
    assert list(bench.store.list(keys.manifests(JOB))) == []


@pytest.mark.parametrize("kind", ["worker", "coordinator"])
def test_work_that_goes_on_after_the_grace_is_handed_back_and_its_process_ended(tmp_path: Path, kind: str) -> None:
    """A coordinator's, too: one that closes a large film hears nothing until it is done."""
    bench = Bench(tmp_path, grace_s=0.3)
    bench.executor = replace(bench.executor, is_worker=kind == "worker", watched=kind == "coordinator")

    def deaf(run: Run) -> Outcome:
        bench.ending = True
        assert bench.ended.wait(20), "its process was not ended"
        run.check()  # the process would be gone by now
        return Outcome()

    bench.executor.execute(MESSAGE, deaf)
    assert bench.ended.is_set()
    assert (bench.task.state, bench.task.attempt, bench.task.failed_on) == (TaskState.WAITING, 1, ())
    assert bench.executor.quarantine() == ""


def test_slow_work_that_shows_signs_of_life_goes_on(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stuck_s=2.0)

    def slow(run: Run) -> Outcome:
        for _ in range(15):
            time.sleep(0.2)
            run.check()
        return Outcome()

    bench.executor.execute(MESSAGE, slow)
    assert (bench.task.state, bench.ended.is_set()) == (TaskState.SUCCEEDED, False)


def test_a_step_known_to_be_long_is_waited_for(tmp_path: Path) -> None:
    bench = Bench(tmp_path, stuck_s=0.4)

    def download(run: Run) -> Outcome:
        with run.slow(30):
            time.sleep(1)
        return Outcome()

    bench.executor.execute(MESSAGE, download)
    assert (bench.task.state, bench.ended.is_set()) == (TaskState.SUCCEEDED, False)


def test_ten_frame_times_are_waited_for_where_frames_are_slow() -> None:
    signs = LifeSigns()
    assert signs.patience_s(5.0) == 5.0
    signs._frame_times_s.extend([2.0, 3.0, 40.0])
    assert signs.patience_s(5.0) == 30.0


def test_each_attempts_log_lines_are_kept(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    def work(run: Run) -> Outcome:
        logging.getLogger("painter").info("hello")
        for number in range(1000):
            logging.getLogger("painter").info("line %d", number)
        raise ObjectNotFound("the frame is not there")

    bench.executor.execute(MESSAGE, work)
    lines = bench.log.splitlines()
    assert "attempt 1 at stylize/00000016 on worker" in lines[0]
    assert lines[1].endswith("info    painter: hello")
    assert any(line.endswith("lines left out …") for line in lines)
    assert lines[-1].endswith("farm.executor: attempt failed: the frame is not there")
    assert len(lines) <= FIRST_LINES + LAST_LINES + 1


def test_a_redis_that_is_away_for_a_moment_loses_no_result(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    settle, away = bench.ledger.settle, [LedgerUnavailable("Redis is away")] * 2

    def flaky(*args: Any, **changes: Any) -> bool:
        if away:
            raise away.pop()
        return settle(*args, **changes)

    monkeypatch.setattr(bench.ledger, "settle", flaky)
    bench.executor.execute(MESSAGE, lambda run: Outcome())
    assert bench.task.state is TaskState.SUCCEEDED
