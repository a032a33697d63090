"""The simulated farm keeps to closed forms: sums of work, longest chains, list scheduling's bound, busy servers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bench.costs import FREE, Costs
from bench.critical import Part
from bench.simulation import assembled_s, film, segment_finals, simulate, task_frames, task_work_s
from farm.contract.messages import Stage, TaskId
from farm.contract.params import Coherence
from farm.coordinator.graph import frames_by_task, paint_tasks
from worker.engine.approach import APPROACH_FRAMES

PAINT = replace(FREE, first_s=3.0, anchor_s=2.0, frame_s=1.0, carry_frame_s=0.25, departure_s=1.5, settle_frame_s=0.5)
LINKED = film(2_000, chunk_frames=24)
INDEPENDENT = film(2_000, chunk_frames=24, coherence=Coherence.OFF)


def longest_chain_s(plan, costs) -> float:
    """By dynamic programming over the coordinator's own graph."""
    work, left = task_work_s(plan, costs), paint_tasks(plan)
    done: dict[TaskId, float] = {}
    while left:
        for task in [task for task, needs in left.items() if all(need in done for need in needs)]:
            done[task] = max((done[need] for need in left.pop(task)), default=0.0) + work[task]
    return max(done.values())


def test_one_worker_takes_the_sum_of_the_work() -> None:
    for plan in (LINKED, INDEPENDENT):
        assert simulate(plan, PAINT, 1).painted_s == pytest.approx(sum(task_work_s(plan, PAINT).values()))


def test_any_number_of_workers_take_the_longest_chain() -> None:
    assert simulate(LINKED, PAINT, 10_000).painted_s == pytest.approx(longest_chain_s(LINKED, PAINT))


@pytest.mark.parametrize("gpus", [2, 7, 40])
@pytest.mark.parametrize("plan", [LINKED, INDEPENDENT])
def test_between_them_graham_bounds_list_scheduling(plan, gpus: int) -> None:
    work_s, chain_s = sum(task_work_s(plan, PAINT).values()), longest_chain_s(plan, PAINT)
    painted_s = simulate(plan, PAINT, gpus).painted_s
    assert max(work_s / gpus, chain_s) - 1e-6 <= painted_s <= work_s / gpus + (1 - 1 / gpus) * chain_s + 1e-6


def test_the_work_of_a_known_plan() -> None:
    plan = film(48, chunk_frames=24, blend_frames=6)
    one, two = ([TaskId(stage, start) for stage in (Stage.ANCHOR, Stage.STYLIZE)] for start in (0, 24))
    work = task_work_s(plan, PAINT)
    assert [work[task] for task in one] == [3.0, 23 * 1.0 + 23 * 0.25]  # its approach is cut to what follows its anchor
    assert [work[task] for task in two] == [2.0 + 24 * 0.25, 1.5 + 23.0]
    assert work[TaskId(Stage.BLEND, 24)] == 6 * 0.5


def test_frames_and_approach_are_the_farms_own() -> None:
    frames = frames_by_task(LINKED)
    assert task_frames(LINKED) == {task: frames[task] for task in paint_tasks(LINKED)}
    assert Costs().approach_frames == APPROACH_FRAMES


@pytest.mark.parametrize("gpus", [1, 9, 200])
def test_the_critical_path_is_as_long_as_the_run(gpus: int) -> None:
    run = simulate(LINKED, Costs(), gpus)
    assert sum(run.shares.values()) == pytest.approx(run.painted_s)


def test_looks_wait_for_a_coordinator_and_are_named() -> None:
    costs = replace(PAINT, advance_s=5.0)
    run = simulate(LINKED, costs, 500)
    assert run.bottleneck is Part.COORDINATOR
    assert run.painted_s > simulate(LINKED, replace(costs, coordinators=8), 500).painted_s


def test_redis_is_one_thread() -> None:
    costs = replace(PAINT, redis_op_s=0.1, redis_task_ops=10)
    run = simulate(INDEPENDENT, costs, 500)
    assert run.painted_s >= len(run.traces) * 1.0
    assert run.bottleneck is Part.REDIS


