"""Which job a command means: named, begun, or the newest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.terminal import say
from farm.contract.errors import JobNotFound

if TYPE_CHECKING:
    from farm.client import Farm, Job

JobName = Annotated[
    str | None,
    typer.Argument(
        metavar="JOB", help="The job's name, or the beginning of it. (default: the newest job)", show_default=False
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
