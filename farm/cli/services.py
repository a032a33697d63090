"""`farm up`, `down`, `worker`, `coordinator`: the processes of the farm."""

from __future__ import annotations

import importlib.util
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from farm.cli.output import put_facts, put_json
from farm.cli.request import AsJson
from farm.cli.terminal import say, warn
from farm.contract.codec import to_plain
from farm.contract.errors import InvalidInput, StackError

if TYPE_CHECKING:
    from farm.stack import StackInfo

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
    from farm.cli.steps import Steps
    from farm.settings import Settings
    from farm.stack import Stack

    stack = Stack(Settings.load().home)
    before = {part.name for part in stack.status().parts if part.running}
    with Steps("starting") as steps:
        info = stack.up(workers, on_event=steps.show)
    if as_json:
        put_json(_plain(info))
        return
    new = [part.name for part in info.parts if part.name not in before]
    say(f"started {', '.join(new)}" if new else "it is up already", "green")
    put_facts(_addresses(info))
    if os.environ.get("FARM_REDIS_URL") or os.environ.get("FARM_S3_ENDPOINT"):
        warn("FARM_REDIS_URL or FARM_S3_ENDPOINT is set: commands use that farm, not this one, until you unset them")
    if not _worker_count(info):
        warn("there is no worker: nothing is painted until `farm worker` runs")
    say("`farm submit CLIP --style NAME` paints, `farm down` ends it")


def down(*, as_json: AsJson = False) -> None:
    """End the private farm that `farm up` started."""
    from farm.cli.steps import Steps
    from farm.settings import Settings
    from farm.stack import Stack

    with Steps("ending") as steps:
        ended = Stack(Settings.load().home).down(steps.show)
    if as_json:
        put_json({"ended": list(ended)})
    else:
        say(f"ended {', '.join(ended)}" if ended else "no private farm is up")


def worker(
    *,
    device: Annotated[
        str | None,
        typer.Option(
            "--device",
            metavar="auto|cpu|cuda|cuda:N",
            help="Where to paint; auto: on a GPU where there is one.",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="CPU threads.", show_default=False)
    ] = None,
    memory: Annotated[
        int | None,
        typer.Option(
            "--memory",
            metavar="MIB",
            help="What to paint with, in MiB; larger pictures are painted in tiles. (default: 90 % of the device's)",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Run a worker of the farm in this process."""
    _require_installed(("torch", "worker"), "worker")
    _become("worker", FARM_DEVICE=device, FARM_THREADS=threads, FARM_MEMORY_MB=memory)


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
        raise StackError(
            f"{' and '.join(missing)} is not installed here; pip install '.[{extra}]' in the farm's checkout",
            part=extra,
        )


def _addresses(info: StackInfo) -> list[tuple[str, str]]:
    settings = info.settings
    return [
        ("Redis", settings.redis_url_shown),
        ("store", f"{settings.s3_endpoint}, bucket {settings.s3_bucket}"),
        ("workers", str(_worker_count(info))),
        ("monitor", info.flower_url),
        ("  login", f"{info.flower_user} {info.flower_password}"),
        ("logs", str(info.home / "logs")),
        ("home", str(info.home)),
    ]


def _worker_count(info: StackInfo) -> int:
    return sum(part.name.startswith("worker") and part.running for part in info.parts)


def _plain(info: StackInfo) -> dict[str, Any]:
    settings = info.settings
    return {
        "home": str(info.home),
        "logs": str(info.home / "logs"),
        "redis": settings.redis_url_shown,
        "store": {"endpoint": settings.s3_endpoint, "bucket": settings.s3_bucket},
        "monitor": {"url": info.flower_url, "user": info.flower_user, "password": info.flower_password},
        "parts": [{**to_plain(part), "log": str(part.log)} for part in info.parts],
    }
