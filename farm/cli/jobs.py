"""`farm list`, `status`, `fetch`, `preview`, `cancel`, `pause`, `resume`, `retry`: the jobs of the farm."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from farm.cli.flags import value_of
from farm.cli.output import (
    age_text,
    duration_text,
    job_plain,
    put_facts,
    put_json,
    put_table,
    rate_text,
    state_text,
)  # fmt: skip
from farm.cli.request import AsJson, check_folder, check_picture, check_target
from farm.cli.selection import JobName, JobToChange, chosen_job, job_to_change
from farm.cli.terminal import put, say, warn
from farm.contract.messages import Priority, Stage
from farm.contract.spec import DEFAULT_CRF, MAX_CRF, Codec, Output
from farm.contract.states import JOB_LIVE, JobState

if TYPE_CHECKING:
    from farm.job import Job
    from farm.status import JobStatus


def list_jobs(
    *,
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", min=0, help="The newest N jobs; 0 is all.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List the jobs, newest first."""
    from farm.client import Farm, Job

    farm = Farm.from_settings()
    records = farm.ledger.jobs()
    statuses = [Job(farm, record.job).status() for record in records[: limit or None]]
    if as_json:
        put_json({"jobs": [job_plain(status) for status in statuses], "count": len(records)})
        return
    if not statuses:
        say("no job yet; `farm submit CLIP --style NAME` makes one")
        return
    put_table(
        ("JOB", "STATE", "PAINTED", "STYLE", "SUBMITTED", "TIME"),
        map(_list_row, statuses),
        right=frozenset({2, 5}),
    )
    if len(statuses) < len(records):
        say(f"{len(records) - len(statuses)} older jobs; `farm list --limit 0` shows all", "dim")


def status(job: JobName = None, *, as_json: AsJson = False) -> None:
    """Show a job as it is now."""
    from farm.cli.following import lack_of
    from farm.client import Farm

    found = chosen_job(Farm.from_settings(), job).status()
    if as_json:
        put_json(job_plain(found))
        return
    put_facts(_facts(found))
    put("")
    put_table(
        ("STAGE", "TASKS", "FRAMES", "RUNNING"),
        (_stage_row(found, stage) for stage in Stage),
        right=frozenset({1, 2, 3}),
    )
    if lack := lack_of(found):
        warn(lack)


