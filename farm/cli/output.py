"""Data for people and for programs: tables, facts, JSON; and how numbers are written."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from farm.cli.terminal import one_line, out
from farm.contract.codec import to_plain

if TYPE_CHECKING:
    from rich.text import Text

    from farm.status import JobStatus

STATE_STYLE = {
    "succeeded": "green", "failed": "red", "canceled": "yellow", "canceling": "yellow",
    "paused": "yellow", "pausing": "yellow", "rendering": "cyan", "assembling": "cyan", "planning": "cyan",
}  # fmt: skip


def put_json(value: Any) -> None:
    """One line of JSON on stdout."""
    sys.stdout.write(json.dumps(to_plain(value), ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def put_table(
    head: Sequence[str], rows: Iterable[Sequence[str | Text]], *, right: frozenset[int] = frozenset()
) -> None:
    """A table on stdout; columns whose number is in `right` are aligned right. A plain cell is never markup."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for number, title in enumerate(head):
        table.add_column(title, justify="right" if number in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, Text) else Text(one_line(cell)) for cell in row))
    put_lines(table)


def put_facts(facts: Iterable[tuple[str, str | Text]]) -> None:
    """Name and value, one pair a line, on stdout."""
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts:
        table.add_row(name, value if isinstance(value, Text) else Text(one_line(value)))
    put_lines(table)


def put_lines(renderable: Any) -> None:
    """Anything Rich can draw, on stdout; without the blanks at line ends where nobody watches."""
    console = out()
    if console.is_terminal:
        console.print(renderable)
        return
    with console.capture() as capture:
        console.print(renderable)
    sys.stdout.write("".join(line.rstrip() + "\n" for line in capture.get().splitlines()))
    sys.stdout.flush()


def put_text(text: str) -> None:
    """Lines of foreign text on stdout, set in a little; control characters are shown, not obeyed."""
    for line in text.splitlines():
        shown = "".join(char if char.isprintable() else "�" for char in line.expandtabs())
        sys.stdout.write(f"  {shown}".rstrip() + "\n")
    sys.stdout.flush()


def state_text(state: str) -> Text:
    """A job's state in its colour."""
    from rich.text import Text

    return Text(state, STATE_STYLE.get(state, ""))


def job_plain(status: JobStatus) -> dict[str, Any]:
    """A job's status as JSON has it."""
    return {**to_plain(status), "fraction": round(status.fraction, 4), "ended": status.ended}


def duration_text(seconds: float | None) -> str:
    """`0:07`, `12:34`, `1:02:03`; `–` where unknown."""
    if seconds is None:
        return "–"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def rate_text(frames_per_s: float) -> str:
    """`0.61 frames/s`, or `3.2 s/frame` where it is slower than one frame in two seconds; empty for 0."""
    if frames_per_s <= 0:
        return ""
    if frames_per_s < 0.5:
        return f"{1 / frames_per_s:.1f} s/frame"
    return f"{frames_per_s:.2f} frames/s" if frames_per_s < 10 else f"{frames_per_s:.0f} frames/s"


def bytes_text(count: float) -> str:
    """`17 kB`, `3.4 GB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" or count >= 10 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def age_text(created_s: float) -> str:
    """How long ago: `12 s ago`, `3 min ago`, `5 h ago`, `2 days ago`."""
    age_s = max(0.0, time.time() - created_s)
    for limit_s, unit_s, unit in ((60, 1, "s"), (3600, 60, "min"), (86400, 3600, "h")):
        if age_s < limit_s:
            return f"{age_s // unit_s:.0f} {unit} ago"
    days = int(age_s // 86400)
    return f"{days} day{'s' if days > 1 else ''} ago"
