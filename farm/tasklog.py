"""An attempt's log lines, kept in the store for `farm logs`: the first and the last ones of a long log.

What a process that is killed had said is lost with it; the coordinator then leaves a line in its place.
"""

from __future__ import annotations

import logging
import time
from collections import deque

FIRST_LINES = 100
LAST_LINES = 400
MAX_LINE_CHARS = 500


class TaskLog(logging.Handler):
    """Collects what this process logs while it is entered. A process works on one task at a time."""

    def __init__(self, head: str) -> None:
        super().__init__(logging.INFO)
        self._first = [log_line(time.time(), "info", head)]
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._count = 0
        self.setFormatter(_Line())

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        for line in self.format(record).splitlines():
            self._count += 1
            (self._first if self._count < FIRST_LINES else self._last).append(line[:MAX_LINE_CHARS])

    def __enter__(self) -> TaskLog:
        logging.getLogger().addHandler(self)
        return self

    def __exit__(self, *_error: object) -> None:
        logging.getLogger().removeHandler(self)

    @property
    def text(self) -> bytes:
        """The lines, UTF-8; where some are left out, one line says how many."""
        left_out = max(0, self._count - (FIRST_LINES - 1) - LAST_LINES)
        gap = [f"… {left_out} lines left out …"] if left_out else []
        return "".join(f"{line}\n" for line in [*self._first, *gap, *self._last]).encode(errors="replace")


def log_line(time_s: float, level: str, text: str) -> str:
    """One line of a task's log; times are UTC."""
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time_s))
    return f"{clock} {level:<7} {text}"[:MAX_LINE_CHARS]


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text = log_line(record.created, record.levelname.lower(), f"{record.name}: {record.getMessage()}")
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text