def fetch(
    job: JobName = None,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the film goes, a file or a folder. (default: here)",
            show_default=False,
        ),
    ] = None,
    contact: Annotated[
        str | None,
        typer.Option("--contact", metavar="FILE", help="Fetch the contact sheet, a PNG.", show_default=False),
    ] = None,
    report: Annotated[
        str | None, typer.Option("--report", metavar="FILE", help="Fetch the report, JSON.", show_default=False)
    ] = None,
    plot: Annotated[
        str | None,
        typer.Option(
            "--plot", metavar="FILE", help="Fetch the plot of its flicker and seams, a PNG.", show_default=False
        ),
    ] = None,
    frames: Annotated[
        str | None,
        typer.Option(
            "--frames",
            metavar="FOLDER",
            help="Fetch the painted frames, PNGs named by their numbers.",
            show_default=False,
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            "--codec", metavar="|".join(Codec), help="Encode it anew here, in this codec.", show_default=False
        ),
    ] = None,
    crf: Annotated[
        str | None,
        typer.Option("--crf", metavar=f"0…{MAX_CRF}", help="Encode it anew here, in this quality.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a job's film.

    Where only --contact, --report, --plot or --frames is named, only these are fetched. With another --codec or --crf
    than the job's the film is encoded from its frames on this machine; nothing is painted again.
    """
    from farm.cli.submit import fetch_film
    from farm.client import Farm

    chosen = chosen_job(Farm.from_settings(), job)
    if frames:
        check_folder(frames)
    fetched: dict[str, Any] = {"job": chosen.name}
    if output or codec or crf or not (contact or report or plot or frames):
        wanted = _wanted(chosen, codec, crf)
        target = output or chosen.name + wanted.suffix
        check_target(target, wanted.suffix)
        as_it_is = wanted == chosen.spec.output
        fetched["film"] = fetch_film(chosen, target) if as_it_is else _encode(chosen, target, wanted)
    for name, target_file in (("contact.png", contact), ("report.json", report), ("measure.png", plot)):
        if target_file:
            path = chosen.fetch_output(name, target_file)
            fetched[name.partition(".")[0]] = str(path)
            say(f"{name.partition('.')[0]}: {path}")
    if frames:
        fetched["frames"] = _fetch_frames(chosen, frames)
    if as_json:
        put_json(fetched)


def _wanted(job: Job, codec: str | None, crf: str | None) -> Output:
    """The job's own output, but for what is named."""
    own = job.spec.output
    chosen = own.codec if codec is None else value_of(Codec, codec)
    usual = own.crf if chosen is own.codec else DEFAULT_CRF
    return Output(chosen, usual if crf is None else value_of(int, crf))


def _encode(job: Job, target: str, output: Output) -> str:
    from farm.cli.transfer import Transfer

    path = Path(target)
    path = path / (job.name + output.suffix) if path.is_dir() else path
    with Transfer("fetching the clip") as clip, Transfer("encoding", "frames") as frames:
        film = job.encode(path, output, frames.show, clip.show)
    say(f"film: {path}")
    for notice in film.notices:
        warn(notice)
    return str(path)


def _fetch_frames(job: Job, folder: str) -> str:
    from farm.cli.transfer import Transfer

    with Transfer("fetching", "frames") as transfer:
        path = job.fetch_frames(folder, transfer.show)
    say(f"frames: {path}")
    return str(path)


def preview(
    job: JobName = None,
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="The picture, a PNG. (default: JOB.preview.png)", show_default=False
        ),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            "-n",
            metavar="N",
            min=1,
            max=100,
            help="At most so many frames. (default: 12)",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show what is painted so far: frames spread over the film, as one picture.

    A film's look can be judged as soon as its anchors are there, long before the film is.
    """
    from farm.client import Farm
    from farm.job import PREVIEW_FRAMES

    chosen = chosen_job(Farm.from_settings(), job)
    target = output or f"{chosen.name}.preview.png"
    check_picture(target)
    path = chosen.preview(target, frames or PREVIEW_FRAMES)
    if as_json:
        put_json({"job": chosen.name, "preview": str(path)})
    else:
        say(f"preview: {path}")


def cancel(job: JobToChange = None, *, as_json: AsJson = False) -> None:
    """Stop a job; the frames it has stay until `farm gc` removes them, a week later.

    `farm resume JOB` goes on from them.
    """
    from farm.client import Farm

    chosen = job_to_change(Farm.from_settings(), job, JOB_LIVE | {JobState.PAUSING, JobState.PAUSED}, "canceled")
    _stop(chosen, as_json, chosen.cancel)


def pause(job: JobToChange = None, *, as_json: AsJson = False) -> None:
    """Stop a job for now; the frames it has stay, and `farm gc` leaves them alone.

    `farm resume JOB` goes on from them.
    """
    from farm.client import Farm

    chosen = job_to_change(Farm.from_settings(), job, JOB_LIVE, "paused")
    _stop(chosen, as_json, chosen.pause)


def _stop(chosen: Job, as_json: bool, stop: Callable[[], JobStatus]) -> None:
    ended_before = chosen.status().ended
    after = stop()
    if ended_before:
        say(f"{after.job} had ended before: it is {after.state}")
    _put_after(after, as_json)


def retry(job: JobToChange = None, *, as_json: AsJson = False) -> None:
    """Try again what failed of a job, and only that."""
    from farm.client import Farm

    chosen = job_to_change(Farm.from_settings(), job, JOB_LIVE | {JobState.FAILED}, "tried again", _has_failed)
    before = chosen.status()
    after = chosen.retry()
    if not before.failed_tasks and before.state is not JobState.FAILED:
        say(f"nothing of {after.job} failed: it is {after.state}")
    _put_after(after, as_json)


def _has_failed(job: Job) -> bool:
    """Whether a retry would do anything: also a job that goes on may have tasks that failed."""
    status = job.status()
    return status.state is JobState.FAILED or status.failed_tasks > 0


def resume(job: JobToChange = None, *, as_json: AsJson = False) -> None:
    """Go on with a job that is paused or held, failed, was canceled, or that Redis forgot."""
    from farm.client import Farm

    stopped = {JobState.PAUSING, JobState.PAUSED, JobState.FAILED, JobState.CANCELED}
    after = job_to_change(Farm.from_settings(), job, stopped, "resumed").resume()
    _put_after(after, as_json)


def _put_after(status: JobStatus, as_json: bool) -> None:
    from farm.cli.following import lack_of

    if as_json:
        put_json(job_plain(status))
    else:
        put(f"{status.job} {status.state}")
    if lack := lack_of(status):
        warn(lack)


def _list_row(status: JobStatus) -> tuple[Any, ...]:
    return (
        status.job,
        state_text(status.state),
        _painted(status),
        status.style_name,
        age_text(status.created_s),
        duration_text(status.elapsed_s),
    )


def _painted(status: JobStatus) -> str:
    return f"{status.stage(Stage.STYLIZE).frames_done}/{status.frame_count}" if status.frame_count else "–"


def _stage_row(status: JobStatus, stage: Stage) -> tuple[str, ...]:
    from farm.cli.progress import STAGE_TITLE

    part = status.stage(stage)
    known = bool(status.frame_count) or stage is Stage.PLAN
    return (
        STAGE_TITLE[stage],
        f"{part.tasks_done}/{part.tasks}" if known else "–",
        f"{part.frames_done}/{part.frames}" if known and part.frames else "–",
        str(part.tasks_running or ""),
    )


def _facts(status: JobStatus) -> list[tuple[str, Any]]:
    speed = rate_text(status.frames_per_s) or "–"
    if status.eta_s is not None:
        speed += f", about {duration_text(status.eta_s)} left"
    facts: list[tuple[str, Any]] = [
        ("job", status.job),
        ("state", state_text(status.state)),
        ("clip", status.name),
        ("style", status.style_name),
        ("frames", str(status.frame_count or "not planned yet")),
        ("submitted", age_text(status.created_s)),
        ("time", duration_text(status.elapsed_s)),
        ("speed", speed),
        ("workers", f"{len(status.workers)} of {status.workers_alive} on it {' '.join(status.workers)}".rstrip()),
    ]
    if status.priority is not Priority.NORMAL:
        facts.append(("priority", status.priority))
    if status.failed_tasks:
        facts.append(("failed tasks", f"{status.failed_tasks}; `farm explain {status.job}` says why"))
    facts += [("quarantine", f"{name}: {why}") for name, why in status.quarantines.items()]
    if status.error:
        facts.append(("error", status.error))
    return facts
