"""The simulation's page shows every number of GPUs, and which costs were measured."""

from __future__ import annotations

import pytest

from bench.costs import Costs
from bench.simulation import film, simulate
from bench.simulation_page import costs_table, lifts_table, runs_table

PLAN = film(1_500)


def test_a_row_for_every_number_of_gpus() -> None:
    runs = [simulate(PLAN, Costs(), gpus) for gpus in (1, 8)]
    rows = runs_table(runs)[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| 1", "| 8"]
    assert " | 1.000 | " in rows[0]


def test_lifting_everything_lifts_most() -> None:
    plan = film(6_000)  # long enough that how its tasks happen to fit side by side does not decide
    lines = lifts_table(plan, Costs(), [16], lambda _: None)[2:]
    found = {line.split(" | ")[0].removeprefix("| "): float(line.split(" | ")[1].removesuffix(" |")) for line in lines}
    assert found["all of these"] > found["as it is"]
    assert found["all of these"] == pytest.approx(max(found.values()), abs=0.02)


def test_measured_costs_are_told_from_assumed_ones() -> None:
    lines = costs_table(Costs(), ["task_s"])
    assert "| task_s | 0.1 | measured |" in lines
    assert "| frame_s | 0.3 | assumed |" in lines
