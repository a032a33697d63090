"""What the benchmark reads off the painted jobs, and the bars it holds that against. Pure: reports in, bars out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from bench.bars import Bar, at_least, at_most, same, within
from bench.cases import tenth_of
from farm.contract.messages import Manifest, Stage
from farm.contract.plan import Plan
from farm.measure.report import Drift, FrameFigures, PictureReport, SeamSummary, Series

DEFAULT_CHUNK = 48
"""The chunk length at which the cost is judged."""
PAINTING = (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)
DRIFT_FRAMES = 120
"""How long a shot must be for its drift to say more of the painter than of the clip."""


@dataclass(frozen=True, slots=True)
class Film:
    """A painted film as the page has it: the mean over its frames where not said otherwise, and its longest shot."""

    frames: int
    shot_frames: int
    error: float | None  # E
    error_max: float | None
    flat_error: float | None  # E over flat areas
    detail: float
    style: float | None  # style loss
    drift: Drift | None
    source_drift: Drift | None


@dataclass(frozen=True, slots=True)
class Seams:
    """A job of the farm, measured against the same shot in one piece."""

    chunk_frames: int
    boundaries: int
    film: Film
    seam: SeamSummary | None
    style_over_whole: float | None = None  # style loss in the blend windows over that of the same frames in one piece


@dataclass(frozen=True, slots=True)
class FreshDrift:
    """A painting over the same frames painted afresh, so that what the clip itself does is left out."""

    first: Drift  # in the first tenth of the shot
    last: Drift  # in the last tenth

    @property
    def drift(self) -> Drift:
        """Last over first."""
        pairs = ((getattr(self.last, name), getattr(self.first, name)) for name in ("detail", "luma", "saturation"))
        return Drift(*(last / first if last is not None and first else None for last, first in pairs))


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The same few frames painted by the farm and by the method of 2015."""

    ours: Film
    legacy: Film
    untied_style: float | None  # style loss over that without the temporal term, at equal steps
    pairs: int  # frames that took equal steps with and without it


@dataclass(frozen=True, slots=True)
class Cost:
    """What painting in pieces costs, as shares of the painting: by the clock or by steps."""

    share: float  # anchors (each shot's first is needed anyway) and blends, over the chunks' own
    over_sequential: float  # all painting tasks' over that of the same shot in one piece, less 1


@dataclass(slots=True)
class Findings:
    """Everything measured, by case."""

    seams: dict[str, Seams] = field(default_factory=dict)
    sequential: dict[str, Film] = field(default_factory=dict)
    fresh: dict[str, FreshDrift] = field(default_factory=dict)
    excerpts: dict[str, Excerpt] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)  # seconds
    step_costs: dict[str, Cost] = field(default_factory=dict)  # optimisation steps, coarse ones counted like fine ones
    differing: dict[str, int] = field(default_factory=dict)


def bars(found: Findings) -> list[Bar]:
    """Every bar, in order."""
    seam = {label: item.seam for label, item in found.seams.items() if item.seam}
    return [
        at_most(1, "seam excess over the blend window, mean", _given(seam, "error_excess_mean"), 1.03),
        at_most(1, "seam excess over the blend window, highest frame", _given(seam, "error_excess_max"), 1.15),
        at_least(2, "detail ratio at the boundaries, mean", _given(seam, "detail_ratio_mean"), 0.95),
        at_least(2, "detail ratio at the boundaries, worst window", _given(seam, "detail_ratio_min"), 0.95),
        at_least(2, "detail in the windows over one piece's, worst window", _given(seam, "detail_excess_min"), 0.95),
        at_most(2, "style ratio at the boundaries, mean", _given(seam, "style_ratio_mean"), 1.05),
        at_most(2, "style ratio at the boundaries, worst window", _given(seam, "style_ratio_max"), 1.05),
        at_most(
            2, "style loss in the windows over one piece's, mean",
            _given(found.seams, "style_over_whole"), 1.05,
        ),
        *_drift_bars(found),
        at_least(4, "E of the method of 2015 over ours", _error_gains(found.excerpts), 3.0),
        at_most(4, "style loss, ours over that of 2015", _style_over_legacy(found.excerpts), 1.0),
        *_cost_bars(found.costs, "time"),
        *_cost_bars(found.step_costs, "steps"),
        at_most(
            6, "style loss over that without the temporal term, at equal steps",
            {label: item.untied_style for label, item in found.excerpts.items() if item.untied_style is not None}, 1.15,
        ),
        same(7, "frames that differ: repeated, resumed, other worker count", found.differing),
    ]  # fmt: skip


def _drift_bars(found: Findings) -> list[Bar]:
    """Drift as it is, short shots apart as they tell little of it, and drift against frames painted afresh."""
    plain = {label: item.film.drift for label, item in found.seams.items() if item.film.drift is not None}
    long = {label: drift for label, drift in plain.items() if found.seams[label].film.shot_frames >= DRIFT_FRAMES}
    short = {label: drift for label, drift in plain.items() if label not in long}
    fresh = {label: item.drift for label, item in found.fresh.items()}
    kinds = (
        (f", as it is, shots of {DRIFT_FRAMES} frames and more", long),
        (", as it is, shorter shots", short),
        (", over frames painted afresh", fresh),
    )
    return [
        within(3, f"drift of {title}{how}", _given(drifts, name), 0.05)
        for name, title in (("detail", "detail"), ("luma", "luminance"), ("saturation", "saturation"))
        for how, drifts in kinds
    ]


