"""The benchmark's page, `picture.md`: the verdict first, then every case. Pure: findings in, Markdown out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.bars import table, verdict_table
from bench.findings import Film, Findings, bars, error_gain
from bench.record import Record, Run, mark
from farm.measure.report import Drift

WHOLE = "make bench-picture"
COST_TEXT = (
    "Time is the tasks' own, and sways where other programs run beside the benchmark; steps do not, but count a coarse "
    "level's small ones like those of the finest."
)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the page, by its path from there."""

    path: str
    text: str


def page(record: Record, strips: Iterable[Picture], plots: Iterable[Picture]) -> str:
    """The whole page."""
    found = record.found
    parts = [
        "# The picture", "",
        *_made(record),
        "## Bars", "", *verdict_table(bars(found)), "",
        "E is the warping error, judged by a flow the painter did not use: Lucas and Kanade's, and of synthetic clips "
        "the exact one; excess is over the same frames of the same shot painted in one piece. A window is a blend's "
        "frames and the first one after.", "",
        *_section("Seams", _seams(found), "E is that of the window frames over the frames inside, and over one piece."),
        *_section("Whole films", _films(found)),
        *_section(
            "Drift", _drifts(found),
            "Last tenth of the shot over its first tenth, in the mean: of the painting, and of the source itself.",
        ),
        *_section(
            "Drift over frames painted afresh", _fresh(found),
            "A few frames of the first and of the last tenth were painted from nothing, too: what is in the clip is in "
            "both, and only the painting's own drift is left. First and last: the film's frames over the fresh ones.",
        ),
        *_section(
            "Against the method of 2015", _excerpts(found),
            "Every frame by itself with 5 % of the carried last one, on the same few frames. `untied`: style loss over "
            "that without the temporal term, in frames that took equal steps.",
        ),
        *_section("Cost", _costs(found), COST_TEXT),
        *_section("Same bytes", _bytes(found)),
        *_pictures("The worst boundaries", strips),
        *_pictures("E over time", plots),
    ]  # fmt: skip
    return "\n".join(parts).rstrip() + "\n"


def _made(record: Record) -> list[str]:
    """What the figures are of, and of which run each is."""
    newest, *earlier = record.runs
    clips = {name: title for run in reversed(record.runs) for name, title in run.clips.items()}
    styles = dict.fromkeys(style for run in record.runs for style in run.styles)
    chunks = sorted({item.chunk_frames for item in record.found.seams.values()})
    return [
        f"{_run(newest)} {_command(newest.command)}", "",
        *(
            f"- {mark(number).strip()} of an earlier run: {' '.join((_run(run), *run.notes))}"
            for number, run in enumerate(earlier, start=1)
        ),
        f"- clips: {', '.join(clips.values())}",
        f"- styles: {', '.join(styles)}; chunks of {' and '.join(map(str, chunks))}",
        f"- {record.scope}",
        *(f"- {note}" for note in newest.notes), "",
    ]  # fmt: skip


def _command(newest: str) -> str:
    if newest == WHOLE:
        return f"`{WHOLE}` writes this page."
    return f"`{WHOLE}` measures all of this page, `{newest}` measured the newest part of it."


def _run(run: Run) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    return f"{run.date}, {run.device}, {versions}; painting code {run.painter_code}."


def _section(title: str, lines: Sequence[str], text: str = "") -> list[str]:
    """A titled table; nothing where it has no rows."""
    if len(lines) <= 2:
        return []
    return [f"## {title}", "", *([text, ""] if text else []), *lines, ""]


def _pictures(title: str, pictures: Iterable[Picture]) -> list[str]:
    lines = [line for item in pictures for line in (f"{item.text}:", "", f"![{item.text}]({item.path})", "")]
    return [f"## {title}", "", *lines] if lines else []


