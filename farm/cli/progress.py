"""A job's progress before a person's eyes: bars on a terminal, lines elsewhere, JSON for programs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from farm.cli.output import duration_text, job_plain, put_json, rate_text, state_text
from farm.cli.terminal import one_line
from farm.contract.messages import Stage
from farm.contract.states import JobState

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from farm.status import JobStatus, StageStatus

STAGE_TITLE = {
    Stage.PLAN: "plan", Stage.ANCHOR: "anchors", Stage.STYLIZE: "stylize",
    Stage.BLEND: "blend", Stage.SEGMENT: "segments", Stage.ASSEMBLE: "assemble",
}  # fmt: skip
LINE_EVERY_S = 30.0
LINE_EVERY_FRACTION = 0.1
_NARROWEST_BAR, _WIDEST_BAR = 6, 44
_VOLATILE = frozenset({"elapsed_s", "eta_s", "frames_per_s"})


class Progress(Protocol):
    """Where statuses are shown. A context manager around the watching."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, status: JobStatus) -> None:
        """Show a job's new status."""

    def warn(self, text: str) -> None:
        """Say something for people without spoiling what is shown."""


class BarProgress:
    """Bars that stay in place on a terminal."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        # Drawn only when a status arrives: no second thread, so nothing can flicker or tear.
        self._live = Live(console=console, auto_refresh=False)
        self._rates = StageRates()

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, status: JobStatus) -> None:
        """See Progress."""
        self._rates.note(status, time.monotonic())
        self._live.update(job_view(status, self._rates, self._console.width), refresh=True)

    def warn(self, text: str) -> None:
        """See Progress."""
        self._console.print(f"farm: {one_line(text)}", style="yellow", markup=False)


class LineProgress:
    """A plain line at each change of state, each tenth of the work, and each half minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._state: JobState | None = None
        self._fraction = 0.0
        self._said_s = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, status: JobStatus) -> None:
        """See Progress."""
        now_s = time.monotonic()
        grown = status.fraction >= self._fraction + LINE_EVERY_FRACTION
        if status.state is self._state and not grown and now_s < self._said_s + LINE_EVERY_S:
            return
        self._state, self._fraction, self._said_s = status.state, status.fraction, now_s
        self._console.print(status_line(status), markup=False)

    def warn(self, text: str) -> None:
        """See Progress."""
        self._console.print(f"farm: {one_line(text)}", markup=False)


class JsonProgress:
    """One line of JSON on stdout for each change; words for people go to stderr."""

    def __init__(self, notes: Console) -> None:
        self._notes = notes
        self._last: dict[str, Any] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return

    def show(self, status: JobStatus) -> None:
        """See Progress."""
        plain = job_plain(status)
        lasting = {name: value for name, value in plain.items() if name not in _VOLATILE}
        if lasting != self._last:
            self._last = lasting
            put_json(plain)

    def warn(self, text: str) -> None:
        """See Progress."""
        self._notes.print(f"farm: {one_line(text)}", style="yellow", markup=False)


@dataclass(slots=True)
class _Run:
    """When a stage was first seen at work, and how far it has come."""

    first_s: float
    first_frames: int
    last_s: float
    last_frames: int


class StageRates:
    """Frames per second of each stage, from what was seen of it."""

    def __init__(self) -> None:
        self._runs: dict[Stage, _Run] = {}

    def note(self, status: JobStatus, now_s: float) -> None:
        """Take in a status seen at `now_s`."""
        for stage in status.stages:
            run = self._runs.get(stage.stage)
            if run is None:
                if stage.tasks_running or stage.frames_done:
                    self._runs[stage.stage] = _Run(now_s, stage.frames_done, now_s, stage.frames_done)
            elif stage.frames_done > run.last_frames:
                run.last_s, run.last_frames = now_s, stage.frames_done

    def frames_per_s(self, stage: Stage) -> float:
        """The stage's speed; 0 where too little was seen."""
        run = self._runs.get(stage)
        if run is None or run.last_s <= run.first_s:
            return 0.0
        return (run.last_frames - run.first_frames) / (run.last_s - run.first_s)


