"""E over time as a picture: blend windows shaded, cuts marked, the reference beside it. No pyplot, no global state."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from farm.measure.report import PictureReport, Series

_SIZE_IN, _DPI = (11.0, 5.2), 120
_GROUND, _INK, _FAINT, _RULE = "#fbfaf8", "#2b2b2e", "#85858c", "#e6e3de"
_ERROR, _FLAT, _REFERENCE, _DETAIL, _SEAM = "#c4472b", "#d9a441", "#3f6f8c", "#5b7f5a", "#c4472b"
_MARKER_FRAMES = 60
"""Up to this many frames each is marked with a dot."""


def plot(report: PictureReport, path: str | Path | None = None, *, title: str = "") -> bytes:
    """A PNG of E by frame above detail by frame; also written to `path` where one is given."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(
        figsize=_SIZE_IN, dpi=_DPI, facecolor=_GROUND, layout=ConstrainedLayoutEngine(w_pad=0.14, h_pad=0.12)
    )
    FigureCanvasAgg(figure)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1.25))
    _error_panel(above, report, title)
    _detail_panel(below, report)
    data = io.BytesIO()
    figure.savefig(data, format="png", facecolor=_GROUND, metadata={"Software": None})
    if path is not None:
        Path(path).write_bytes(data.getvalue())
    return data.getvalue()


def _error_panel(axes: Any, report: PictureReport, title: str) -> None:
    frames = report.frames
    _dress(axes, report)
    _line(axes, frames.flat_error, "flat areas", _FLAT, width=1.0)
    _line(axes, frames.reference_error, "reference, one chunk a shot", _REFERENCE, width=1.3)
    _line(axes, frames.error, "film", _ERROR, width=1.6)
    axes.set_ylabel("warping error E, % of full scale", color=_INK)
    axes.set_ylim(0, _top(frames.error, frames.reference_error, frames.flat_error))
    axes.set_title(title or "How well the strokes follow the motion", loc="left", color=_INK, fontsize=13, pad=12)
    axes.set_title(_subtitle(report), loc="right", color=_FAINT, fontsize=9, pad=12)
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        place = {"loc": "upper right", "ncols": len(labels), "frameon": False, "fontsize": 9, "labelcolor": _INK}
        axes.legend(handles, labels, **place)


def _detail_panel(axes: Any, report: PictureReport) -> None:
    """Detail over its own median, as only its changes matter here."""
    _dress(axes, report)
    scale = report.detail.median or 1.0
    frames = report.frames
    _line(axes, tuple(value / scale for value in frames.reference_detail if value is not None), "", _REFERENCE, 1.1, 1)
    relative = tuple(None if value is None else value / scale for value in frames.detail)
    _line(axes, relative, "", _DETAIL, width=1.4, unit=1)
    axes.axhline(1, color=_FAINT, linewidth=0.6, zorder=1)
    known = [value for value in relative if value is not None]
    axes.set_ylim(min(0.7, *known) - 0.05, max(1.3, *known) + 0.05)
    axes.set_ylabel("detail / median", color=_INK)
    axes.set_xlabel("frame", color=_INK)


def _dress(axes: Any, report: PictureReport) -> None:
    """Ground, grid, windows and cuts, which both panels have."""
    axes.set_facecolor(_GROUND)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=_RULE, linewidth=0.8)
    axes.tick_params(colors=_FAINT, labelcolor=_INK, length=0, labelsize=9)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(_RULE)
    axes.set_xlim(-0.5, max(1, report.frame_count) - 0.5)
    for seam in report.seams:
        axes.axvspan(seam.start - 0.5, seam.stop - 0.5, color=_SEAM, alpha=0.09, linewidth=0)
    for shot in report.shots[1:]:
        axes.axvline(shot.start - 0.5, color=_INK, linewidth=0.9, linestyle=(0, (4, 3)))


def _line(axes: Any, values: Series, label: str, color: str, width: float, unit: float = 100) -> None:
    """One curve, broken where there is no value."""
    if all(value is None for value in values):
        return
    heights = [math.nan if value is None else value * unit for value in values]
    marker = {"marker": "o", "markersize": 3} if len(values) <= _MARKER_FRAMES else {}
    axes.plot(range(len(values)), heights, color=color, linewidth=width, label=label or None, **marker)


def _top(*series: Series) -> float:
    """Where the axis of E ends: room above the highest value for the legend."""
    highest = max((value for values in series for value in values if value is not None), default=0.0)
    return max(highest * 100 * 1.22, 0.5)


def _subtitle(report: PictureReport) -> str:
    seams, cuts = len(report.seams), len(report.shots) - 1
    words = [f"{report.frame_count} frames", f"judged by {report.judge} flow"]
    if report.scaled:
        words.append(f"at {report.measured_width} × {report.measured_height}")
    if seams:
        words.append(f"{seams} boundar{'ies' if seams > 1 else 'y'} shaded")
    if cuts:
        words.append(f"{cuts} cut{'s' if cuts > 1 else ''} dashed")
    return "  ·  ".join(words)