def _seams(found: Findings) -> list[str]:
    header = ("case", "boundaries", "E / inside", "max", "excess", "max", "detail", "min", "over one piece, min",
              "style", "max", "over one piece")  # fmt: skip
    rows = []
    for label, item in found.seams.items():
        if (seam := item.seam) is not None:
            figures = (
                seam.error_ratio_mean, seam.error_ratio_max, seam.error_excess_mean, seam.error_excess_max,
                seam.detail_ratio_mean, seam.detail_ratio_min, seam.detail_excess_min,
                seam.style_ratio_mean, seam.style_ratio_max, item.style_over_whole,
            )  # fmt: skip
            rows.append((label, str(item.boundaries), *(ratio(value) for value in figures)))
    return table(header, rows)


def _films(found: Findings) -> list[str]:
    header = ("case", "frames", "E mean", "E max", "E of flat areas", "detail", "style loss")
    return table(header, [(label, *_film(film)) for label, film in _all_films(found)])


def _film(film: Film) -> tuple[str, ...]:
    return (
        str(film.frames), _plain(film.error), _plain(film.error_max), _plain(film.flat_error), detail(film.detail),
        _plain(film.style),
    )  # fmt: skip


def _all_films(found: Findings) -> list[tuple[str, Film]]:
    """In pieces and in one, by name."""
    films = {label: item.film for label, item in found.seams.items()} | found.sequential
    return [(label, films[label]) for label in sorted(films)]


def _drifts(found: Findings) -> list[str]:
    rows = [(label, *_drift(film.drift), *_drift(film.source_drift)) for label, film in _all_films(found) if film.drift]
    return table(("case", "detail", "luminance", "saturation", "source: detail", "luminance", "saturation"), rows)


def _fresh(found: Findings) -> list[str]:
    header = ("case", "detail", "luminance", "saturation", "first: detail", "luminance", "saturation", "last: detail",
              "luminance", "saturation")  # fmt: skip
    rows = [
        (label, *_drift(item.drift), *_drift(item.first), *_drift(item.last)) for label, item in found.fresh.items()
    ]
    return table(header, rows)


def _excerpts(found: Findings) -> list[str]:
    header = ("case", "E, 2015", "E, ours", "gain", "style, 2015", "style, ours", "detail, 2015", "detail, ours",
              "untied", "frames")  # fmt: skip
    rows = []
    for label, item in found.excerpts.items():
        ours, legacy, gain = item.ours, item.legacy, error_gain(item)
        rows.append((
            label, _plain(legacy.error), _plain(ours.error), "—" if gain is None else f"{gain:.2f} ×",
            _plain(legacy.style), _plain(ours.style), detail(legacy.detail), detail(ours.detail),
            ratio(item.untied_style), str(item.pairs),
        ))  # fmt: skip
    return table(header, rows)


def _costs(found: Findings) -> list[str]:
    header = ("case", "anchors and blends over painting: time", "steps", "all painting over one piece's: time", "steps")
    rows = []
    for label in found.step_costs:
        pair = (found.costs[label], found.step_costs[label])
        rows.append(
            (label, *(f"{item.share:.1%}" for item in pair), *(f"{item.over_sequential:+.1%}" for item in pair))
        )
    return table(header, rows)


def _bytes(found: Findings) -> list[str]:
    return table(("job", "frames that differ"), [(label, str(count)) for label, count in found.differing.items()])


def _drift(drift: Drift | None) -> tuple[str, str, str]:
    if drift is None:
        return ("—", "—", "—")
    return change(drift.detail), change(drift.luma), change(drift.saturation)


def ratio(value: float | None) -> str:
    """`1.03`, or a dash."""
    return "—" if value is None else f"{value:.2f}"


def change(value: float | None) -> str:
    """A ratio as the change it is: `+3.1%`."""
    return "—" if value is None else f"{value - 1:+.1%}"


def detail(value: float) -> str:
    """`41.03e-3`."""
    return f"{1000 * value:.2f}e-3"


def _plain(value: float | None) -> str:
    return "—" if value is None else f"{value:.4f}"
