"""The table of what was done to the farm and what came of it; `make chaos` writes it to bench/results/chaos.md."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from chaos.yard import Painted, Yard

from farm.job import Job

HEAD = """# Chaos

What `make chaos` did to a real farm (one coordinator, two workers, Redis and an S3 server on one machine) and what came
of it. Every job here ended with a film whose frames are, byte for byte, those of an undisturbed run; each frame is in
one manifest; no process, lease, message or Redis key without an owner was left.

| fault | times injected | jobs | frames lost | frames painted twice | recovery, median / longest | of | run on |
|---|---|---|---|---|---|---|---|
"""

TAIL = """
Frames painted twice: sent to the store by two executors; the second found the first's and took it. A chunk's first
frame is a copy of its anchor and does not count. Leases were 3 s long, sweeps 0.5 s apart, the visibility timeout 5 s:
with the defaults (30 s, 5 s, 6 h) a lost lease takes about ten times as long to be noticed. A row is of the
last run of its fault; rows of other days were not run again since.
"""


@dataclass(eq=False)
class Row:
    """One fault's line."""

    fault: str
    injected: int = 0
    jobs: int = 0
    lost: int = 0
    twice: int = 0
    recovery_s: list[float] = field(default_factory=list)
    until: str = ""  # what recovery means here
    day: date = field(default_factory=date.today)  # of the run

    def line(self) -> str:
        """The row in Markdown."""
        times = "—"
        if self.recovery_s:
            times = f"{statistics.median(self.recovery_s):.1f} s / {max(self.recovery_s):.1f} s"
        return (
            f"| {self.fault} | {self.injected} | {self.jobs} | {self.lost} | {self.twice} | {times} | {self.until} |"
            f" {self.day} |\n"
        )


@dataclass
class Tally:
    """All rows of a run, written to `table` as they come, so that a run cut short leaves what it has shown."""

    table: Path | None = None
    rows: list[Row] = field(default_factory=list)

    def row(self, fault: str, until: str = "") -> Row:
        """That fault's row; a new one is kept only once a job went through it. Rows stand in order of their names."""
        return next((row for row in self.rows if row.fault == fault), Row(fault, until=until))

    def prove(
        self, row: Row, yard: Yard, job: Job, reference: Painted, injected: int = 0, ended_s: float | None = None
    ) -> None:
        """The job is done: count it in, where it is complete and nothing is left of it.

        With `ended_s`, when the fault ended, recovery is the time until the next object was stored.
        """
        row.lost += yard.lost(job, reference)
        yard.check_complete(job, reference)
        yard.check_clean()
        row.jobs += 1
        row.injected += injected
        row.twice += yard.painted_twice(job)
        if ended_s is not None:
            row.recovery_s.append(yard.first_stored_s(job, ended_s) - ended_s)
        if row not in self.rows:
            self.rows.append(row)
        if self.table:
            self.write(self.table)

    def write(self, path: Path) -> None:
        """Write the table anew, all but the rows of faults that were not tried this time: those stay as they are."""
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = _rows(path.read_text()) if path.exists() else {}
        lines |= {row.fault: row.line() for row in self.rows}
        path.write_text(HEAD + "".join(lines[fault] for fault in sorted(lines)) + TAIL)


COLUMNS = 8
UNDATED = "—"
"""The day of a row from before rows had one."""


def _rows(text: str) -> dict[str, str]:
    """A table's rows by their faults."""
    cells = [
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines() if line[:2] == "| "
    ]
    return {row[0]: _line([*row, UNDATED][:COLUMNS]) for row in cells if row[0] != "fault"}


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"
