"""`farm doctor`: is everything there that a render needs?"""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from farm.cli.output import put_json, put_lines
from farm.cli.request import AsJson
from farm.cli.terminal import one_line, say

if TYPE_CHECKING:
    from rich.table import Table

    from farm.cli.checks import Check


def doctor(*, as_json: AsJson = False) -> None:
    """Check everything a render needs, and say how to mend what is wrong.

    Exits with 1 where a render would not go through.
    """
    from farm.cli.checks import Verdict, all_checks

    checks = list(all_checks())
    failed = [check for check in checks if check.verdict is Verdict.FAIL]
    if as_json:
        put_json({"ok": not failed, "checks": checks})
    else:
        put_lines(_table(checks))
        if not failed:
            say("ready to render", "green")
    if failed:
        raise typer.Exit(1)


def _table(checks: list[Check]) -> Table:
    from rich.table import Table
    from rich.text import Text

    mark = {"ok": Text("✓", style="green"), "warn": Text("!", style="yellow"), "fail": Text("✗", style="red")}
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=1)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        table.add_row(mark[check.verdict], check.name, Text(one_line(check.found)))
        if check.cure:
            table.add_row("", "", Text(f"→ {one_line(check.cure)}", style="bold"))
    return table