def test_the_stores_line_is_shared_by_all() -> None:
    costs = replace(PAINT, frame_bytes=1_000, worker_bytes_s=10_000, store_bytes_s=10_000)
    run = simulate(INDEPENDENT, costs, 500)
    stored_bytes = 1_000 * sum(task_frames(INDEPENDENT).values())
    assert run.painted_s >= stored_bytes / 10_000 - 1e-6
    assert run.bottleneck is Part.STORE


@pytest.mark.parametrize(("gpus", "fetch_s"), [(1, 7), (4, 7), (8, 14)])
def test_every_machine_fetches_the_source_once(gpus: int, fetch_s: float) -> None:
    costs = replace(PAINT, source_bytes=700, worker_bytes_s=100, store_bytes_s=100, machine_gpus=4)
    painted_s = simulate(INDEPENDENT, costs, gpus).painted_s
    assert painted_s == pytest.approx(simulate(INDEPENDENT, PAINT, gpus).painted_s + fetch_s)


def test_anchors_do_not_wait_behind_chunks() -> None:
    run = simulate(LINKED, PAINT, 3)
    started = {task: trace.started_s for task, trace in run.traces.items()}
    chunks = [(trace.queued_s, started[task]) for task, trace in run.traces.items() if task.stage is Stage.STYLIZE]
    anchors = [(trace.queued_s, started[task]) for task, trace in run.traces.items() if task.stage is Stage.ANCHOR]
    assert all(
        not (anchor_queued_s < chunk_started_s < anchor_started_s and chunk_queued_s < chunk_started_s)
        for anchor_queued_s, anchor_started_s in anchors
        for chunk_queued_s, chunk_started_s in chunks
    )


def test_stragglers_cost_nothing_in_the_mean_and_something_at_the_end() -> None:
    spread = replace(PAINT, straggle_sigma=0.4)
    assert simulate(LINKED, spread, 1).painted_s == pytest.approx(simulate(LINKED, PAINT, 1).painted_s, rel=0.1)
    assert simulate(LINKED, spread, 10_000).painted_s > simulate(LINKED, PAINT, 10_000).painted_s


def test_a_task_has_the_same_luck_on_any_number_of_gpus() -> None:
    spread = replace(PAINT, straggle_sigma=0.4)
    few, many = (simulate(LINKED, spread, gpus).traces for gpus in (3, 30))
    for task, trace in few.items():
        assert trace.spent_s[Part.STRAGGLERS] == pytest.approx(many[task].spent_s[Part.STRAGGLERS])


def test_a_film_is_the_same_for_a_seed_and_covers_every_frame() -> None:
    assert film(5_000) == film(5_000)
    assert film(5_000) != film(5_000, seed=1)
    assert sum(len(chunk.frames) for chunk in film(5_000).chunks) == 5_000


def test_segments_are_encoded_as_they_become_final_and_then_joined() -> None:
    finals = [(10, 5.0), (10, 1.0), (10, 40.0)]
    costs = replace(FREE, encode_frame_s=1.0, encoders=1)
    assert assembled_s(finals, costs) == 40 + 10  # 1 + 10, 11 + 10, then the last
    assert assembled_s([(10, 5.0)] * 3, costs) == 5 + 30
    assert assembled_s([(10, 5.0)] * 3, replace(costs, encoders=3)) == 5 + 10
    assert assembled_s(finals, replace(costs, join_frame_s=0.1)) == 40 + 10 + 3
    slow_line = replace(costs, frame_bytes=300, worker_bytes_s=100)
    assert assembled_s(finals, slow_line) == 1 + 90


def test_a_segment_is_final_with_its_last_blend() -> None:
    run = simulate(LINKED, PAINT, 4)
    finals = segment_finals(LINKED, run.traces)
    assert max(end_s for _, end_s in finals) == run.painted_s
    assert sum(frames for frames, _ in finals) == LINKED.frame_count
