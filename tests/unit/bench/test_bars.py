"""Bars judge the worst case, and say so when they could not judge."""

from __future__ import annotations

import pytest

from bench.bars import Bar, at_least, at_most, same, table, unmeasured, verdict_table, within, worst_boundary


def test_at_most_judges_the_highest_case() -> None:
    bar = at_most(1, "seam", {"a": 1.01, "b": 1.04}, 1.03)
    assert (bar.figure, bar.case, bar.met) == ("1.04", "b", False)
    assert at_most(1, "seam", {"a": 1.03}, 1.03).met is True


def test_at_least_judges_the_lowest_case() -> None:
    bar = at_least(2, "detail", {"a": 0.99, "b": 0.94}, 0.95)
    assert (bar.figure, bar.case, bar.met) == ("0.94", "b", False)
    assert at_least(2, "detail", {"a": 0.95}, 0.95).met is True


@pytest.mark.parametrize(("ratio", "met"), [(0.96, True), (1.04, True), (0.94, False), (1.06, False)])
def test_within_judges_both_ways(ratio: float, met: bool) -> None:
    assert within(3, "drift", {"a": 1.0, "b": ratio}, 0.05).met is met


def test_within_shows_the_drift_with_its_sign() -> None:
    assert within(3, "drift", {"a": 1.01, "b": 0.93}, 0.05).figure == "-7.0%"


def test_same_is_met_only_where_no_frame_differs() -> None:
    assert same(7, "bytes", {"repeated": 0, "resumed": 0}) == Bar(
        7, "bytes", "no frame differs", "none", "repeated, resumed", True
    )
    bar = same(7, "bytes", {"repeated": 0, "resumed": 3})
    assert (bar.figure, bar.case, bar.met) == ("3 differ", "resumed", False)


def test_shares_are_shown_in_percent() -> None:
    bar = at_most(5, "cost", {"a": 0.1234}, 0.15, percent=True)
    assert (bar.asked, bar.figure) == ("≤ 15.0%", "12.3%")


def test_a_bar_without_figures_is_neither_met_nor_missed() -> None:
    for bar in (at_most(1, "x", {}, 1), at_least(1, "x", {}, 1), within(1, "x", {}, 1), same(1, "x", {})):
        assert bar.met is None
    assert verdict_table([unmeasured(5, "cost", "≤ 15%")])[-1] == "| 5 | cost | ≤ 15% | — |  | not measured |"


def test_a_bar_that_is_missed_stands_out() -> None:
    assert verdict_table([at_most(1, "seam", {"a": 2.0}, 1.0)])[-1].endswith("| **no** |")


def test_a_cell_can_hold_a_bar() -> None:
    assert table(("a",), [("1|2",)]) == ["| a |", "| --- |", "| 1\\|2 |"]


def test_the_worst_boundary_is_that_of_the_highest_frame_not_of_the_highest_mean() -> None:
    excess = {"a": {12: [1.1, 1.1], 24: [0.5, 1.3]}, "b": {12: [1.2, 1.2]}}
    assert worst_boundary(excess) == ("a", 24)


def test_no_boundaries_have_no_worst() -> None:
    assert worst_boundary({"a": {}, "b": {12: []}}) is None