def _cost_bars(costs: Mapping[str, Cost], unit: str) -> list[Bar]:
    """What chunks of the default length cost, by `unit`."""
    titles = {
        "share": f"anchors and blends over painting by {unit}",
        "over_sequential": f"all painting beyond one piece's by {unit}",
    }
    return [
        at_most(5, f"{title}, chunks of {DEFAULT_CHUNK}", _given(costs, name), 0.15, percent=True)
        for name, title in titles.items()
    ]


def window_style(report: PictureReport, whole: PictureReport) -> float | None:
    """Mean over the blend windows' frames of the style loss over that of the same frame painted in one piece."""
    inside = [frame for seam in report.seams for frame in range(seam.start, seam.stop)]
    return _ratio(report.frames.style, whole.frames.style, [(frame, frame) for frame in inside])


def film_of(report: PictureReport) -> Film:
    """What the page has of a film."""
    error, flat, style = report.error, report.flat_error, report.style
    longest = max(report.shots, key=lambda shot: shot.stop - shot.start)
    return Film(
        report.frame_count, longest.stop - longest.start,
        error.mean if error else None, error.max if error else None, flat.mean if flat else None,
        report.detail.mean, style.mean if style else None, longest.drift, longest.source_drift,
    )  # fmt: skip


def seams_of(chunk_frames: int, report: PictureReport, whole: PictureReport) -> Seams:
    """A job measured against the shot in one piece, `whole`."""
    return Seams(chunk_frames, len(report.seams), film_of(report), report.seam, window_style(report, whole))


def seam_excess(report: PictureReport) -> dict[int, list[float]]:
    """E over that of the shot in one piece, frame by frame of each boundary's window, by the boundary's start."""
    frames = report.frames
    return {
        seam.start: [
            own / other
            for own, other in zip(
                frames.error[seam.start : seam.stop], frames.reference_error[seam.start : seam.stop], strict=False
            )
            if own is not None and other
        ]
        for seam in report.seams
    }


def fresh_drift(painted: FrameFigures, fresh: FrameFigures, frames: Sequence[int], count: int) -> FreshDrift:
    """Painted figures over those of `fresh`, which holds just `frames` of the `count` painted ones."""
    tenth = tenth_of(count)
    ends: list[Drift] = []
    for end in (range(tenth), range(count - tenth, count)):
        at = [(number, frame) for number, frame in enumerate(frames) if frame in end]
        ends.append(
            Drift(
                _ratio(painted.detail, fresh.detail, at),
                _ratio(painted.luma, fresh.luma, at),
                _ratio(painted.saturation, fresh.saturation, at),
            )
        )
    return FreshDrift(*ends)


StyleLosses = Mapping[int, tuple[float, int]]
"""Style loss and steps taken, by frame."""


def untied_style(ours: StyleLosses, untied: StyleLosses) -> tuple[float | None, int]:
    """Mean style loss over that of `untied`, in frames that took equal steps, and how many these are."""
    pairs = [
        (ours[frame][0], untied[frame][0]) for frame in ours if frame in untied and ours[frame][1] == untied[frame][1]
    ]
    if not pairs:
        return None, 0
    return fmean(mine for mine, _ in pairs) / fmean(free for _, free in pairs), len(pairs)


Work = Callable[[Manifest], float]
"""What a task took."""


def seconds_of(item: Manifest) -> float:
    """By the clock."""
    return item.finished_s - item.started_s


def steps_of(item: Manifest) -> float:
    """In optimisation steps of whatever size."""
    return sum(record.steps for record in item.frames)


def cost(plan: Plan, manifests: Sequence[Manifest], sequential: Sequence[Manifest], work: Work) -> Cost | None:
    """The cost of painting in pieces; None where a task was interrupted, so that what it took is not known whole."""
    starts = {shot.start for shot in plan.shots}
    if _interrupted(manifests) or _interrupted(sequential):
        return None
    taken = {stage: sum(work(item) for item in manifests if item.stage is stage) for stage in PAINTING}
    first = sum(work(item) for item in manifests if item.stage is Stage.ANCHOR and item.start in starts)
    whole = sum(work(item) for item in sequential if item.stage in PAINTING)
    pieces = taken[Stage.ANCHOR] - first + taken[Stage.BLEND]
    return Cost(pieces / taken[Stage.STYLIZE], sum(taken.values()) / whole - 1)


def adopted(manifests: Sequence[Manifest]) -> int:
    """How many painted frames an earlier attempt had stored: what a resumed job did not paint again."""
    return sum(record.adopted for item in manifests if item.stage is Stage.STYLIZE for record in item.frames)


def _interrupted(manifests: Sequence[Manifest]) -> bool:
    return adopted(manifests) > 0 or any(item.attempt > 1 for item in manifests)


def error_gain(item: Excerpt) -> float | None:
    """How many times lower E is than that of the method of 2015."""
    return item.legacy.error / item.ours.error if item.legacy.error and item.ours.error else None


def _error_gains(excerpts: Mapping[str, Excerpt]) -> dict[str, float]:
    return {label: gain for label, item in excerpts.items() if (gain := error_gain(item)) is not None}


def _style_over_legacy(excerpts: Mapping[str, Excerpt]) -> dict[str, float]:
    return {
        label: item.ours.style / item.legacy.style
        for label, item in excerpts.items()
        if item.legacy.style and item.ours.style
    }


def _given(items: Mapping[str, object], name: str) -> dict[str, float]:
    """One field of every item, where it has it."""
    values = {label: getattr(item, name) for label, item in items.items()}
    return {label: value for label, value in values.items() if value is not None}


def _ratio(painted: Series, fresh: Series, at: Sequence[tuple[int, int]]) -> float | None:
    pairs = [(painted[frame], fresh[number]) for number, frame in at]
    found = [mine / other for mine, other in pairs if mine is not None and other]
    return fmean(found) if found else None
