"""From figures by frame to figures by seam, by shot and of the film. Pure numbers: no pictures come here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from statistics import fmean, median

from farm.contract.plan import FrameRange
from farm.measure import figures
from farm.measure.report import Drift, FrameFigures, PictureReport, Seam, SeamSummary, Series, Shot, Spread
from farm.motion import Frame

MIN_DRIFT_FRAMES = 20
"""A shorter shot's first and last tenth are one frame each, and say more of that frame than of the shot."""
_DIGITS = 6


class Tally:
    """The figures of the frames so far."""

    def __init__(self) -> None:
        self.error: list[float | None] = []
        self.flat_error: list[float | None] = []
        self.trusted: list[float | None] = []
        self.reference_error: list[float | None] = []
        self.painted: list[tuple[float, float, float]] = []  # detail, luma, saturation
        self.source: list[tuple[float, float, float]] = []
        self.reference_detail: list[float] = []

    @property
    def count(self) -> int:
        """How many frames were added."""
        return len(self.error)

    def add_picture(self, source: Frame, painted: Frame, reference: Frame | None) -> None:
        """A frame's own figures."""
        self.painted.append(_look(painted))
        self.source.append(_look(source))
        if reference is not None:
            self.reference_detail.append(figures.detail(reference))

    def add_error(
        self, error: float | None, flat: float | None, trusted: float | None, reference: float | None
    ) -> None:
        """A frame's errors against the frame before."""
        self.error.append(error)
        self.flat_error.append(flat)
        self.trusted.append(trusted)
        self.reference_error.append(reference)

    def series(self) -> FrameFigures:
        """All of it, rounded; style losses are others' to know."""
        painted, source = zip(*self.painted, strict=True), zip(*self.source, strict=True)
        names = ("detail", "luma", "saturation")
        return FrameFigures(
            error=_series(self.error),
            flat_error=_series(self.flat_error),
            trusted=_series(self.trusted),
            **{name: _series(values) for name, values in zip(names, painted, strict=True)},
            **{f"source_{name}": _series(values) for name, values in zip(names, source, strict=True)},
            style=(None,) * self.count,
            reference_error=_series(self.reference_error) if self.reference_detail else (),
            reference_detail=_series(self.reference_detail),
        )


def joined(parts: Sequence[FrameFigures]) -> FrameFigures:
    """The figures of runs of frames that follow each other, as if they had been measured in one go."""
    names = [info.name for info in fields(FrameFigures)]
    return FrameFigures(**{name: tuple(value for part in parts for value in getattr(part, name)) for name in names})


def summarized(
    measured: FrameFigures,
    *,
    size_hw: tuple[int, int],
    measured_hw: tuple[int, int],
    judge: str,
    shots: Sequence[FrameRange],
    windows: Sequence[FrameRange],
    style_losses: Mapping[int, float],
) -> PictureReport:
    """The report of a film from its frames' figures."""
    count = len(measured.error)
    frames = replace(measured, style=_series(style_losses.get(frame) for frame in range(count)))
    parts = [_Part(shot, frames, windows) for shot in shots]
    seams = tuple(seam for part in parts for seam in part.seams())
    detail = spread(frames.detail)
    assert detail is not None, "a film has frames"
    return PictureReport(
        frame_count=count,
        width=size_hw[1],
        height=size_hw[0],
        measured_width=measured_hw[1],
        measured_height=measured_hw[0],
        judge=judge,
        error=spread(frames.error),
        flat_error=spread(frames.flat_error),
        detail=detail,
        style=spread(frames.style),
        seam=_seam_summary(seams, parts) if seams else None,
        seams=seams,
        shots=tuple(part.shot() for part in parts),
        frames=frames,
        reference_error=spread(frames.reference_error),
    )


def spread(values: Iterable[float | None]) -> Spread | None:
    """Mean, median and largest of the values there are; None without any."""
    there = _there(values)
    return Spread(_rounded(fmean(there)), _rounded(median(there)), _rounded(max(there))) if there else None


