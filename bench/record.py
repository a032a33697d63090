"""The figures behind `picture.md`, kept beside it: so that the page can be painted in parts, over days and machines.

A run's figures replace those of earlier ones case by case. What it did not measure anew stays, marked on the page with
the painting code it is of.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import ClassVar

from bench.findings import Findings
from farm.contract.codec import from_json, to_plain

FILE = "figures.json"


@dataclass(frozen=True, slots=True)
class Run:
    """What one run measured, of what, and on what."""

    date: str
    device: str
    versions: dict[str, str]
    painter_code: str
    command: str
    clips: dict[str, str]  # by their name in the tables: title and length
    styles: tuple[str, ...]
    found: Findings
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """Runs, the newest first, each without what a later one measured anew."""

    VERSION: ClassVar[int] = 1

    scope: str  # how much of everything was painted: other figures can't stand beside these
    runs: tuple[Run, ...]
    strips: dict[str, str] = field(default_factory=dict)  # titles, by the file's name
    version: int = 1

    @property
    def found(self) -> Findings:
        """All runs' findings in one; those of earlier runs have the run's mark behind the case."""
        merged = Findings()
        for number, run in enumerate(self.runs):
            for kind, items in zip(_kinds(merged), _kinds(run.found), strict=True):
                kind.update({f"{label}{mark(number)}": item for label, item in items.items()})
        return merged


def mark(number: int) -> str:
    """What rows of the run with this number bear: nothing for the newest, then `¹`, `²` and so on."""
    return f" {str(number).translate(str.maketrans('0123456789', '⁰¹²³⁴⁵⁶⁷⁸⁹'))}" if number else ""


def joined(earlier: Record | None, run: Run, scope: str) -> Record:
    """`run` before what `earlier` runs of the same scope measured and it did not.

    What the same code painted on the same kind of machine is one run with it.
    """
    if earlier is None or earlier.scope != scope:
        return Record(scope, (run,))
    rest = [replace(old, found=_without(old.found, run.found)) for old in earlier.runs]
    for old in [old for old in rest if _origin(old) == _origin(run)]:
        styles = tuple(dict.fromkeys((*old.styles, *run.styles)))
        run = replace(run, clips=old.clips | run.clips, styles=styles, found=_both(old.found, run.found))
    others = [old for old in rest if _origin(old) != _origin(run) and any(_kinds(old.found))]
    return replace(earlier, runs=(run, *others))


def _origin(run: Run) -> tuple[str, str, dict[str, str]]:
    return run.painter_code, run.device, run.versions


def _both(old: Findings, new: Findings) -> Findings:
    return Findings(*(mine | other for mine, other in zip(_kinds(old), _kinds(new), strict=True)))  # type: ignore[arg-type]


def _without(old: Findings, new: Findings) -> Findings:
    kept = [
        {label: item for label, item in mine.items() if label not in other}
        for mine, other in zip(_kinds(old), _kinds(new), strict=True)
    ]
    return Findings(*kept)  # type: ignore[arg-type]


def _kinds(found: Findings) -> list[dict[str, object]]:
    """Its tables, in order."""
    return [getattr(found, info.name) for info in fields(Findings)]


def read(folder: Path) -> Record | None:
    """The record in `folder`; None where there is none. InvalidInput where it is none of ours."""
    file = folder / FILE
    return from_json(Record, file.read_text()) if file.is_file() else None


def write(record: Record, folder: Path) -> None:
    """The record to `folder`: a line for each figure, so that a difference can be read."""
    text = json.dumps(to_plain(record), indent=1, ensure_ascii=False, allow_nan=False)
    (folder / FILE).write_text(text + "\n")