def status_line(status: JobStatus) -> str:
    """A job's status on one line."""
    parts = [f"{status.job}: {status.state}"]
    if status.frame_count:
        parts.append(f"{status.stage(Stage.STYLIZE).frames_done}/{status.frame_count} frames painted")
    if status.frames_per_s:
        parts.append(rate_text(status.frames_per_s))
    if status.eta_s is not None:
        parts.append(f"about {duration_text(status.eta_s)} left")
    parts.append(f"{duration_text(status.elapsed_s)} elapsed")
    return ", ".join(parts)


def job_view(status: JobStatus, rates: StageRates, width: int) -> RenderableType:
    """A job as bars, `width` columns wide at most."""
    from rich.console import Group
    from rich.table import Table

    digits = max(len(str(stage.frames)) for stage in status.stages)
    count_width, rate_width = 2 * digits + 1, 13
    roomy = width >= 2 + 8 + 1 + count_width + rate_width + 4 + _NARROWEST_BAR
    fixed = 2 + 8 + 2 + count_width + 2 + (rate_width + 2 if roomy else 0)
    bar_width = max(_NARROWEST_BAR, min(_WIDEST_BAR, width - fixed - 2))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=10, no_wrap=True)
    table.add_column(width=bar_width, no_wrap=True)
    table.add_column(width=count_width, justify="right", no_wrap=True)
    if roomy:
        table.add_column(width=rate_width, justify="right", no_wrap=True)
    for stage in status.stages:
        cells = _stage_cells(stage, status, rates, bar_width)
        table.add_row(*(cells if roomy else cells[:3]))
    return Group(_title(status), table, _footer(status))


def _stage_cells(
    stage: StageStatus, status: JobStatus, rates: StageRates, bar_width: int
) -> tuple[RenderableType, RenderableType, RenderableType, RenderableType]:
    from rich.progress_bar import ProgressBar
    from rich.text import Text

    done = bool(stage.tasks) and stage.tasks_done == stage.tasks
    nothing = bool(status.frame_count) and not stage.tasks  # e.g. no boundary, so nothing to blend
    working = stage.tasks_running > 0
    total = stage.frames or stage.tasks or 1
    filled = total if done or nothing else stage.frames_done
    speed = _speed(stage.stage, status, rates)
    return (
        Text("  " + STAGE_TITLE[stage.stage], style="green" if done else "bold" if working else "dim"),
        ProgressBar(total=total, completed=filled, width=bar_width, complete_style="cyan", finished_style="green"),
        Text(
            "–" if nothing or not stage.frames else f"{filled}/{stage.frames}", style="" if done or working else "dim"
        ),
        Text(rate_text(speed), style="dim"),
    )


def _speed(stage: Stage, status: JobStatus, rates: StageRates) -> float:
    """Frames a second, where that tells how fast the work is: anchors and boundaries mostly wait for their turn."""
    if stage in (Stage.ANCHOR, Stage.BLEND):
        return 0.0
    return status.frames_per_s if stage is Stage.STYLIZE else rates.frames_per_s(stage)


def _title(status: JobStatus) -> RenderableType:
    from rich.text import Text

    title = Text(no_wrap=True, overflow="ellipsis")
    title.append(status.job, style="bold")
    title.append(f"  {status.style_name}  ", style="dim")
    title.append_text(state_text(status.state))
    title.append(f"  {duration_text(status.elapsed_s)}", style="dim")
    if status.eta_s is not None:
        title.append(f", about {duration_text(status.eta_s)} left", style="dim")
    return title


def _footer(status: JobStatus) -> RenderableType:
    from rich.text import Text

    if status.ended:
        return Text("")
    alive = status.workers_alive
    text = f"{len(status.workers)} of {alive} worker{'' if alive == 1 else 's'} on it"
    if status.workers:
        text += ": " + ", ".join(status.workers)
    return Text("  " + one_line(text), style="dim", no_wrap=True, overflow="ellipsis")
