"""`farm wedge`: one frame in several styles or strengths, as one picture."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli.flags import value_of, with_painting
from farm.cli.output import put_json, put_table
from farm.cli.render import some_farm
from farm.cli.request import (
    CHUNK,
    CODEC,
    CRF,
    AsJson,
    Clip,
    PriorityName,
    Size,
    check_files,
    check_picture,
    request_from,
)  # fmt: skip
from farm.cli.submit import priority_of
from farm.cli.terminal import is_terminal, say, warn
from farm.contract.errors import FarmError, InvalidParameter, JobFailed
from farm.contract.excerpt import milliseconds
from farm.contract.messages import Priority
from farm.contract.params import Params, describe

if TYPE_CHECKING:
    from farm.client import Farm, Job
    from farm.sheet import Image
    from farm.status import JobStatus
    from farm.wedge import Axis, Wedge


@with_painting
def wedge(
    clip: Clip,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="The picture, a PNG.", show_default=False)
    ],
    *,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary",
            metavar="FLAG=VALUE,VALUE…",
            help="style, or one of the painting flags below, with its values; given twice: rows and columns. "
            "(default: all built-in styles)",
            show_default=False,
        ),
    ] = None,
    style: Annotated[
        list[str] | None,
        typer.Option(
            "--style",
            "-s",
            metavar="FILE|NAME[:WEIGHT]",
            help="The style where another thing is varied; given several times, they are mixed by weight.",
            show_default=False,
        ),
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at",
            metavar="TIME",
            help="The frame seen then: 83.5 or 1:23.5. (default: amid the clip)",
            show_default=False,
        ),
    ] = None,
    size: Size = None,
    priority: PriorityName = None,
    as_json: AsJson = False,
    params: Params,
) -> None:
    """Paint one frame in several ways, side by side on one picture: to choose a look before hours are spent on it.

    As in: farm wedge clip.mp4 --vary style=swirl,painting.jpg --vary color=style,match --at 1:23 -o look.png

    Each is a job of its own. Uses the farm that is configured; where none is, starts one on this machine and ends it
    after.
    """
    from farm.settings import Settings

    check_picture(output)
    wanted_priority = priority_of(priority)
    wanted = _checked(clip, vary or [], style or [], at, params, size)
    with some_farm() as farm:
        jobs, failed = _paint(farm, wanted, wanted_priority)
        if len(failed) == len(jobs):
            raise failed[0]
        picture = wanted.picture(jobs)
    _write(picture, Path(output))
    rows = [(job.name, item.caption) for item, job in zip(wanted.variations, jobs, strict=True)]
    if as_json:
        put_json({"wedge": output, "at_s": wanted.at_ms / 1000, "jobs": [{"job": n, "caption": c} for n, c in rows]})
    else:
        if Settings.load().configured:  # else the farm is gone, and its jobs with it
            put_table(("JOB", "LOOK"), rows)
        say(f"wedge: {output}")
    for error in failed[1:]:
        warn(error.message)
    if failed:
        raise failed[0]


def axis_of(text: str) -> Axis:
    """`FLAG=VALUE,VALUE…`; InvalidParameter where it is none. A file whose name has commas is given alone."""
    from farm.wedge import STYLE, Axis

    name, equals, values = text.partition("=")
    name = name.strip().removeprefix("--").replace("-", "_")
    if not equals or not values.strip():
        raise InvalidParameter(
            f"--vary {text}: give a flag and its values, as in --vary style-weight=0.5,1,2", name="vary", value=text
        )
    texts = [values] if name == STYLE and Path(values).exists() else [value.strip() for value in values.split(",")]
    kinds = {doc.name: doc.type for doc in describe()}
    found = tuple(value_of(kinds.get(name, str), value) for value in texts)
    if "" in texts or len(set(found)) < len(found):
        raise InvalidParameter(f"--vary {text}: give each value once, and none that is empty", name="vary", value=text)
    return Axis(name, found)


def _checked(
    clip: str, vary: Sequence[str], style: Sequence[str], at: str | None, params: Params, size: str | None
) -> Wedge:
    """The wedge that is asked for, all of it checked before a farm is started."""
    from farm import sandbox
    from farm.settings import Settings
    from farm.style_file import load_styles
    from farm.wedge import wedge_of

    request = request_from(clip, list(style), params, size=size, chunk=CHUNK, codec=CODEC, crf=CRF, again=False)
    at_ms = None if at is None else milliseconds("--at", at)
    wanted = wedge_of(clip, 0, [axis_of(text) for text in vary], request.styles, params, request.size_px)
    check_files(replace(request, styles=wanted.all_styles))
    settings = Settings.load()
    begins_ms = sandbox.frame_shown(clip, settings, at_ms)
    sandbox.check_clip(clip, settings, request.size_px)
    load_styles(wanted.all_styles, settings)
    return replace(wanted, at_ms=begins_ms)


def _paint(farm: Farm, wanted: Wedge, priority: Priority | None) -> tuple[list[Job], list[JobFailed]]:
    """Every variation's job, ended, and what went wrong with them; on Ctrl-C they are canceled."""
    from farm.cli.following import Vigil
    from farm.cli.transfer import Transfer
    from farm.wedge import wait

    jobs: list[Job] = []
    vigil, told = Vigil(warn), 0
    try:
        for job in wanted.submit(farm, priority):
            jobs.append(job)
        with Transfer("painting", "pictures") as bar:

            def see(status: JobStatus, done: float) -> None:
                nonlocal told
                vigil.see(status, time.monotonic())
                bar.show(done, len(jobs))
                if int(done) > told and not is_terminal(sys.stderr):
                    told = int(done)
                    say(f"{told} of {len(jobs)} pictures painted")

            failed = wait(jobs, see, lambda error: warn(f"{error.message}; trying again"))
    except (KeyboardInterrupt, SystemExit):
        say(f"canceling {len(jobs)} jobs …")
        for job in jobs:
            with suppress(FarmError):
                job.cancel()
        raise
    return jobs, failed


def _write(picture: Image, target: Path) -> None:
    from farm.png import png_bytes

    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(png_bytes(picture))
