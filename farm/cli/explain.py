"""`farm explain`: why a job is where it is; `farm logs`: what its workers said."""

from __future__ import annotations

from typing import Annotated

import typer

from farm.cli.flags import value_of
from farm.cli.output import put_json, put_lines, put_text
from farm.cli.request import AsJson
from farm.cli.selection import JobName, chosen_job
from farm.cli.terminal import one_line, put, say
from farm.contract.errors import InvalidParameter


def explain(job: JobName = None, *, as_json: AsJson = False) -> None:
    """Say in plain words why a job is where it is, and what to do about it."""
    from rich.table import Table
    from rich.text import Text

    from farm.client import Farm

    chosen = chosen_job(Farm.from_settings(), job)
    reasons = chosen.explain()
    if as_json:
        put_json({"job": chosen.name, "reasons": reasons})
        return
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    for reason in reasons:
        table.add_row("•", Text(one_line(reason.what)))
        if reason.cure:
            table.add_row("", Text(f"→ {one_line(reason.cure)}", style="bold"))
    put_lines(table)


def logs(
    job: JobName = None,
    *,
    chunk: Annotated[
        str | None,
        typer.Option(
            "--chunk",
            metavar="FRAME",
            help="Only of the chunk, boundary and segment that this frame is in.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what the workers said of a job's tasks, attempt by attempt."""
    from farm.client import Farm

    frame = None if chunk is None else value_of(int, chunk)
    if isinstance(frame, str):
        raise InvalidParameter(f"--chunk {frame!r} is no frame number; give e.g. --chunk 48", name="chunk", value=frame)
    chosen = chosen_job(Farm.from_settings(), job)
    found = list(chosen.logs(frame))
    if as_json:
        put_json(
            {
                "job": chosen.name,
                "logs": [{"task": str(item.task), "attempt": item.attempt, "text": item.text} for item in found],
            }
        )
        return
    if not found:
        say("no log line yet: each task leaves them as it ends; `farm explain` says what is going on now")
    for number, item in enumerate(found):
        if number:
            put("")
        put(f"{item.task}, attempt {item.attempt}")
        put_text(item.text)
