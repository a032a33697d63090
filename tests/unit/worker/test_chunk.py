"""A chunk's frames are those of its recursion, one after another, whatever runs beside the painter or goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from chunk_bench import CHUNK, SIZE, Bench
from clips import picture

from farm.contract import keys
from farm.contract.codec import sha256_hex
from farm.contract.errors import FrameDamaged, JobCanceled, StoreUnavailable
from farm.contract.params import FlowMethod
from farm.png import png_bytes
from farm.store import ObjectInfo
from worker.engine import Frame, Machine
from worker.engine.flow import Motion, motion_between

MIDDLE = 3
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def painted_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, list[dict[int, bytes]]]:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    return bench, [bench.one_by_one(chunk) for chunk in bench.plan.chunks]


@pytest.fixture
def bench(painted_once: tuple[Bench, Any]) -> Bench:
    """Without a frame of a chunk."""
    bench = painted_once[0]
    bench.store.delete(list(bench.store.list(keys.stylized(bench.job, 0)[: -len("00000000.png")])))
    bench.store.before_put = lambda _key, _number: None
    return bench


@pytest.fixture
def reference(painted_once: tuple[Any, list[dict[int, bytes]]]) -> list[dict[int, bytes]]:
    return painted_once[1]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def in_painter() -> bool:
    return threading.current_thread() is threading.main_thread()


class Checks:
    """Counts how often the painter asks whether to stop; other threads can wait until it has so often."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        if in_painter():
            with self._changed:
                self.count += 1
                self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, LIMIT_S), f"{self.count} of {count} checks"


def checks_until(bench: Bench, number: int) -> int:
    """So often the painter asks until that frame of chunk 0 is painted: before and after each, and at every step."""
    return sum(bench.steps[each] + 2 for each in range(1, number + 1))


@pytest.mark.parametrize("which", [0, 1])
def test_a_chunk_is_byte_for_byte_what_painting_frame_by_frame_gives(
    bench: Bench, reference: list[dict[int, bytes]], which: int
) -> None:
    chunk = bench.plan.chunks[which]
    outcome, run = bench.paint(chunk.start)
    assert bench.frames(chunk) == reference[which]
    assert [record.frame for record in outcome.frames] == list(range(chunk.start, chunk.stop))
    assert [record.sha256 for record in outcome.frames] == [sha256_hex(data) for data in reference[which].values()]
    assert bench.store.sent == list(range(chunk.start, chunk.stop))
    assert bench.ledger.progressed == [(number, True) for number in range(1, CHUNK + 1)]
    assert {"decode", "flow", "warp", "paint", "wait", "png", "put"} <= set(run.timings_s)
    assert "get" not in run.timings_s  # what was just painted need not be read


@pytest.mark.parametrize("which", [0, 1])
def test_motion_looked_for_by_several_threads_gives_the_same_frames(
    bench: Bench, reference: list[dict[int, bytes]], which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.studio, "machine", Machine(threads=4))
    chunk = bench.plan.chunks[which]
    bench.store.put_once(keys.stylized(bench.job, chunk.start + 2), reference[which][chunk.start + 2])  # by others
    bench.paint(chunk.start)
    assert bench.frames(chunk) == reference[which]


def test_a_stop_while_several_threads_look_for_motion_leaves_none_of_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.studio, "machine", Machine(threads=3))
    checks = Checks()

    def check() -> None:
        checks()
        if checks.count == 3:
            raise JobCanceled("stop")

    with pytest.raises(JobCanceled):
        bench.paint(check=check)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("spread")]


def test_a_long_chunk_nears_the_next_anchor_at_its_end_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.ahead.APPROACH_FRAMES", 3)
    bench.paint()
    chunk = bench.plan.chunks[0]
    assert bench.frames(chunk) == bench.one_by_one(chunk, nearing=3)


def test_a_next_anchor_that_is_lost_ends_the_chunk_where_it_is_needed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.ahead.APPROACH_FRAMES", 3)
    key = keys.anchor(bench.job, CHUNK)
    anchor = bench.store.get(key)
    bench.store.delete([key])
    with pytest.raises(FrameDamaged):
        bench.paint()
    bench.store.put(key, anchor)
    assert list(bench.frames(bench.plan.chunks[0])) == list(range(CHUNK - 3))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("approach")]


