"""`farm measure`: how good a painted film is, in figures, and its plot."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from farm.cli import terminal
from farm.cli.output import put_facts, put_json, put_table
from farm.cli.request import AsJson
from farm.cli.selection import JobName, chosen_job
from farm.cli.terminal import put, say
from farm.contract.errors import InvalidInput

if TYPE_CHECKING:
    from farm.measure import PictureReport
    from farm.measure.report import Drift, Seam, Shot, Spread

MOST_ROWS = 20


def measure(
    job: JobName = None,
    *,
    source: Annotated[
        str | None, typer.Option("--source", metavar="CLIP", help="With --film: the clip it was painted from.",
                                 show_default=False)
    ] = None,
    film: Annotated[
        str | None, typer.Option("--film", metavar="FILE", help="Measure this film, painted by whomever.",
                                 show_default=False)
    ] = None,
    from_s: Annotated[
        str | None, typer.Option("--from", metavar="TIME", help="With --source: where the painted part begins.",
                                 show_default=False)
    ] = None,
    to_s: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="With --source: where it ends.", show_default=False)
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="JOB|FILE", help="The same clip painted in one chunk a shot, to compare.",
                     show_default=False),
    ] = None,
    plot: Annotated[
        str | None, typer.Option("--plot", metavar="FILE", help="Write a plot of the error by frame, a PNG.",
                                 show_default=False)
    ] = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Measure a painted film: flicker, seams, detail, style, drift.

    E is how far each frame is from the one before it, carried along the motion of the clip. Blur wins E: read
    detail beside it.
    """
    _check(job, source, film, against, plot)
    if source is not None and film is not None:
        title, report = Path(film).name, _measured_files(source, film, against, from_s, to_s)
    elif lone := from_s or to_s:
        option = "--from" if from_s else "--to"
        raise InvalidInput(
            f"{option} {lone}: a job knows its part of the clip; leave it out, or give --source and --film"
        )
    else:
        title, report = _measured(job, against)
    if plot:
        _write_plot(report, plot, title)
    if as_json:
        put_json(report)
    else:
        _show(title, report)


def _check(job: str | None, source: str | None, film: str | None, against: str | None, plot: str | None) -> None:
    """InvalidInput for what can't be meant, before anything is measured."""
    if (source is None) != (film is None):
        lone, other = ("--source", "--film") if film is None else ("--film", "--source")
        raise InvalidInput(f"{lone} {source or film} says nothing alone; give {other}, too")
    if film is not None and against is not None and not Path(against).is_file():
        raise InvalidInput(f"--against {against}: there is no such file; with --film give a film's file")
    if film is not None and job is not None:
        raise InvalidInput(f"{job} and --film {film} are two films; give a job, or --source and --film")
    if plot is None:
        return
    path = Path(plot)
    if path.suffix.lower() != ".png":
        raise InvalidInput(f"--plot {plot}: the plot is a .png file; give --plot {path.stem or 'measure'}.png")
    if not path.absolute().parent.is_dir():
        raise InvalidInput(f"--plot {plot}: there is no folder {path.parent}; make it, or give another place")


def _measured_files(source: str, film: str, against: str | None, from_s: str | None, to_s: str | None) -> PictureReport:
    from farm.measure import measure_clips

    with _progress() as on_frame:
        return measure_clips(source, film, against=against, from_s=from_s, to_s=to_s, on_frame=on_frame)


def _measured(job: str | None, against: str | None) -> tuple[str, PictureReport]:
    """The job that was measured, and its figures."""
    from farm.client import Farm
    from farm.measure import measure_job

    farm = Farm.from_settings()
    chosen = chosen_job(farm, job)
    is_file = against is not None and Path(against).is_file()
    other = against if against is None or is_file else farm.job(against)
    with _progress() as on_frame:
        return chosen.name, measure_job(chosen, against=other, on_frame=on_frame)


@contextmanager
def _progress() -> Iterator[Callable[[int], None] | None]:
    """Counts the frames on a terminal; elsewhere nothing."""
    if not terminal.is_terminal(sys.stderr):
        yield None
        return
    with terminal.err().status("measuring") as status:
        yield lambda count: status.update(f"measuring, {count} frames")


def _write_plot(report: PictureReport, target: str, title: str) -> None:
    from farm.measure import plot

    plot(report, target, title=title)
    say(f"plot: {target}")


