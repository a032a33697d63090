"""The table of `make chaos`: a run of some faults leaves the rows of the others, and nothing written by hand."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from chaos.tally import HEAD, TAIL, Row, Tally

OLD = date(2026, 1, 2)
NEW = date(2026, 3, 4)


def write(path: Path, *rows: Row) -> None:
    Tally(rows=list(rows)).write(path)


def rows_of(path: Path) -> list[str]:
    text = path.read_text()
    assert text.startswith(HEAD)
    assert text.endswith(TAIL)
    return text.removeprefix(HEAD).removesuffix(TAIL).splitlines()


def test_a_row_has_a_cell_for_every_column_and_its_day(tmp_path: Path) -> None:
    row = Row("a fault", injected=4, jobs=2, twice=1, recovery_s=[1.0, 2.0, 6.0], until="the next object", day=OLD)
    write(tmp_path / "t.md", row)
    assert rows_of(tmp_path / "t.md") == ["| a fault | 4 | 2 | 0 | 1 | 2.0 s / 6.0 s | the next object | 2026-01-02 |"]
    (header,) = [line for line in HEAD.splitlines() if line.startswith("| fault")]
    assert header.count("|") == row.line().count("|")


def test_a_run_of_some_faults_writes_their_rows_and_keeps_the_others_with_their_own_day(tmp_path: Path) -> None:
    path = tmp_path / "t.md"
    write(path, Row("c", jobs=1, day=OLD), Row("a", jobs=1, day=OLD))
    write(path, Row("c", jobs=2, day=NEW), Row("b", jobs=3, day=NEW))
    assert rows_of(path) == [
        "| a | 0 | 1 | 0 | 0 | — |  | 2026-01-02 |",
        "| b | 0 | 3 | 0 | 0 | — |  | 2026-03-04 |",
        "| c | 0 | 2 | 0 | 0 | — |  | 2026-03-04 |",
    ]


def test_what_was_written_by_hand_goes_and_what_explains_the_columns_stays(tmp_path: Path) -> None:
    path = tmp_path / "t.md"
    write(path, Row("a", day=OLD))
    path.write_text(
        path.read_text().replace("Frames painted twice:", "Painted twice?") + "\nNot shown by any run: b.\n"
    )
    write(path, Row("b", day=NEW))
    assert "by any run" not in path.read_text()
    assert path.read_text().count("Frames painted twice: sent to the store") == 1
    assert len(rows_of(path)) == 2


def test_a_row_from_before_rows_had_a_day_says_that_it_has_none(tmp_path: Path) -> None:
    path = tmp_path / "t.md"
    path.write_text("# Chaos\n\n| fault | jobs |\n|---|---|\n| a | 1 | 1 | 0 | 0 | — |  |\n\nBy hand.\n")
    write(path, Row("b", day=NEW))
    assert rows_of(path)[0] == "| a | 1 | 1 | 0 | 0 | — |  | — |"


def test_writing_twice_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t.md"
    write(path, Row("a", day=OLD))
    before = path.read_text()
    write(path)
    assert path.read_text() == before
