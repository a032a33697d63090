"""`farm up`, `down`, `worker`, `coordinator`: the processes of the farm."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import Annotated, NoReturn

import typer

from farm.cli.request import AsJson
from farm.contract.errors import InvalidInput, StackError

Workers = Annotated[
    int | None,
    typer.Option(
        "--workers", metavar="N", help="Workers to start. (default: one per GPU, else one)", show_default=False
    ),
]


def up(*, workers: Workers = None, as_json: AsJson = False) -> None:
    """Start a private farm on this machine.

    Redis, an S3 server, a coordinator, workers and the monitoring page, on free loopback ports.
    """
    from farm.settings import Settings
    from farm.stack import Stack

    if workers is not None and workers < 0:
        raise InvalidInput(f"--workers {workers} is negative; give 0 or more", value=workers)
    stack = Stack(Settings.load().home)
    raise NotImplementedError(stack)


def worker(
    *,
    device: Annotated[
        str | None, typer.Option("--device", metavar="cpu|cuda|cuda:N", help="Where to paint.", show_default=False)
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="CPU threads.", show_default=False)
    ] = None,
) -> None:
    """Run a worker of the farm in this process."""
    _require_installed(("torch", "worker"), "worker")
    _become("worker", FARM_DEVICE=device, FARM_THREADS=threads)


def coordinator() -> None:
    """Run a coordinator of the farm in this process."""
    _become("farm.coordinator")


def _become(module: str, **variables: object) -> NoReturn:
    """Replace this process by `python -m module`: it gets our signals, and our parent gets its exit code."""
    from farm.settings import NOT_CONFIGURED, Settings

    environ = {**os.environ, **{name: str(value) for name, value in variables.items() if value is not None}}
    if not Settings.load(environ).configured:
        raise InvalidInput(NOT_CONFIGURED)
    sys.stdout.flush()
    # -P: a file in the current folder must not pass for one of our modules.
    os.execve(sys.executable, [sys.executable, "-P", "-m", module], environ)  # noqa: S606 - no shell is wanted


def _require_installed(modules: tuple[str, ...], extra: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise StackError(f"{' and '.join(missing)} is not installed here; pip install 'farm[{extra}]'", part=extra)


def down(*, as_json: AsJson = False) -> None:
    """End the private farm that `farm up` started."""
    raise NotImplementedError
