"""The Typer app: every command under its help panel, and the one way to run it."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import Annotated, Any

import typer
from typer.main import get_command

from farm import __version__
from farm.cli import demo, doctor, explain, gc, jobs, measure, render, services, styles, submit, watch, wedge, workers
from farm.cli.failures import exit_code_of, report
from farm.cli.help import HelpCommand, HelpGroup
from farm.cli.terminal import put

PAINT, JOBS, SERVICES = "Paint", "Jobs", "The farm itself"
_NO_ARGUMENTS_HELP = ["--help"]


def build() -> typer.Typer:
    """The app with all its commands."""
    app = typer.Typer(
        name="farm",
        help="Paint video with neural networks, on one machine or on many.",
        context_settings={"help_option_names": ["-h", "--help"]},
        rich_markup_mode=None,
        cls=HelpGroup,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    _add(app, PAINT, render=render.render, submit=submit.submit, wedge=wedge.wedge, styles=styles.styles)
    _add(
        app, JOBS, list=jobs.list_jobs, status=jobs.status, watch=watch.watch,
        explain=explain.explain, logs=explain.logs,
        preview=jobs.preview, fetch=jobs.fetch, measure=measure.measure,
        cancel=jobs.cancel, pause=jobs.pause, resume=jobs.resume, retry=jobs.retry,
    )  # fmt: skip
    _add(
        app, SERVICES, up=services.up, down=services.down, doctor=doctor.doctor, workers=workers.workers,
        worker=services.worker, coordinator=services.coordinator, gc=gc.gc,
    )  # fmt: skip
    app.command("demo", cls=HelpCommand, hidden=True)(demo.demo)
    return app


def run(arguments: list[str]) -> int:
    """Run one command line; returns its exit code. Says what went wrong in one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):
            stream.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that has no ✓ shows ?
    try:
        command = get_command(build())
        code = command.main(arguments or _NO_ARGUMENTS_HELP, prog_name="farm", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
        return 1
    except Exception as error:
        report(error)
        return exit_code_of(error)
    return code if isinstance(code, int) else 0


def _silence_stdout() -> None:
    """The reader of our stdout is gone: let the interpreter's last flush go nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _add(app: typer.Typer, panel: str, **commands: Any) -> None:
    for name, command in commands.items():
        app.command(name, cls=HelpCommand, rich_help_panel=panel)(command)


def _version(wanted: bool) -> None:
    if wanted:
        put(f"farm {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version and exit.")
    ] = False,
) -> None:
    """Paint video with neural networks, on one machine or on many."""
