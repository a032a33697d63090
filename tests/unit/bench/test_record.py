"""The benchmark's figures, kept beside its page: a page made of several runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.findings import Cost, Film, Findings, Seams
from bench.page import page
from bench.picture import is_shown, worst_is_earlier
from bench.record import FILE, Run, joined, mark, read, write
from farm.contract.errors import InvalidInput
from farm.measure.report import Drift, SeamSummary

SCOPE = "size 320 px"
FILM = Film(24, 24, 0.02, 0.03, None, 0.04, 0.01, Drift(1.0, 0.98, None), None)


def seams(excess: float, chunk: int = 48) -> Seams:
    return Seams(chunk, 1, FILM, SeamSummary(1.0, 1.1, 1.0, 1.0, 1.02, 1.04, 0.9, excess, 1.0, 1.0), 1.0)


def run(code: str, found: Findings) -> Run:
    clips = {"bunny": "Big Buck Bunny (24 frames)"}
    return Run("2026-01-01", "cpu", {"torch": "2"}, code, f"paint {code}", clips, ("swirl",), found)


BUNNY, BIKES = "bunny, swirl, 48", "bikes, swirl, 48"
FIRST = run("aaaa", Findings(seams={BUNNY: seams(1.5), BIKES: seams(1.2)}, differing={"repeated": 0}))
SECOND = run("bbbb", Findings(seams={BUNNY: seams(1.1)}, costs={BUNNY: Cost(0.1, 0.0)}))


def test_a_later_run_replaces_what_it_measured_and_keeps_the_rest() -> None:
    record = joined(joined(None, FIRST, SCOPE), SECOND, SCOPE)
    newest, earlier = record.runs
    assert newest == SECOND
    assert earlier == replace(FIRST, found=Findings(seams={BIKES: seams(1.2)}, differing={"repeated": 0}))
    assert record.found.seams == {BUNNY: seams(1.1), f"{BIKES} ¹": seams(1.2)}


def test_what_the_same_code_painted_is_one_run() -> None:
    later = replace(SECOND, painter_code="aaaa", date="2026-01-02", clips={"bikes": "Bikes"}, styles=("mosaic",))
    (only,) = joined(joined(None, FIRST, SCOPE), later, SCOPE).runs
    assert (only.date, only.command) == ("2026-01-02", later.command)
    assert (set(only.clips), only.styles) == ({"bunny", "bikes"}, ("swirl", "mosaic"))
    assert only.found.seams == {BIKES: seams(1.2), BUNNY: seams(1.1)}
    assert (only.found.costs, only.found.differing) == (SECOND.found.costs, {"repeated": 0})


def test_a_run_of_which_nothing_is_left_is_forgotten() -> None:
    again = replace(FIRST, painter_code="cccc")
    assert joined(joined(None, FIRST, SCOPE), again, SCOPE).runs == (again,)


def test_figures_of_another_scope_do_not_stand_beside_these() -> None:
    record = joined(joined(None, FIRST, SCOPE), SECOND, "size 160 px")
    assert (record.scope, record.runs) == ("size 160 px", (SECOND,))


def test_a_record_comes_back_from_its_file(tmp_path: Path) -> None:
    record = replace(joined(joined(None, FIRST, SCOPE), SECOND, SCOPE), strips={"worst_48.jpg": "the worst"})
    write(record, tmp_path)
    assert read(tmp_path) == record
    assert read(tmp_path / "nowhere") is None


def test_a_file_of_someone_elses_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    with pytest.raises(InvalidInput):
        read(tmp_path)


def test_the_page_says_of_which_run_a_row_is() -> None:
    text = page(joined(joined(None, FIRST, SCOPE), SECOND, SCOPE), [], [])
    assert (
        "painting code bbbb. `make bench-picture` measures all of this page, `paint bbbb` measured the newest" in text
    )
    assert "- ¹ of an earlier run: 2026-01-01, cpu, torch 2; painting code aaaa." in text
    rows = [line for line in text.splitlines() if line.startswith(("| bunny", "| bikes"))]
    assert {row.split(" | ")[0] for row in rows} == {f"| {BUNNY}", f"| {BIKES} ¹"}
    assert "| repeated ¹ | 0 |" in text
    assert "1.20 | bikes, swirl, 48 ¹ | **no** |" in text


def test_the_page_of_a_whole_run_says_no_more_of_it() -> None:
    text = page(joined(None, replace(FIRST, command="make bench-picture"), SCOPE), [], [])
    assert "painting code aaaa. `make bench-picture` writes this page.\n" in text
    assert "earlier run" not in text


def test_marks_are_small_numbers() -> None:
    assert [mark(number) for number in (0, 1, 12)] == ["", " ¹", " ¹²"]


@pytest.mark.parametrize(("excess", "earlier"), [(1.1, True), (1.3, False)])
def test_a_strip_of_an_earlier_run_stays_while_its_boundary_is_the_worst(excess: float, earlier: bool) -> None:
    later = replace(SECOND, found=Findings(seams={BUNNY: seams(excess), "bunny, swirl, 12": seams(1.0, 12)}))
    record = joined(joined(None, FIRST, SCOPE), later, SCOPE)
    assert worst_is_earlier(record, 48) is earlier
    assert not worst_is_earlier(record, 12)


def test_a_strip_goes_with_its_film() -> None:
    record = joined(joined(None, FIRST, SCOPE), SECOND, SCOPE)
    assert is_shown(record, "bikes, swirl, chunks of 48: the worst boundary, s = 40")
    assert not is_shown(record, "bunny, swirl, chunks of 48: the worst boundary, s = 44")  # the newest has another
    assert not is_shown(record, "")
