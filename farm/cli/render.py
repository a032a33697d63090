"""`farm render`: one clip from start to film, with a farm of its own where none is configured."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.flags import with_painting
from farm.cli.output import duration_text, job_plain, put_json, rate_text
from farm.cli.request import (
    CHUNK,
    CODEC,
    CRF,
    Again,
    AsJson,
    Chunk,
    Clip,
    CodecName,
    Crf,
    From,
    Request,
    Size,
    Styles,
    To,
    check,
    check_target,
    request_from,
)  # fmt: skip
from farm.cli.terminal import say
from farm.contract.params import Params
from farm.contract.states import JobState

if TYPE_CHECKING:
    from farm.client import Farm, Job
    from farm.status import JobStatus


@with_painting
def render(
    clip: Clip,
    style: Styles,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="Where the film goes.", show_default=False)
    ],
    *,
    size: Size = None,
    from_s: From = None,
    to_s: To = None,
    chunk: Chunk = CHUNK,
    codec: CodecName = CODEC,
    crf: Crf = CRF,
    again: Again = False,
    as_json: AsJson = False,
    params: Params,
) -> None:
    """Paint a clip and write the film, from start to end.

    Uses the farm that is configured; where none is, starts one on this machine and ends it after. What it has painted
    goes with it, also on Ctrl-C: for a long film start `farm up` first, and the same command goes on from there.
    """
    request = request_from(
        clip, style, params, size=size, chunk=chunk, codec=codec, crf=crf, again=again, from_s=from_s, to_s=to_s
    )
    check_target(output, request.output.suffix, clip)
    check(request)
    with some_farm() as farm:
        status, files = paint(farm, request, Path(output))
    if as_json:
        put_json({**job_plain(status), **files})
    else:
        say(figures(status))


def paint(farm: Farm, request: Request, target: Path, report: Path | None = None) -> tuple[JobStatus, dict[str, str]]:
    """Submit, watch, fetch film, contact sheet and report; on Ctrl-C cancels the job.

    Contact sheet and report lie beside the film: OUT.contact.png, OUT.report.json.
    """
    from farm.cli.following import follow
    from farm.cli.submit import fetch_film, send

    job, status = send(farm, request)
    try:
        if status.state in (JobState.FAILED, JobState.CANCELED, JobState.PAUSED):
            job.resume()
        status = follow(job)
    except (KeyboardInterrupt, SystemExit):
        _give_up(job)
        raise
    film = Path(fetch_film(job, str(target)))
    return status, {"film": str(film), **_fetch_beside(job, film, report)}


def figures(status: JobStatus) -> str:
    """What a render took, on one line."""
    speed = rate_text(status.frame_count / status.elapsed_s) if status.elapsed_s else ""
    return f"{status.frame_count} frames in {duration_text(status.elapsed_s)} ({speed} from submit to film)"


@contextmanager
def some_farm() -> Iterator[Farm]:
    """The configured farm, or a private one that ends with the block.

    Where `FARM_HOME` is set the private farm keeps its frames there: the same render goes on from them.
    """
    from farm.client import Farm
    from farm.settings import Settings

    settings = Settings.load()
    if settings.configured:
        yield Farm.from_settings(settings)
        return
    with private_farm(settings.home if os.environ.get("FARM_HOME") else None) as farm:
        yield farm


@contextmanager
def private_farm(home: Path | None = None) -> Iterator[Farm]:
    """A farm of our own that ends with the block, come what may. Without `home`, nothing of it stays."""
    from farm.cli.steps import Steps
    from farm.client import Farm
    from farm.stack import private_stack

    with Steps("starting a private farm") as steps, private_stack(home, on_event=steps.show) as info:
        steps.done()
        yield Farm.from_settings(info.settings)


def _give_up(job: Job) -> None:
    from farm.contract.errors import FarmError

    say(f"canceling {job.name} …")
    try:
        job.cancel()
    except FarmError as error:
        say(f"could not cancel it: {error.message}")


def _fetch_beside(job: Job, film: Path, report: Path | None) -> dict[str, str]:
    places = {"contact": film.with_suffix(".contact.png"), "report": report or film.with_suffix(".report.json")}
    for name, path in places.items():
        job.fetch_output(name + path.suffix, path)
        say(f"{name}: {path}")
    return {name: str(path) for name, path in places.items()}
