"""`farm watch`: follow a job to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from farm.cli.failures import INTERRUPTED
from farm.cli.request import AsJson
from farm.cli.selection import JobName, chosen_job
from farm.cli.terminal import say

if TYPE_CHECKING:
    from farm.client import Job
    from farm.status import JobStatus


def watch(job: JobName = None, *, as_json: AsJson = False) -> None:
    """Follow a job to its end.

    With --json: one line for each change. Ctrl-C ends the watching, not the job.
    """
    from farm.client import Farm

    chosen = chosen_job(Farm.from_settings(), job)
    status = watch_to_end(chosen, as_json=as_json, on_stdout=True)
    if not as_json:
        say(f"`farm fetch {status.job}` gets the film")


def watch_to_end(job: Job, *, as_json: bool = False, on_stdout: bool = False) -> JobStatus:
    """Follow a job; on Ctrl-C says that it goes on, and exits with 130."""
    from farm.cli.following import follow

    try:
        return follow(job, as_json=as_json, on_stdout=on_stdout)
    except KeyboardInterrupt:
        say(f"{job.name} goes on; `farm watch {job.name}` follows it, `farm cancel {job.name}` ends it")
        raise typer.Exit(INTERRUPTED) from None
