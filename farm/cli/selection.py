"""Which job a command means: named, begun, the newest, or the only one it can be."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.terminal import say
from farm.contract.errors import InvalidInput, JobNotFound
from farm.contract.states import JobState

if TYPE_CHECKING:
    from farm.client import Farm, Job

SHOWN = 5
"""So many jobs are named where one is to be chosen."""

JobName = Annotated[
    str | None,
    typer.Argument(
        metavar="JOB", help="The job's name, or the beginning of it. (default: the newest job)", show_default=False
    ),
]

JobToChange = Annotated[
    str | None,
    typer.Argument(
        metavar="JOB",
        help="The job's name, or the beginning of it. (default: the job, where it can only be one)",
        show_default=False,
    ),
]


def chosen_job(farm: Farm, name: str | None) -> Job:
    """The job that `name` names or begins; without a name the newest, and says which."""
    if name is not None:
        return farm.job(name)
    records = farm.ledger.jobs()
    if not records:
        raise JobNotFound("no job yet; `farm submit CLIP --style NAME` makes one", job="")
    say(f"the newest job, {records[0].job}", "dim")
    return farm.job(records[0].job)


def job_to_change(
    farm: Farm,
    name: str | None,
    states: Collection[JobState],
    what: str,
    also: Callable[[Job], bool] = lambda _job: True,
) -> Job:
    """As `chosen_job`; but without a name the one job in these states, not the newest, which may be a colleague's.

    InvalidInput where it could be several; `what`: what is done to it, as "canceled"; `also`: what else must be so.
    """
    if name is not None:
        return farm.job(name)
    jobs = [record.job for record in farm.ledger.jobs(states) if also(farm.job(record.job))]
    if len(jobs) > 1:
        shown = ", ".join(jobs[:SHOWN]) + (" …" if len(jobs) > SHOWN else "")
        raise InvalidInput(f"{len(jobs)} jobs can be {what}; name one of {shown}", value=jobs)
    if not jobs:
        return chosen_job(farm, None)
    say(f"the only job that can be {what}, {jobs[0]}", "dim")
    return farm.job(jobs[0])
