"""A bar for files, or frames, on their way: only on a terminal, and only where it takes long enough to wonder."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

from farm.cli import terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

PATIENCE_S = 0.5


class Transfer:
    """Context manager whose `show(done, in_all)` is a progress callback: of bytes, or else of `things`.

    With the last byte the bar goes, so that another may follow; of frames it stays: a film is checked after its last.
    """

    def __init__(self, verb: str, things: str = "") -> None:
        self._verb = verb
        self._things = things
        self._started_s = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def show(self, done: float, in_all: float) -> None:
        """Show how far it is."""
        if self._progress is None:
            if time.monotonic() < self._started_s + PATIENCE_S or not terminal.is_terminal(sys.stderr):
                return
            self._progress = _bar(self._things)
            self._progress.start()
            self._task = self._progress.add_task(self._verb, total=in_all)
        if self._task is not None:
            self._progress.update(self._task, completed=done, total=in_all)
        if done >= in_all and not self._things:
            self._end()

    def _end(self) -> None:
        if self._progress is not None:
            self._progress.stop()
        self._progress = None


def _bar(things: str) -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    amount = (
        (TextColumn(f"{{task.completed:.0f}} of {{task.total:.0f}} {things}"),)
        if things
        else (DownloadColumn(), TransferSpeedColumn())
    )
    columns = (TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn())
    return Progress(*columns, console=terminal.err(), transient=True)
