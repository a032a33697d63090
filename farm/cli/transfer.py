"""A bar for files on their way: only on a terminal, and only where it takes long enough to wonder."""

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
    """Context manager whose `show(done_bytes, all_bytes)` is a store's progress callback."""

    def __init__(self, verb: str) -> None:
        self._verb = verb
        self._started_s = time.monotonic()
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def show(self, done_bytes: int, all_bytes: int) -> None:
        """Show how far it is."""
        if self._progress is None:
            if time.monotonic() < self._started_s + PATIENCE_S or not terminal.is_terminal(sys.stderr):
                return
            self._progress = _bar()
            self._progress.start()
            self._task = self._progress.add_task(self._verb, total=all_bytes)
        if self._task is not None:
            self._progress.update(self._task, completed=done_bytes, total=all_bytes)


def _bar() -> Progress:
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=terminal.err(), transient=True)
