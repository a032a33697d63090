"""What goes wrong, in one line on stderr, and the exit code it has.

Tracebacks are for developers: `FARM_DEBUG=1` shows them.
"""

from __future__ import annotations

import os
import re
import traceback

import typer

from farm.cli.terminal import complain, one_line
from farm.contract.errors import FarmError

UNEXPECTED = 1
USAGE = 2
INTERRUPTED = 130
"""128 + SIGINT, as shells have it."""


def exit_code_of(error: BaseException) -> int:
    """The process' exit code for an error."""
    return int(getattr(error, "exit_code", UNEXPECTED))


def report(error: BaseException) -> None:
    """Say the error in one line on stderr."""
    if os.environ.get("FARM_DEBUG", "0") not in ("", "0"):
        traceback.print_exception(error)
    complain(message_of(error))


def message_of(error: BaseException) -> str:
    """What, the value and the cure, on one line."""
    if isinstance(error, FarmError):
        return one_line(error.message)
    if isinstance(error, typer.Abort):
        return "stopped"
    if isinstance(error, typer.TyperException):
        return _usage_message(error)
    if isinstance(error, OSError) and error.filename is not None:
        return one_line(f"{error.filename}: {error.strerror}")
    return one_line(f"unexpected {type(error).__name__}: {error}; details: FARM_DEBUG=1")


def _usage_message(error: typer.TyperException) -> str:
    text = one_line(error.format_message()).rstrip(".")
    text = re.sub(r"Input should be a valid integer.*", "not a whole number", text)
    context = getattr(error, "ctx", None)
    cure = f"; see `{context.command_path} --help`" if context is not None else ""
    return text[:1].lower() + text[1:] + cure
