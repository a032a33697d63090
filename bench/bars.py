"""Bars: a figure in every case, what is asked of it, and whether the worst case meets it. Pure; also the tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of the verdict: the worst of all cases."""

    number: int
    title: str
    asked: str  # "≤ 1.03"
    figure: str
    case: str  # where it is worst; empty: nowhere measured
    met: bool | None  # None: not measured


def at_most(number: int, title: str, figures: Mapping[str, float], limit: float, *, percent: bool = False) -> Bar:
    """Every case's figure must be no more than `limit`."""
    if not figures:
        return unmeasured(number, title, f"≤ {_shown(limit, percent)}")
    case = max(figures, key=lambda name: figures[name])
    worst = figures[case]
    return Bar(number, title, f"≤ {_shown(limit, percent)}", _shown(worst, percent), case, worst <= limit)


def at_least(number: int, title: str, figures: Mapping[str, float], limit: float) -> Bar:
    """Every case's figure must be no less than `limit`."""
    if not figures:
        return unmeasured(number, title, f"≥ {_shown(limit)}")
    case = min(figures, key=lambda name: figures[name])
    return Bar(number, title, f"≥ {_shown(limit)}", _shown(figures[case]), case, figures[case] >= limit)


def within(number: int, title: str, figures: Mapping[str, float], tolerance: float) -> Bar:
    """Every case's ratio must lie no further than `tolerance` from 1."""
    asked = f"within ±{tolerance:.0%}"
    if not figures:
        return unmeasured(number, title, asked)
    case = max(figures, key=lambda name: abs(figures[name] - 1))
    worst = figures[case] - 1
    return Bar(number, title, asked, f"{worst:+.1%}", case, abs(worst) <= tolerance)


def same(number: int, title: str, differing: Mapping[str, int]) -> Bar:
    """No case may have a differing frame."""
    if not differing:
        return unmeasured(number, title, "no frame differs")
    case = max(differing, key=lambda name: differing[name])
    count = differing[case]
    if not count:
        return Bar(number, title, "no frame differs", "none", ", ".join(differing), True)
    return Bar(number, title, "no frame differs", f"{count} differ", case, False)


def unmeasured(number: int, title: str, asked: str) -> Bar:
    """A bar that this run can't judge."""
    return Bar(number, title, asked, "—", "", None)


def verdict_table(bars: Iterable[Bar]) -> list[str]:
    """The bars as a Markdown table."""
    words = {True: "yes", False: "**no**", None: "not measured"}
    rows = [(str(bar.number), bar.title, bar.asked, bar.figure, bar.case, words[bar.met]) for bar in bars]
    return table(("bar", "what", "asked", "worst", "where", "met"), rows)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


def worst_boundary(excess: Mapping[str, Mapping[int, Sequence[float]]]) -> tuple[str, int] | None:
    """The case and the boundary with the highest seam excess in a frame of its window; None where there is none.

    `excess`: per case, per boundary (by its start), the seam excess of each frame of its blend window.
    """
    found = [
        (max(values), case, start)
        for case, boundaries in excess.items()
        for start, values in boundaries.items()
        if len(values)
    ]
    if not found:
        return None
    _, case, start = max(found, key=lambda item: item[0])
    return case, start


def _shown(value: float, percent: bool = False) -> str:
    if percent:
        return f"{value:.1%}"
    return f"{value:.1f}" if value >= 10 else f"{value:.3f}".removesuffix("0")