class _Part:
    """One shot: its frames in windows, and those inside."""

    def __init__(self, shot: FrameRange, frames: FrameFigures, windows: Sequence[FrameRange]) -> None:
        self.range = shot
        self.frames = frames
        self.windows = [
            FrameRange(window.start, min(window.stop + 1, shot.stop)) for window in windows if window.start in shot
        ]
        seamed = {frame for window in self.windows for frame in range(window.start, window.stop)}
        self.inside = [frame for frame in range(shot.start, shot.stop) if frame not in seamed]
        self._medians: dict[int, float | None] = {}  # of the frames inside, by the series' identity

    def shot(self) -> Shot:
        frames, start, stop = self.frames, self.range.start, self.range.stop
        painted = (frames.detail, frames.luma, frames.saturation)
        source = (frames.source_detail, frames.source_luma, frames.source_saturation)
        return Shot(
            start,
            stop,
            error=spread(frames.error[start:stop]),
            inside_error=self._inside(frames.error),
            flat_error=spread(frames.flat_error[start:stop]),
            drift=self._drift(*painted),
            source_drift=self._drift(*source),
        )

    def seams(self) -> list[Seam]:
        return [self._seam(window) for window in self.windows]

    def ratios(self, window: FrameRange, values: Series) -> list[float]:
        """The window's values over the median inside."""
        inside = self._inside(values)
        return [value / inside for value in _there(values[window.start : window.stop])] if inside else []

    def excess(self, window: FrameRange, values: Series, reference: Series) -> list[float]:
        """The window's values over the reference film's of the same frames."""
        frames = range(window.start, window.stop) if reference else ()
        pairs = [(values[frame], reference[frame]) for frame in frames]
        return [own / other for own, other in pairs if own is not None and other]

    def _seam(self, window: FrameRange) -> Seam:
        frames = self.frames
        ratios = self.ratios(window, frames.error)
        excess = self.excess(window, frames.error, frames.reference_error)
        return Seam(
            window.start,
            window.stop,
            error=spread(frames.error[window.start : window.stop]),
            error_ratio_mean=_mean(ratios),
            error_ratio_max=_max(ratios),
            detail_ratio=_mean(self.ratios(window, frames.detail)),
            style_ratio=_mean(self.ratios(window, frames.style)),
            error_excess_mean=_mean(excess),
            error_excess_max=_max(excess),
            detail_excess=_mean(self.excess(window, frames.detail, frames.reference_detail)),
        )

    def _inside(self, values: Series) -> float | None:
        if id(values) not in self._medians:
            there = _there(values[frame] for frame in self.inside)
            self._medians[id(values)] = _rounded(median(there)) if there else None
        return self._medians[id(values)]

    def _drift(self, *values: Series) -> Drift | None:
        length = len(self.range)
        if length < MIN_DRIFT_FRAMES:
            return None
        tenth = length // 10
        ratios = [_last_over_first(series[self.range.start : self.range.stop], tenth) for series in values]
        return Drift(*ratios)


def _seam_summary(seams: Sequence[Seam], parts: Sequence[_Part]) -> SeamSummary:
    pairs = [(part, window) for part in parts for window in part.windows]
    frames = parts[0].frames
    ratios = [ratio for part, window in pairs for ratio in part.ratios(window, frames.error)]
    excess = [ratio for part, window in pairs for ratio in part.excess(window, frames.error, frames.reference_error)]
    details = _there(seam.detail_ratio for seam in seams)
    styles = _there(seam.style_ratio for seam in seams)
    detail_excess = _there(seam.detail_excess for seam in seams)
    return SeamSummary(
        error_ratio_mean=_mean(ratios),
        error_ratio_max=_max(ratios),
        detail_ratio_mean=_mean(details),
        detail_ratio_min=min(details, default=None),
        style_ratio_mean=_mean(styles),
        style_ratio_max=_max(styles),
        error_excess_mean=_mean(excess),
        error_excess_max=_max(excess),
        detail_excess_mean=_mean(detail_excess),
        detail_excess_min=min(detail_excess, default=None),
    )


def _look(frame: Frame) -> tuple[float, float, float]:
    return figures.detail(frame), figures.mean_luma(frame), figures.saturation(frame)


def _last_over_first(values: Series, count: int) -> float | None:
    first, last = _there(values[:count]), _there(values[-count:])
    return _rounded(fmean(last) / fmean(first)) if any(first) else None


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(fmean(values)) if values else None


def _max(values: Sequence[float]) -> float | None:
    return _rounded(max(values)) if values else None


def _there(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _series(values: Iterable[float | None]) -> Series:
    return tuple(None if value is None else _rounded(value) for value in values)


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
