"""`make gallery`: three clips in four styles beside their sources and the method of 2015, for `docs/gallery.md`.

Paints short excerpts on the benchmark's farm; the worst boundaries are those of `make bench-picture`'s page.
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.bars import table
from bench.cases import Case, Scope, excerpt_asks, excerpt_frames, shot
from bench.clips import REAL, BenchClip
from bench.command import run, say
from bench.jobs import FARMS, ROOT, Workshop, default_workers, workshop
from bench.looks import final_frames, source_frames, unexplained
from bench.page import Picture, ratio
from bench.sheets import Frame, Row, save_jpeg, strip
from farm.client import Job
from farm.measure import measure_job
from farm.measure.report import PictureReport

DOCS, RESULTS = ROOT / "docs", ROOT / "bench" / "results"
GALLERY_STYLES = ("swirl", "mosaic", "wheat", "wave")
EXCERPT_FRAMES, EXCERPT_CHUNK = 16, 8
SHEET_COLUMNS, STRIP_COLUMNS = 4, 4
SHEET_CELL_PX, STRIP_CELL_PX = 240, 240
SHEET_LIMIT_BYTES, STRIP_LIMIT_BYTES = 190_000, 140_000
WORST = re.compile(r"!\[([^\]]*the worst boundary[^\]]*)\]\((picture/worst_\d+\.jpg)\)")
"""A picture of the benchmark's page: what it says, and where it lies."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One clip in one style, painted both ways and measured."""

    case: Case
    clip: Path  # the excerpt
    ours: Job
    legacy: Job
    measured: PictureReport
    measured_legacy: PictureReport


def paint(farm: Workshop, clips: Sequence[BenchClip], styles: Sequence[str], scope: Scope) -> list[Panel]:
    """Every clip in every style; what the benchmark painted is there already."""
    cases = [Case(shot(clip, scope), style) for clip in clips for style in styles]
    asks = {case: excerpt_asks(case, scope) for case in cases}
    wanted = [ask for found in asks.values() for ask in (found["ours"], found["legacy"])]
    jobs = farm.paint(wanted)
    panels = []
    for case, found in asks.items():
        ours, legacy = jobs[found["ours"]], jobs[found["legacy"]]
        say(f"measuring {case.label}")
        panels.append(Panel(case, found["ours"].clip, ours, legacy, measure_job(ours), measure_job(legacy)))
    return panels


