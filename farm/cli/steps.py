"""What the private farm does while it starts and ends: one line, which changes on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Self

from farm.cli import terminal

if TYPE_CHECKING:
    from rich.status import Status

    from farm.stack import StackEvent


class Steps:
    """Context manager whose `show` is a stack's `on_event`."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._busy: set[str] = set()
        self._said = False
        self._spinner: Status | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.done()

    def show(self, event: StackEvent) -> None:
        """Show which parts are on their way."""
        if event.step in ("starting", "ending"):
            self._busy.add(event.part)
        else:
            self._busy.discard(event.part)
        if event.step == "starting" and not self._said and not terminal.is_terminal(sys.stderr):
            self._said = True
            terminal.say(f"{self._title} …")
        verb = "ending the private farm" if event.step in ("ending", "ended") else self._title
        self._spin(f"{verb} ({', '.join(sorted(self._busy))})" if self._busy else verb)

    def done(self) -> None:
        """Take the line away."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def _spin(self, text: str) -> None:
        if not terminal.is_terminal(sys.stderr):
            return
        if self._spinner is None:
            self._spinner = terminal.err().status(text)
            self._spinner.start()
        self._spinner.update(text)
