"""`farm gc`: make room in the store."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.output import put_json, put_table
from farm.cli.request import AsJson
from farm.cli.terminal import say
from farm.contract.errors import InvalidParameter

if TYPE_CHECKING:
    from farm.collect import Garbage

_UNIT_S = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def gc(
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be removed.")] = False,
    older_than: Annotated[
        str, typer.Option("--older-than", metavar="AGE", help="Leave what ended more recently: 7d, 12h, 30min.")
    ] = "7d",
    frames: Annotated[
        bool, typer.Option("--frames", help="Also the single frames of jobs whose film is done; the films stay.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Remove from the store what no job needs any more.

    These are all but the request of jobs that failed or were canceled, and media that no job names. Redis forgets the
    tasks of every job that ended that long ago, not the job.
    """
    from farm.client import Farm
    from farm.collect import Collector

    farm = Farm.from_settings()
    farm.check()
    found = Collector(farm.store, farm.ledger, seconds_of(older_than), frames, dry_run).collect()
    objects = sum(item.objects for item in found)
    if as_json:
        put_json({"dry_run": dry_run, "objects": objects, "garbage": found})
        return
    if found:
        put_table(("WHAT", "JOB", "OBJECTS"), map(_row, found), right=frozenset({2}))
    verb = "would be removed" if dry_run else "removed"
    say(f"{objects} objects {verb}" if found else "nothing to remove")


def seconds_of(text: str) -> float:
    """An age such as `7d`, `12h`, `30min`, `45s` in seconds; InvalidParameter where it is none."""
    match = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*(s|min|h|d)", text.strip())
    if match is None:
        raise InvalidParameter(
            f"--older-than {text!r} is no age; give e.g. 7d, 12h, 30min", name="older-than", value=text
        )
    return float(match[1]) * _UNIT_S[match[2]]


def _row(item: Garbage) -> tuple[str, str, str]:
    return (item.kind, item.job, str(item.objects))
