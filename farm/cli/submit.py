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
    From,
    PriorityName,
    Request,
    Size,
    Styles,
    To,
    check_files,
    check_target,
    request_from,
)  # fmt: skip
from farm.cli.terminal import put, say, warn
from farm.contract.errors import InvalidInput, InvalidParameter
from farm.contract.messages import Priority
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
    from_s: From = None,
    to_s: To = None,
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
    priority: PriorityName = None,
    hold: Annotated[bool, typer.Option("--hold", help="Only hand it over: `farm resume JOB` lets it begin.")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Follow the job to its end.")] = False,
    as_json: AsJson = False,
    params: Params,
) -> None:
    """Hand a clip to the farm; prints the job's name.

    The same submit twice is one job, unless --again.
    """
    from farm.cli.watch import watch_to_end
    from farm.client import Farm

    request = request_from(
        clip, style, params, size=size, chunk=chunk, codec=codec, crf=crf, again=again, from_s=from_s, to_s=to_s
    )
    if output:
        check_target(output, request.output.suffix, clip)
    wanted = priority_of(priority)
    if hold and (watch or output):
        raise InvalidInput("--hold does not go with --watch or --output: a held job makes no film; leave one out")
    check_files(request)  # a typo is said before `farm up` is
    farm = Farm.from_settings()
    job, status = send(farm, request, wanted, hold)
    if not as_json:
        put(job.name)
    if watch or output:
        status = watch_to_end(job)
    elif not hold:
        say(f"`farm watch {job.name}` follows it, `farm fetch {job.name}` gets the film")
    film = fetch_film(job, output) if output else None
    if as_json:
        put_json({**job_plain(status), "film": film})


def priority_of(text: str | None) -> Priority | None:
    """A priority by its name; InvalidParameter where it is none."""
    if text is None or text in list(Priority):
        return None if text is None else Priority(text)
    raise InvalidParameter(f"--priority {text!r} is not known; give {', '.join(Priority)}", name="priority", value=text)


def send(farm: Farm, request: Request, priority: Priority | None = None, hold: bool = False) -> tuple[Job, JobStatus]:
    """Submit a request, with a bar for a long upload; says what came of it."""
    from farm.cli.transfer import Transfer

    asked_s = time.time()
    with Transfer("uploading") as transfer:
        job = farm.submit(
            request.clip,
            request.styles,
            size_px=request.size_px,
            from_s=request.from_s,
            to_s=request.to_s,
            chunk_frames=request.chunk_frames,
            params=request.params,
            output=request.output,
            again=request.again,
            priority=priority,
            hold=hold,
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
            JobState.FAILED: f"`farm retry {status.job}` tries again",
            JobState.CANCELED: f"`farm resume {status.job}` goes on",
            JobState.PAUSED: f"`farm resume {status.job}` goes on",
        }.get(status.state, "it goes on")
        say(f"this was submitted before and is {status.state}: {cure} (--again paints anew)")
    if lack := lack_of(status):
        warn(lack)
