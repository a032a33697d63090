"""What measuring a film gives: figures by frame, by seam and by shot. Frozen, and JSON both ways (`contract.codec`).

Every number has six significant digits, so equal films give equal reports.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

PICTURE_VERSION = 1

Series = tuple[float | None, ...]
"""One value a frame; None where the frame has none."""


@dataclass(frozen=True, slots=True)
class FrameFigures:
    """Figures by frame, each a tuple as long as the film."""

    error: Series  # E_t; None at frame 0 and at cuts
    flat_error: Series  # E_t over flat areas of the source; None where these are under 2 % of the picture
    trusted: Series  # share of the picture that E_t was measured on
    detail: Series  # variance of the painted luma's Laplacian
    luma: Series  # mean luma
    saturation: Series
    source_detail: Series
    source_luma: Series
    source_saturation: Series
    style: Series  # style loss as its worker reported it; None where no one did
    reference_error: Series = ()  # of the reference film; empty without one
    reference_detail: Series = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over many frames."""

    mean: float
    median: float
    max: float


@dataclass(frozen=True, slots=True)
class Seam:
    """A boundary's figures, over its window s … s+K: the K frames of the blend and the first one after it.

    Ratios are over the median of the frames of the same shot that are in no window; None where there is nothing to
    compare. Excess is over the same frame of the reference film.
    """

    start: int  # s
    stop: int  # end of the window, s+K+1 or the shot's end
    error: Spread | None
    error_ratio_mean: float | None
    error_ratio_max: float | None
    detail_ratio: float | None  # of the window's mean
    style_ratio: float | None  # of the window's mean
    error_excess_mean: float | None = None
    error_excess_max: float | None = None
    detail_excess: float | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """Last tenth of a shot over its first tenth, each in the mean; 1 is no drift, None where the first is 0."""

    detail: float | None
    luma: float | None
    saturation: float | None


@dataclass(frozen=True, slots=True)
class Shot:
    """A shot's figures."""

    start: int
    stop: int
    error: Spread | None
    inside_error: float | None  # median E of the frames in no window
    flat_error: Spread | None
    drift: Drift | None  # of the painting; None for shots under 20 frames
    source_drift: Drift | None  # of the source itself, which the painting follows


@dataclass(frozen=True, slots=True)
class SeamSummary:
    """All seams of a film: means over all window frames, and the worst."""

    error_ratio_mean: float | None
    error_ratio_max: float | None
    detail_ratio_mean: float | None
    detail_ratio_min: float | None
    style_ratio_mean: float | None
    style_ratio_max: float | None
    error_excess_mean: float | None = None
    error_excess_max: float | None = None
    detail_excess_mean: float | None = None
    detail_excess_min: float | None = None


@dataclass(frozen=True, slots=True)
class PictureReport:
    """How good a painted film is, in figures. Errors are in [0, 1] of sRGB."""

    VERSION: ClassVar[int] = PICTURE_VERSION

    frame_count: int
    width: int  # of the film, px
    height: int
    measured_width: int  # what it was measured at
    measured_height: int
    judge: str  # the flow it was judged with: lucas-kanade, exact
    error: Spread | None  # None for a film of single frames between cuts
    flat_error: Spread | None
    detail: Spread
    style: Spread | None
    seam: SeamSummary | None  # None without boundaries
    seams: tuple[Seam, ...]
    shots: tuple[Shot, ...]
    frames: FrameFigures
    reference_error: Spread | None = None
    version: int = PICTURE_VERSION

    @property
    def scaled(self) -> bool:
        """Whether it was measured at another size than the film's."""
        return (self.measured_width, self.measured_height) != (self.width, self.height)
