"""A wedge: one frame of a clip painted in several ways, side by side on one picture, to choose a look before hours are
spent on it.

    wedge = wedge_of("clip.mp4", 83_500, [Axis("style", ("swirl", "ember")), Axis("style_weight", (0.5, 1.0))])
    jobs = list(wedge.submit(farm))
    wait(jobs)
    picture = wedge.picture(jobs)

Every way is a job of its own, of that one frame: workers paint them side by side, and the same again costs nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm import sheet, styles
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import InvalidInput, InvalidParameter, JobFailed, LedgerUnavailable
from farm.contract.excerpt import time_text
from farm.contract.messages import Priority
from farm.contract.params import Params, describe
from farm.contract.states import JobState

if TYPE_CHECKING:
    from farm.client import Farm
    from farm.job import Job
    from farm.status import JobStatus

STYLE = "style"
MOST_AXES, MOST_PICTURES = 2, 64
BESIDE = "  ·  "

Styles = tuple[tuple[str, float], ...]
"""Each a file or a built-in style's name, and its weight."""
OnProgress = Callable[["JobStatus", float], None]
"""Called with the status of the job that is waited for, and how many pictures are done, of one that is not a part."""
OnSilence = Callable[[LedgerUnavailable], None]


@dataclass(frozen=True, slots=True)
class Axis:
    """What is varied, `style` or a painting parameter, and its values."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Variation:
    """One way to paint the frame."""

    caption: str
    styles: Styles
    params: Params


@dataclass(frozen=True, slots=True)
class Wedge:
    """The ways to paint one frame of a clip, in the order they are shown."""

    clip: Path
    at_ms: int  # when the frame begins
    axes: tuple[Axis, ...]
    variations: tuple[Variation, ...]
    size_px: int | None = None

    @property
    def all_styles(self) -> Styles:
        """Every style in it, once."""
        return tuple(dict.fromkeys(pair for item in self.variations for pair in item.styles))

    def submit(self, farm: Farm, priority: Priority | None = None) -> Iterator[Job]:
        """Every variation as a job, each submitted when it is asked for; one that was stopped or has failed before goes
        on. Errors as of `Farm.submit`.
        """
        for item in self.variations:
            yield self._submit(farm, item, priority)

    def _submit(self, farm: Farm, item: Variation, priority: Priority | None, *, again: bool = False) -> Job:
        job = farm.submit(
            self.clip,
            item.styles,
            size_px=self.size_px,
            from_s=self.at_ms / 1000,
            to_s=(self.at_ms + 1) / 1000,
            params=item.params,
            priority=priority,
            again=again,
        )
        state = job.status().state
        if state in (JobState.FAILED, JobState.CANCELED, JobState.PAUSED):
            job.resume()
        if state is JobState.SUCCEEDED and not job.has_frames:  # `farm gc --frames` was run since
            return self._submit(farm, item, priority, again=True)
        return job

    def picture(self, jobs: Sequence[Job]) -> sheet.Image:
        """One picture (H, W, 3) uint8 sRGB of what `jobs`, of `submit`, have painted; JobFailed where that is nothing.

        Along one axis the clip's own frame comes first; of two, the first goes down and the second across.
        """
        done = [item for item in zip(self.variations, jobs, strict=True) if _succeeded(item[1])]
        if not done:
            first = jobs[0].name
            raise JobFailed(f"none of the {len(jobs)} pictures was painted; `farm explain {first}` says why", job=first)
        cells: list[tuple[int | str, sheet.Image | None, sheet.Image]] = [
            (item.caption, None, job.frame(0)) for item, job in done
        ]
        spec, columns = done[0][1].spec, None
        if len(self.axes) == MOST_AXES and len(done) == len(jobs):
            columns = len(self.axes[1].values)
        else:
            cells.insert(0, ("the clip", None, _source(self.clip, done[0][1], cells[0][2])))
        line = BESIDE.join([f"at {time_text(self.at_ms)}", *self._alike(done[0][1])])
        return sheet.contact_sheet(cells, [spec.name, line], columns)

    def _alike(self, job: Job) -> list[str]:
        """What the captions leave out: the style, where it is not varied."""
        return [] if any(axis.name == STYLE for axis in self.axes) else [job.spec.style_name]


def wedge_of(
    clip: Path | str,
    at_ms: int,
    axes: Sequence[Axis],
    style: Styles = (),
    params: Params | None = None,
    size_px: int | None = None,
) -> Wedge:
    """The wedge of the frame that begins at `at_ms`, along one axis or two.

    Without a style to paint in, all built-in ones are an axis. InvalidInput where nothing is varied, or too much,
    InvalidParameter where a value is none.
    """
    varies_style = any(axis.name == STYLE for axis in axes)
    if style and varies_style:
        raise InvalidInput("--style does not go with --vary style=…; leave one out", value=[name for name, _ in style])
    axes = [*axes, *([] if style or varies_style else [Axis(STYLE, styles.names())])]
    if not axes:
        raise InvalidInput("nothing is varied; give e.g. --vary style-weight=0.5,1,2, or leave --style out")
    names = [axis.name.replace("_", "-") for axis in axes]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InvalidInput(f"--vary {min(twice)} is there twice; give all its values in one", value=names)
    if len(axes) > MOST_AXES:
        raise InvalidInput(
            f"--vary {', '.join(names)}: a picture has rows and columns; vary {MOST_AXES} at the most"
            + (", and give --style" if STYLE in names and not varies_style else ""),
            value=names,
        )
    choices = [[(axis.name, value) for value in axis.values] for axis in axes]
    ways = tuple(_variation(style, params or Params(), dict(way)) for way in itertools.product(*choices))
    if len(ways) > MOST_PICTURES:
        raise InvalidInput(f"--vary: {len(ways)} pictures; give fewer values, for {MOST_PICTURES} at the most")
    return Wedge(Path(clip), at_ms, tuple(axes), ways, size_px)


def wait(
    jobs: Sequence[Job],
    on_progress: OnProgress = lambda _status, _done: None,
    on_silence: OnSilence | None = None,
) -> list[JobFailed]:
    """Wait until every job has ended; the errors of those that did without a picture."""
    failed = []
    for number, job in enumerate(jobs):
        try:
            job.wait(_counted(on_progress, number), on_silence=on_silence)
        except JobFailed as error:
            failed.append(error)
    return failed


def _counted(on_progress: OnProgress, before: int) -> Callable[[JobStatus], None]:
    return lambda status: on_progress(status, before + status.fraction)


def _variation(style: Styles, params: Params, way: dict[str, Any]) -> Variation:
    known = {doc.name: doc for doc in describe()}
    if unknown := set(way) - known.keys() - {STYLE}:
        flags = ", ".join([STYLE, *(doc.flag.removeprefix("--") for doc in known.values())])
        raise InvalidParameter(f"--vary {min(unknown)}: it can't be varied; give one of {flags}", name="vary")
    changes = {name: value for name, value in way.items() if name != STYLE}
    captions = [
        Path(str(value)).stem if name == STYLE else f"{known[name].flag.removeprefix('--')} {_shown(value)}"
        for name, value in way.items()
    ]
    styled = ((str(way[STYLE]), 1.0),) if STYLE in way else style
    return Variation(BESIDE.join(captions), styled, replace(params, **changes))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _succeeded(job: Job) -> bool:
    return job.status().state is JobState.SUCCEEDED


def _source(clip: Path, job: Job, like: sheet.Image) -> sheet.Image:
    """The clip's own frame, at the painted size."""
    from farm.video import FrameIndex, Reel

    index = from_json(FrameIndex, job.farm.store.get(keys.index(job.name)))
    height, width = like.shape[:2]
    return next(Reel(clip, index, (width, height)).frames(0, 1))