def test_a_frame_travels_while_the_next_one_is_painted(bench: Bench, reference: list[dict[int, bytes]]) -> None:
    checks = Checks()

    def wait_for_the_painter(_key: str, number: int) -> None:
        if number > 0:
            checks.wait_for(checks_until(bench, number) + (2 if number < CHUNK - 1 else 0))  # a step of the next frame

    bench.store.before_put = wait_for_the_painter
    bench.paint(check=checks)
    assert bench.frames(bench.plan.chunks[0]) == reference[0]
    assert checks.count == checks_until(bench, CHUNK - 1)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_where_another_executor_was_first_the_chunk_goes_on_from_its_frame(bench: Bench, steps: int) -> None:
    """It is found out after that many steps of the next frame, whose painting is thrown away."""
    chunk, other, checks = bench.plan.chunks[0], png_bytes(picture(5, SIZE, 2)), Checks()

    def overtake(key: str, number: int) -> None:
        if number == MIDDLE:
            bench.store.put(key, other)
            checks.wait_for(checks_until(bench, number) + 1 + steps)

    bench.store.before_put = overtake
    outcome, run = bench.paint(check=checks)
    bench.store.before_put = lambda _key, _number: None
    wanted = bench.one_by_one(chunk, {MIDDLE: other})
    assert bench.frames(chunk) == wanted
    assert [record.adopted for record in outcome.frames] == [number == MIDDLE for number in range(CHUNK)]
    assert [record.sha256 for record in outcome.frames] == [sha256_hex(data) for data in wanted.values()]
    assert bench.store.sent == list(range(CHUNK)), "a painting that was thrown away was sent"
    assert "adopt" in run.timings_s


def test_another_executors_frame_with_the_same_pixels_costs_no_second_painting(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    checks = Checks()
    bench.store.before_put = lambda key, number: bench.store.put(key, reference[0][number])
    outcome, _ = bench.paint(check=checks)
    assert checks.count == checks_until(bench, CHUNK - 1)
    assert all(record.adopted for record in outcome.frames)


def test_an_upload_that_fails_ends_the_chunk_and_nothing_after_it_is_stored(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    def fail(_key: str, number: int) -> None:
        if number == MIDDLE:
            raise StoreUnavailable("the store is full")

    bench.store.before_put = fail
    with pytest.raises(StoreUnavailable, match="full"):
        bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == {number: reference[0][number] for number in range(MIDDLE)}
    assert bench.ledger.progressed == [(number, True) for number in range(1, MIDDLE + 1)]
    bench.store.before_put = lambda _key, _number: None
    outcome, _ = bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == reference[0]
    assert [record.adopted for record in outcome.frames] == [number < MIDDLE for number in range(CHUNK)]


def test_a_cancel_stops_at_the_next_step_and_what_is_stored_is_right(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    sent, steps_after = threading.Event(), [0]

    def note(_key: str, number: int) -> None:
        if number == MIDDLE:
            sent.set()

    def check() -> None:
        if sent.is_set():
            steps_after[0] += in_painter()
            raise JobCanceled("canceled")

    bench.store.before_put = note
    with pytest.raises(JobCanceled):
        bench.paint(check=check)
    assert steps_after[0] <= 1
    # What was under way when the cancel came is stored; what was painted from it is not.
    assert bench.frames(bench.plan.chunks[0]) == {number: reference[0][number] for number in range(MIDDLE + 1)}
    bench.store.before_put = lambda _key, _number: None
    bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == reference[0]


def test_holes_alone_are_painted(bench: Bench, reference: list[dict[int, bytes]]) -> None:
    bench.paint()
    bench.store.delete([keys.stylized(bench.job, number) for number in (1, 2, 4)])
    outcome, run = bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == reference[0]
    assert bench.store.sent == [0, 1, 2, 4]  # the first is the anchor's copy
    assert [record.frame for record in outcome.frames if not record.adopted] == [1, 2, 4]
    assert bench.ledger.progressed == [(number, True) for number in range(1, CHUNK + 1)]
    assert "get" in run.timings_s


def test_of_stored_frames_motion_is_looked_for_only_where_what_came_into_sight_still_counts(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.ahead.LATELY_FRAMES", 2)
    chunk = bench.plan.chunks[1]  # no way to a next anchor
    bench.paint(chunk.start)
    bench.store.delete([keys.stylized(bench.job, chunk.stop - 1)])
    looked: list[Frame] = []

    def noting(before: Frame, now: Frame, method: FlowMethod) -> Motion:
        looked.append(now)
        return motion_between(before, now, method)

    monkeypatch.setattr("worker.ahead.motion_between", noting)
    _, run = bench.paint(chunk.start)
    wanted = bench.studio.clip(run).frames(chunk.stop - 3, chunk.stop)
    assert all(np.array_equal(one, other) for one, other in zip(looked, wanted, strict=True))


def test_a_stop_is_heard_while_stored_frames_are_looked_up(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.paint()
    asked, head = list[str](), bench.store.head

    def noting(key: str) -> ObjectInfo | None:
        asked.append(key)
        return head(key)

    def check() -> None:
        if sum("/stylized/" in key for key in asked) == 2:
            raise JobCanceled("stop")

    monkeypatch.setattr(bench.store, "head", noting)
    with pytest.raises(JobCanceled):
        bench.paint(check=check)
    assert sum("/stylized/" in key for key in asked) == 2


def test_a_stored_frame_that_is_damaged_ends_the_chunk_after_the_frames_before_it(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    bench.store.put(keys.stylized(bench.job, MIDDLE), b"no picture")
    with pytest.raises(FrameDamaged) as caught:
        bench.paint()
    assert caught.value.frame == MIDDLE
    stored = bench.frames(bench.plan.chunks[0])
    assert {number: stored[number] for number in range(MIDDLE)} == {n: reference[0][n] for n in range(MIDDLE)}
    assert set(stored) == set(range(MIDDLE + 1))
