"""`farm submit`: hand a clip to the farm."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.flags import with_painting
from farm.cli.output import job_plain, put_json
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
    Request,
    Size,
    Styles,
    check_target,
    request_from,
)  # fmt: skip
from farm.cli.terminal import put, say, warn
from farm.contract.params import Params
from farm.contract.states import JobState

if TYPE_CHECKING:
    from farm.client import Farm, Job
    from farm.status import JobStatus


@with_painting
def submit(
    clip: Clip,
    style: Styles,
    *,
    size: Size = None,
    chunk: Chunk = CHUNK,
    codec: CodecName = CODEC,
    crf: Crf = CRF,
    again: Again = False,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Wait for the film, and write it here.", show_default=False
        ),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job to its end.")] = False,
    as_json: AsJson = False,
    params: Params,
) -> None:
    """Hand a clip to the farm; prints the job's name.

    The same submit twice is one job, unless --again.
    """
    from farm.cli.watch import watch_to_end
    from farm.client import Farm

    request = request_from(clip, style, params, size=size, chunk=chunk, codec=codec, crf=crf, again=again)
    if output:
        check_target(output, request.output.suffix, clip)
    farm = Farm.from_settings()
    job, status = send(farm, request)
    if not as_json:
        put(job.name)
    if watch or output:
        status = watch_to_end(job)
    else:
        say(f"`farm watch {job.name}` follows it, `farm fetch {job.name}` gets the film")
    film = fetch_film(job, output) if output else None
    if as_json:
        put_json({**job_plain(status), "film": film})


def send(farm: Farm, request: Request) -> tuple[Job, JobStatus]:
    """Submit a request, with a bar for a long upload; says what came of it."""
    from farm.cli.transfer import Transfer

    asked_s = time.time()
    with Transfer("uploading") as transfer:
        job = farm.submit(
            request.clip,
            request.styles,
            size_px=request.size_px,
            chunk_frames=request.chunk_frames,
            params=request.params,
            output=request.output,
            again=request.again,
            on_upload=transfer.show,
        )
    status = job.status()
    _note_state(status, asked_s)
    return job, status


def fetch_film(job: Job, target: str) -> str:
    """Download the film, with a bar for a long one; says and returns where it lies."""
    from farm.cli.transfer import Transfer

    with Transfer("fetching") as transfer:
        path = job.fetch(target, on_progress=transfer.show)
    say(f"film: {path}")
    for notice in job.report().get("film", {}).get("notices", []):
        warn(str(notice))
    return str(path)


def _note_state(status: JobStatus, asked_s: float) -> None:
    from farm.cli.following import lack_of

    if status.created_s < asked_s:
        cure = {
            JobState.SUCCEEDED: "its film is there",
            JobState.FAILED: f"`farm resume {status.job}` tries again",
            JobState.CANCELED: f"`farm resume {status.job}` goes on",
            JobState.PAUSED: f"`farm resume {status.job}` goes on",
        }.get(status.state, "it goes on")
        say(f"this was submitted before and is {status.state}: {cure} (--again paints anew)")
    if lack := lack_of(status):
        warn(lack)