def contact_sheet(panels: Sequence[Panel]) -> Frame:
    """One clip: its source over our painting in every style, spread over the excerpt."""
    count = panels[0].measured.frame_count
    numbers = [column * (count - 1) // (SHEET_COLUMNS - 1) for column in range(SHEET_COLUMNS)]
    rows = [Row("source", source_frames(panels[0].ours, panels[0].clip, numbers))]
    rows += [Row(panel.case.style, final_frames(panel.ours, numbers), notes(panel.measured)) for panel in panels]
    title = panels[0].case.shot.clip.title
    return strip(rows, [f"frame {number}" for number in numbers], title=title, cell_px=SHEET_CELL_PX)


def comparison(panel: Panel) -> Frame:
    """Consecutive frames: source, 2015, ours, and what of each change motion does not explain."""
    boundary = panel.measured.seams[0].start if panel.measured.seams else panel.measured.frame_count // 2
    ahead = range(max(0, boundary - 2), min(panel.measured.frame_count, boundary - 1 + STRIP_COLUMNS))
    numbers = ahead[1:]
    source = source_frames(panel.ours, panel.clip, ahead)
    legacy, ours = final_frames(panel.legacy, ahead), final_frames(panel.ours, ahead)
    rows = [
        Row("source", source[1:]),
        Row("2015", legacy[1:], notes(panel.measured_legacy)),
        Row("ours", ours[1:], notes(panel.measured)),
        Row("change, 2015", unexplained(source, legacy)[1:], ("that motion does", "not explain")),
        Row("change, ours", unexplained(source, ours)[1:], ("that motion does", "not explain")),
    ]
    title = f"{panel.case.shot.clip.title}, {panel.case.style}"
    return strip(rows, [f"frame {number}" for number in numbers], title=title, cell_px=STRIP_CELL_PX)


def notes(report: PictureReport) -> tuple[str, ...]:
    """A film's figures in a few short lines."""
    lines = [f"E {report.error.mean:.4f}"] if report.error else []
    lines += [f"seams × {report.seam.error_ratio_mean:.2f}"] if report.seam and report.seam.error_ratio_mean else []
    return (*lines, f"style loss {report.style.mean:.3f}") if report.style else tuple(lines)


def worst_strips(results: Path, folder: Path) -> list[Picture]:
    """The strip of the worst boundary of each chunk length, as the benchmark's page has them; copied to `folder`."""
    benchmark = results / "picture.md"
    found = WORST.findall(benchmark.read_text()) if benchmark.is_file() else []
    pictures = []
    for title, path in found:
        copy = shutil.copyfile(results / path, folder / Path(path).name)
        pictures.append(Picture(f"{folder.name}/{copy.name}", title))
    return pictures


def page(panels: Sequence[Panel], scope: Scope, worst: Sequence[Picture]) -> str:
    """`gallery.md`."""
    styles = ", ".join(dict.fromkeys(panel.case.style for panel in panels))
    lines = [
        "# Gallery", "",
        f"Real clips in the built-in styles {styles}, painted at "
        f"{scope.size_px} px in chunks of {scope.excerpt_chunk} by the farm, beside the method of 2015 (every frame by "
        "itself, 5 % of the carried last one mixed in: `--coherence legacy`). `make gallery` makes all of it.",
        "",
        "E is the warping error: the change from frame to frame that the source's motion does not explain, in [0, 1]; "
        "lower is steadier. Seams × is E in the blend windows over E elsewhere; 1 is no seam. Style loss is how far "
        "the paint is from the style; lower is closer. In the strips, bright is change that motion does not explain, "
        "four times as bright as it is.", "",
    ]  # fmt: skip
    for name in dict.fromkeys(panel.case.shot.clip.name for panel in panels):
        lines += _clip_section([panel for panel in panels if panel.case.shot.clip.name == name], scope)
    if worst:
        lines += [
            "## The worst boundaries", "",
            "Of all boundaries of [the benchmark](../bench/results/picture.md), those with the highest error against "
            "the same shot painted in one piece: two frames before the boundary s to six after.", "",
        ]  # fmt: skip
        lines += [line for item in worst for line in (f"![{item.text}]({item.path})", "")]
    return "\n".join(lines).rstrip() + "\n"


def _clip_section(panels: Sequence[Panel], scope: Scope) -> list[str]:
    clip = panels[0].case.shot.clip
    frames = excerpt_frames(clip, scope)
    first, last = clip.start + frames.start, clip.start + frames.stop - 1
    header = ("style", "E, 2015", "E, ours", "gain", "seams ×", "style loss, 2015", "style loss, ours")
    strips = [
        line
        for panel in panels
        for line in (f"![{clip.title}, {panel.case.style}: source, 2015, ours](gallery/{strip_name(panel.case)})", "")
    ]
    return [
        f"## {clip.title}", "", f"Frames {first} to {last} of `{clip.file}`.", "",
        f"![{clip.title} in every style](gallery/{clip.name}.jpg)", "",
        *table(header, [_figures(panel) for panel in panels]), "", *strips,
    ]  # fmt: skip


def _figures(panel: Panel) -> tuple[str, ...]:
    ours, legacy = panel.measured, panel.measured_legacy
    gain = legacy.error.mean / ours.error.mean if ours.error and legacy.error else None
    return (
        panel.case.style,
        f"{legacy.error.mean:.4f}" if legacy.error else "—",
        f"{ours.error.mean:.4f}" if ours.error else "—",
        "—" if gain is None else f"{gain:.1f} ×",
        ratio(ours.seam.error_ratio_mean if ours.seam else None),
        f"{legacy.style.mean:.4f}" if legacy.style else "—",
        f"{ours.style.mean:.4f}" if ours.style else "—",
    )


def strip_name(case: Case) -> str:
    """The file of a comparison."""
    return f"{case.shot.clip.name}_{case.style}.jpg"


def write(panels: Sequence[Panel], worst: Sequence[Picture], scope: Scope, docs: Path) -> int:
    """The pictures and the page; bytes in all."""
    folder = docs / "gallery"
    by_clip: dict[str, list[Panel]] = {}
    for panel in panels:
        by_clip.setdefault(panel.case.shot.clip.name, []).append(panel)
        save_jpeg(comparison(panel), folder / strip_name(panel.case), STRIP_LIMIT_BYTES)
    for name, own in by_clip.items():
        save_jpeg(contact_sheet(own), folder / f"{name}.jpg", SHEET_LIMIT_BYTES)
    (docs / "gallery.md").write_text(page(panels, scope, worst))
    return sum(path.stat().st_size for path in folder.iterdir())


def parsed(words: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("python -m bench.gallery", description="Paints the gallery in docs/.")
    parser.add_argument("--quick", action="store_true", help="one clip, one style, few and small frames, not in docs/")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of one worker")
    parser.add_argument("--workers", type=int, default=None, metavar="N", help="by default one per thread of a CPU")
    parser.add_argument("--farm", type=Path, default=None, metavar="FOLDER", help="of the farm, whatever painted it")
    parser.add_argument("--docs", type=Path, default=None, metavar="FOLDER", help="where page and pictures go")
    return parser.parse_args(words)


def main(words: Sequence[str]) -> int:
    """Paint and write the gallery."""
    arguments = parsed(words)
    scope, count = Scope(FARMS / "clips", excerpt_frames=EXCERPT_FRAMES, excerpt_chunk=EXCERPT_CHUNK), 99
    docs: Path = arguments.docs or (FARMS / "quick" if arguments.quick else DOCS)
    if arguments.quick:
        scope, count = replace(scope, size_px=96, frames=30, excerpt_frames=12, excerpt_chunk=6), 1
    with workshop(arguments.threads, say, arguments.farm) as farm:
        farm.widen(arguments.workers or default_workers(arguments.threads))
        panels = paint(farm, REAL[:count], GALLERY_STYLES[:count], scope)
        shutil.rmtree(docs / "gallery", ignore_errors=True)
        (docs / "gallery").mkdir(parents=True)
        size_bytes = write(panels, worst_strips(RESULTS, docs / "gallery"), scope, docs)
    say(f"written: {docs / 'gallery.md'}, pictures of {size_bytes / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    run(main)
