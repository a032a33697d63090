"""What the farm costs is told from the tasks' own times."""

from __future__ import annotations

import pytest

from bench import chunk, overhead, scaling
from bench.overhead import Overhead, besides_painting_s, between_s, fitted
from bench.scaling import Scaling, costs_of, painting_time_s, simulated_speedup
from farm.contract.messages import FrameRecord, Manifest, Stage
from farm.plan import make_plan


def task(stage: Stage, start: int, began_s: float, took_s: float, frames: int = 1, worker: str = "w1", **timings):
    records = tuple(FrameRecord(start + number, "") for number in range(frames))
    return Manifest("job", stage, start, 1, worker, "cpu", began_s, began_s + took_s, records, timings)


def test_a_frames_part_is_told_from_a_chunks() -> None:
    assert fitted([(frames, 0.01 * frames + 0.1) for frames in (6, 6, 48, 47)]) == pytest.approx((0.01, 0.1))


def test_painting_is_taken_off_or_the_flow_beside_it_where_that_takes_longer() -> None:
    manifest = task(Stage.STYLIZE, 0, 5.0, 2.0, paint=1.0, warp=0.25, flow=0.5, decode=0.25, wait=0.5)
    assert besides_painting_s(manifest) == pytest.approx(0.75)
    assert besides_painting_s(task(Stage.STYLIZE, 0, 5.0, 2.0, paint=1.0, flow=1.5)) == pytest.approx(0.5)


@pytest.mark.parametrize(("frames", "besides_s"), [(24, 0.4), (25, 1.0)])
def test_the_way_to_the_next_anchor_is_waited_for_by_short_chunks(frames: int, besides_s: float) -> None:
    manifest = task(Stage.STYLIZE, 0, 5.0, 2.0, frames, paint=1.0, approach=0.6, flow=0.5)
    assert besides_painting_s(manifest) == pytest.approx(besides_s)


def test_gaps_are_between_tasks_of_one_worker_as_long_as_chunks_are_left() -> None:
    manifests = [
        task(Stage.ANCHOR, 0, 0, 1), task(Stage.STYLIZE, 0, 1.2, 8), task(Stage.STYLIZE, 20, 9.3, 10),
        task(Stage.STYLIZE, 60, 3, 10, worker="w2"), task(Stage.BLEND, 20, 19.6, 0.1), task(Stage.STYLIZE, 40, 20.1, 9),
        task(Stage.BLEND, 40, 90, 1), task(Stage.SEGMENT, 0, 15, 1),
    ]  # fmt: skip
    assert between_s(manifests) == pytest.approx(0.25)  # the median of 0.2, 0.1, 0.3 and 0.4
    assert between_s(manifests[:1]) == 0


def test_painting_is_from_the_first_anchor_to_the_last_task_before_assembly() -> None:
    manifests = [
        task(Stage.PLAN, 0, 0, 2), task(Stage.ANCHOR, 0, 3, 1), task(Stage.STYLIZE, 0, 4, 5),
        task(Stage.BLEND, 8, 9, 2), task(Stage.ASSEMBLE, 0, 11, 9),
    ]  # fmt: skip
    assert painting_time_s(manifests) == 8


def test_the_simulation_gives_one_workers_time_back_and_no_more_than_two_can() -> None:
    plan = make_plan(64, (64, 64), [16, 32, 48], 8, 4, "0" * 64)
    manifests, at = [], 0.0

    def then(stage: Stage, start: int, took_s: float, frames: int = 1) -> None:
        nonlocal at
        manifests.append(task(stage, start, at, took_s, frames))
        at += took_s

    for each in plan.chunks:
        then(Stage.ANCHOR, each.start, 3.0 if each.start % 16 == 0 else 1.0)
    for each in plan.chunks:
        then(Stage.STYLIZE, each.start, 7.0, 8)
    for boundary in plan.boundaries:
        then(Stage.BLEND, boundary.start, 2.0, 4)
    costs = costs_of(plan, manifests)
    assert (costs.first_s, costs.anchor_s, costs.frame_s, costs.settle_frame_s) == (3, 1, 1, 0.5)
    assert 1.8 < simulated_speedup(plan, manifests) <= 2


def test_bars_and_pages() -> None:
    costs = Overhead(0.010, 0.1, 0.2, 0.05, 2.5, {"decode": 1.25})
    assert [bar.met for bar in costs.bars()] == [True, False, True]
    page = overhead.page(costs, {"advance_s": 0.002, "advance_task_s": 5e-6}, "Today.")
    assert "| decode | 1.25 |" in page
    assert "5 µs" in page
    speed_up = Scaling(9, (100.0, 52.0), (110.0, 66.0), simulated=1.95, alone=2.0)
    assert [bar.met for bar in speed_up.bars()] == [True, False]
    page = scaling.page(speed_up, "Today.")
    assert "| whole job | 110.0 | 66.0 | 1.67 × |" in page
    assert "gains 0.96 of that" in page


def test_a_chunks_worst_share_is_judged() -> None:
    good = task(Stage.STYLIZE, 0, 0.0, 100.0, 48, paint=94.0, warp=3.0, wait=1.0, flow=20.0)
    bad = task(Stage.STYLIZE, 48, 0.0, 50.0, 48, paint=40.0, warp=2.0)
    assert [bar.met for bar in chunk.Chunks(480, 2, (good,)).bars()] == [True]
    both = chunk.Chunks(480, 2, (good, bad))
    assert [(bar.figure, bar.case, bar.met) for bar in both.bars()] == [("0.84", "chunk at 48", False)]
    page = chunk.page(both, "Today.")
    assert "| 48 | 48 | 50.00 | 40.00 | 2.00 | 0.00 | 84.0% |" in page
    assert "| flow | 208.33 |" in page
