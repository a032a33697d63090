"""Where text goes: data to stdout, words for people to stderr; plain where it is no terminal.

On a terminal: colours (unless `NO_COLOR`), bars, tables fitted to its width. Elsewhere: no escape codes, no bars,
lines as long as they are.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.console import Console

UNBOUNDED_COLUMNS = 10_000


def out() -> Console:
    """The console on stdout."""
    return _console(sys.stdout)


def err() -> Console:
    """The console on stderr."""
    return _console(sys.stderr)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person watches this stream on a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


def say(text: str, style: str = "") -> None:
    """One line for people, on stderr."""
    err().print(one_line(text), style=style, markup=False, highlight=False, emoji=False)


def warn(text: str) -> None:
    """A warning for people, on stderr."""
    say(f"farm: {text}", "yellow")


def complain(text: str) -> None:
    """An error for people, on stderr."""
    say(f"farm: {text}", "red")


def put(text: str) -> None:
    """One line of data, on stdout, just as it is."""
    sys.stdout.write(one_line(text) + "\n")
    sys.stdout.flush()


def one_line(text: str) -> str:
    """`text` on one line, without control characters: names and messages may come from anywhere."""
    words = " ".join(text.split())
    return "".join(char if char.isprintable() else "�" for char in words)


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    if is_terminal(stream):
        return Console(file=stream, color_system=None if os.environ.get("NO_COLOR") else "auto", highlight=False)
    return Console(
        file=stream,
        force_terminal=False,
        color_system=None,
        highlight=False,
        width=UNBOUNDED_COLUMNS,
        legacy_windows=False,
    )