def _show(title: str, report: PictureReport) -> None:
    put_facts(_facts(title, report))
    put("")
    put_table(("", "MEAN", "MEDIAN", "WORST"), _figures(report), right=frozenset({1, 2, 3}))
    if report.seams:
        put("")
        put_table(*_seams(report), right=frozenset(range(1, 9)))
        if len(report.seams) > MOST_ROWS:
            say(f"{len(report.seams) - MOST_ROWS} more boundaries, none worse; --json has all", "dim")
    put("")
    head = ("SHOT", "FRAMES", "E", "E FLAT", "DRIFT: DETAIL", "LUMA", "SATURATION")
    put_table(head, map(_shot_row, report.shots[:MOST_ROWS]), right=frozenset(range(1, 7)))
    if len(report.shots) > MOST_ROWS:
        say(f"{len(report.shots) - MOST_ROWS} more shots; --json has all", "dim")
    if any(shot.drift for shot in report.shots):
        say("drift is the last tenth of a shot over its first, in the painting (and in the source)", "dim")


def _facts(title: str, report: PictureReport) -> Iterator[tuple[str, str]]:
    yield "film", title
    size = f"{report.width}×{report.height} px"
    if report.scaled:
        size += f", measured at {report.measured_width}×{report.measured_height} px"
    yield "size", size
    counts = ((report.frame_count, "frame"), (len(report.shots), "shot"), (len(report.seams), "boundary"))
    yield "frames", ", ".join(_counted(count, word) for count, word in counts)
    yield "judged by", f"{report.judge} flow"


def _counted(count: int, word: str) -> str:
    plural = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return f"{count} {word if count == 1 else plural}"


def _figures(report: PictureReport) -> Iterator[tuple[str, str, str, str]]:
    """E in percent of full scale; the rest as it is."""
    yield "E, warping error", *_spread_cells(report.error, _percent)
    yield "E on flat areas", *_spread_cells(report.flat_error, _percent)
    if report.reference_error:
        yield "E of the reference", *_spread_cells(report.reference_error, _percent)
    mean, median, _ = _spread_cells(report.detail, "{:.3g}".format)
    yield "detail", mean, median, ""
    if report.style:
        yield "style loss", *_spread_cells(report.style, "{:.3g}".format)


def _spread_cells(spread: Spread | None, text: Callable[[float], str]) -> tuple[str, str, str]:
    return ("–",) * 3 if spread is None else (text(spread.mean), text(spread.median), text(spread.max))


def _seams(report: PictureReport) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """The worst seams and all together, over the frames inside chunks; and over the reference, if there is one."""
    head = ("BOUNDARY", "FRAMES", "E/INSIDE", "WORST", "DETAIL/INSIDE", "STYLE/INSIDE")
    compared = report.reference_error is not None
    worst = sorted(report.seams, key=lambda seam: -(seam.error_ratio_max or 0))[:MOST_ROWS]
    rows = [_seam_row(seam, compared) for seam in sorted(worst, key=lambda seam: seam.start)]
    if (all_of := report.seam) and len(report.seams) > 1:
        values = (all_of.error_ratio_mean, all_of.error_ratio_max, all_of.detail_ratio_mean, all_of.style_ratio_mean)
        excess = (all_of.error_excess_mean, all_of.error_excess_max, all_of.detail_excess_mean)
        rows.append(("all", "", *map(_ratio, (*values, *(excess if compared else ())))))
    return head + (("E/REFERENCE", "WORST", "DETAIL/REFERENCE") if compared else ()), rows


def _seam_row(seam: Seam, compared: bool) -> tuple[str, ...]:
    values = (seam.error_ratio_mean, seam.error_ratio_max, seam.detail_ratio, seam.style_ratio)
    excess = (seam.error_excess_mean, seam.error_excess_max, seam.detail_excess) if compared else ()
    return str(seam.start), f"{seam.start}–{seam.stop - 1}", *map(_ratio, (*values, *excess))


def _shot_row(shot: Shot) -> tuple[str, ...]:
    errors = (_spread_cells(spread, _percent)[0] for spread in (shot.error, shot.flat_error))
    drifts = (_drift(shot.drift, shot.source_drift, name) for name in ("detail", "luma", "saturation"))
    return str(shot.start), str(shot.stop - shot.start), *errors, *drifts


def _drift(painted: Drift | None, source: Drift | None, name: str) -> str:
    if painted is None:
        return "–"
    return f"{_ratio(getattr(painted, name))} ({_ratio(getattr(source, name, None))})"


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _ratio(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
