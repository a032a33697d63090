"""Work ahead of and behind a worker: order, bounds, errors, and that no thread is left. Plain functions, no frames."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator

import pytest

from worker.pipeline import Ahead, Behind

LIMIT_S = 60.0


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def counted(stop: int) -> Generator[int, None, None]:
    yield from range(stop)


def test_items_come_in_order_and_end() -> None:
    with Ahead(counted(50), 3) as ahead:
        assert list(ahead) == list(range(50))
        assert list(ahead) == []


def test_nothing_is_made_further_ahead_than_the_bound() -> None:
    made, asked, full = 0, 0, threading.Event()
    furthest = 0

    def source() -> Generator[int, None, None]:
        nonlocal made, furthest
        for number in range(20):
            made += 1
            furthest = max(furthest, made - asked)
            if made == 3:
                full.set()
            yield number

    with Ahead(source(), 3) as ahead:
        assert full.wait(LIMIT_S)  # nobody asked for one yet
        for number in range(20):
            asked += 1
            assert next(ahead) == number
    assert furthest == 3


def test_the_source_runs_in_a_thread_of_its_own_and_is_closed_there() -> None:
    seen: list[str] = []

    def source() -> Generator[int, None, None]:
        try:
            while True:
                seen.append(threading.current_thread().name)
                yield 0
        finally:
            seen.append(f"closed by {threading.current_thread().name}")

    with Ahead(source(), 2, "source") as ahead:
        next(ahead)
    assert set(seen[:-1]) == {"source"}
    assert seen[-1] == "closed by source"


def test_an_error_comes_after_the_items_before_it_and_as_often_as_one_asks() -> None:
    def source() -> Generator[int, None, None]:
        yield from range(2)
        raise ValueError("no third")

    with Ahead(source(), 5) as ahead:
        assert [next(ahead), next(ahead)] == [0, 1]
        for _ in range(2):
            with pytest.raises(ValueError, match="no third"):
                next(ahead)


def test_leaving_ends_a_source_that_waits_for_room() -> None:
    full = threading.Event()

    def source() -> Generator[int, None, None]:
        yield 0
        full.set()
        yield 1
        pytest.fail("nobody asked for it")

    with Ahead(source(), 2):
        assert full.wait(LIMIT_S)


def test_leaving_waits_for_the_item_in_hand() -> None:
    begun, done = threading.Event(), []

    def source() -> Generator[int, None, None]:
        begun.set()
        time.sleep(0.05)  # work that takes its time
        done.append(True)
        yield 0
        pytest.fail("nobody asked for it")

    def leave() -> None:
        with Ahead(source(), 2):
            assert begun.wait(LIMIT_S)
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert done


def test_a_call_runs_beside_its_caller() -> None:
    go_on = threading.Event()

    def call() -> str:
        assert go_on.wait(LIMIT_S)
        return threading.current_thread().name

    with Behind[str]("put") as behind:
        assert not behind.busy
        behind.start(call)
        assert behind.busy
        assert not behind.ready
        go_on.set()
        assert behind.result().startswith("put")
        assert not behind.busy


def test_calls_follow_each_other_one_at_a_time() -> None:
    done: list[int] = []
    with Behind[None]() as behind:
        for number in range(20):
            behind.start(lambda number=number: done.append(number))
            with pytest.raises(AssertionError, match="one call at a time"):
                behind.start(lambda: done.append(-1))
            behind.result()
    assert done == list(range(20))


def test_a_calls_error_is_its_result_and_the_next_call_runs() -> None:
    def fail() -> int:
        raise ValueError("full")

    with Behind[int]() as behind:
        behind.start(fail)
        with pytest.raises(ValueError, match="full"):
            behind.result()
        behind.start(lambda: 3)
        assert behind.result() == 3


def test_the_first_error_wins_and_the_calls_own_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> int:
        time.sleep(0.05)
        raise ValueError("full")

    def leave() -> None:
        with Behind[int]() as behind:
            behind.start(fail)
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert "full" in caplog.text


def test_leaving_waits_for_the_call_under_way() -> None:
    go_on, done = threading.Event(), []

    def call() -> None:
        assert go_on.wait(LIMIT_S)
        done.append(True)

    with Behind[None]() as behind:
        behind.start(call)
        go_on.set()
    assert done
