"""Measured costs take the place of assumed ones, under known names only."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.costs import Costs, keep, load


def test_without_measurements_all_costs_are_assumed(tmp_path: Path) -> None:
    assert load(tmp_path / "none.json") == (Costs(), ())


def test_measurements_are_kept_beside_earlier_ones(tmp_path: Path) -> None:
    file = tmp_path / "results" / "costs.json"
    keep({"advance_s": 0.5}, file)
    keep({"task_s": 0.25}, file)
    costs, measured = load(file)
    assert (costs.advance_s, costs.task_s, costs.frame_s) == (0.5, 0.25, Costs().frame_s)
    assert measured == ("advance_s", "task_s")


def test_an_unknown_cost_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="colour: no such cost"):
        keep({"colour": 1.0}, tmp_path / "costs.json")
