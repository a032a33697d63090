"""What the benchmark reads off jobs, on figures small enough to work out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from bench.cases import Case, Scope, Shot
from bench.clips import REAL
from bench.findings import (
    DEFAULT_CHUNK,
    Cost,
    Excerpt,
    Findings,
    adopted,
    bars,
    cost,
    film_of,
    fresh_drift,
    seam_excess,
    seams_of,
    seconds_of,
    steps_of,
    untied_style,
)
from bench.page import Picture, change, page, ratio
from bench.picture import Benchmark, plots
from bench.record import Record, Run
from farm.contract.messages import FrameRecord, Manifest, Stage
from farm.contract.plan import Boundary
from farm.measure import PictureReport, measure_film
from farm.plan import make_plan
from farm.png import png_read

if TYPE_CHECKING:
    from bench.jobs import Workshop

FRAMES = 24


def film(flicker: float = 0.0, reference: float | None = 0.0) -> PictureReport:
    """A still source under paint that changes its brightness by `flicker` from frame to frame, with one seam."""
    source = np.random.default_rng(0).integers(60, 180, (40, 64, 3), np.uint8)

    def paint(by: float) -> list[np.ndarray]:
        return [np.clip(source.astype(float) + by * (number % 2), 0, 255).astype(np.uint8) for number in range(FRAMES)]

    return measure_film(
        [source] * FRAMES,
        paint(flicker),
        boundaries=[Boundary(12, 16, 0, 0)],
        style_losses=dict.fromkeys(range(FRAMES), 0.1),
        reference=None if reference is None else paint(reference),
    )


def manifest(
    stage: Stage, start: int, seconds: float, adopted_frames: int = 0, attempt: int = 1, steps: int = 1
) -> Manifest:
    records = tuple(FrameRecord(start + n, "0" * 64, steps=steps, adopted=n < adopted_frames) for n in range(4))
    return Manifest("job", stage, start, attempt, "worker", "cpu", 100.0, 100.0 + seconds, records)


PLAN = make_plan(8, (64, 48), (), 4, 2, "x")
WHOLE = [manifest(Stage.ANCHOR, 0, 5), manifest(Stage.STYLIZE, 0, 45)]
PIECES = [
    manifest(Stage.ANCHOR, 0, 5), manifest(Stage.ANCHOR, 4, 3),
    manifest(Stage.STYLIZE, 0, 20), manifest(Stage.STYLIZE, 4, 20), manifest(Stage.BLEND, 4, 1),
]  # fmt: skip


def test_the_cost_leaves_out_the_first_anchor_which_any_painting_needs() -> None:
    found = cost(PLAN, PIECES, WHOLE, seconds_of)
    assert found is not None
    assert found.share == pytest.approx((3 + 1) / 40)
    assert found.over_sequential == pytest.approx(49 / 50 - 1)


def test_the_cost_in_steps_does_not_see_the_clock() -> None:
    pieces = [
        manifest(Stage.ANCHOR, 0, 99, steps=50), manifest(Stage.ANCHOR, 4, 77, steps=6),
        manifest(Stage.STYLIZE, 0, 55, steps=20), manifest(Stage.STYLIZE, 4, 33, steps=20),
        manifest(Stage.BLEND, 4, 11, steps=2), manifest(Stage.ASSEMBLE, 0, 500),
    ]  # fmt: skip
    found = cost(PLAN, pieces, [manifest(Stage.STYLIZE, 0, 1, steps=100)], steps_of)
    assert found is not None
    assert found.share == pytest.approx((6 + 2) / 40)
    assert found.over_sequential == pytest.approx(98 / 100 - 1)


@pytest.mark.parametrize(
    "spoilt", [manifest(Stage.STYLIZE, 4, 20, adopted_frames=2), manifest(Stage.ANCHOR, 4, 3, attempt=2)]
)
def test_a_job_that_was_interrupted_has_no_cost(spoilt: Manifest) -> None:
    assert cost(PLAN, [*PIECES, spoilt], WHOLE, seconds_of) is None


def test_adopted_frames_are_those_a_resumed_job_did_not_paint_again() -> None:
    assert adopted([manifest(Stage.STYLIZE, 0, 1, adopted_frames=3), manifest(Stage.STYLIZE, 4, 1)]) == 3


def test_style_is_compared_in_frames_that_took_equal_steps() -> None:
    ours = {1: (0.2, 24), 2: (0.4, 24), 3: (9.0, 60), 4: (9.0, 24)}
    untied = {1: (0.1, 24), 2: (0.3, 24), 3: (0.1, 24)}
    assert untied_style(ours, untied) == (pytest.approx(0.3 / 0.2), 2)
    assert untied_style(ours, {}) == (None, 0)


def test_seam_excess_is_that_of_every_frame_of_the_window() -> None:
    excess = seam_excess(film(flicker=20, reference=10))
    assert list(excess) == [12]
    assert len(excess[12]) == 5  # the blend's four frames and the one after
    assert excess[12] == pytest.approx([2.0] * 5, rel=0.02)


def test_without_a_reference_there_is_no_excess() -> None:
    assert seam_excess(film(flicker=20, reference=None)) == {12: []}


def test_what_the_clip_itself_does_is_no_drift_over_fresh_frames() -> None:
    series = film().frames
    painted = replace(series, detail=tuple(2.0 + number for number in range(FRAMES)))
    fresh = replace(series, detail=(2.0, 25.0))  # frames 0 and 23 painted from nothing: the clip grew as much
    assert fresh_drift(painted, fresh, [0, 23], FRAMES).drift.detail == pytest.approx(1.0)


def test_a_painting_that_loses_detail_drifts_over_fresh_frames() -> None:
    series = film().frames
    painted = replace(series, detail=(1.0,) * 22 + (0.8,) * 2)
    fresh = replace(series, detail=(1.0, 1.0, 1.0, 1.0))
    found = fresh_drift(painted, fresh, [0, 1, 22, 23], FRAMES)
    assert (found.first.detail, found.last.detail) == (1.0, pytest.approx(0.8))
    assert found.drift.detail == pytest.approx(0.8)
    assert found.drift.luma == pytest.approx(1.0)


def test_an_empty_run_measures_nothing() -> None:
    assert all(bar.met is None for bar in bars(Findings()))
    assert {bar.number for bar in bars(Findings())} == set(range(1, 8))


@pytest.fixture
def found() -> Findings:
    steady, flickering = film(flicker=2, reference=2), film(flicker=40, reference=None)
    return Findings(
        seams={"bunny, swirl, 48": seams_of(DEFAULT_CHUNK, steady, steady)},
        sequential={"bunny, swirl, one piece": film_of(steady)},
        fresh={"bunny, swirl, 48": fresh_drift(steady.frames, steady.frames, range(FRAMES), FRAMES)},
        excerpts={"bunny, swirl": Excerpt(film_of(steady), film_of(flickering), 1.2, 20)},
        costs={"bunny, swirl, 48": Cost(0.12, 0.2)},
        step_costs={"bunny, swirl, 48": Cost(0.13, 0.1)},
        differing={"repeated": 0},
    )


def test_bars_are_met_or_missed_by_what_was_found(found: Findings) -> None:
    met = {(bar.number, bar.title.partition(",")[0]): bar.met for bar in bars(found)}
    assert met[1, "seam excess over the blend window"] is True
    assert met[4, "E of the method of 2015 over ours"] is True
    assert met[5, "anchors and blends over painting by time"] is True
    assert met[5, "all painting beyond one piece's by time"] is False
    assert met[5, "anchors and blends over painting by steps"] is True
    assert met[5, "all painting beyond one piece's by steps"] is True
    assert met[6, "style loss over that without the temporal term"] is False
    assert met[7, "frames that differ: repeated"] is True


def record(found: Findings) -> Record:
    clips = {"bunny": "Big Buck Bunny (24 frames)"}
    run = Run("2026-01-01", "cpu", {"torch": "2"}, "12345678", "make bench-picture", clips, ("swirl",), found)
    return Record("size 64 px", (run,))


def test_the_page_has_every_case_and_every_picture(found: Findings) -> None:
    text = page(record(found), [Picture("picture/worst.jpg", "worst")], [Picture("picture/e.png", "E")])
    headings = [line for line in text.splitlines() if line.startswith("## ")]
    assert headings == [
        "## Bars", "## Seams", "## Whole films", "## Drift", "## Drift over frames painted afresh",
        "## Against the method of 2015", "## Cost", "## Same bytes", "## The worst boundaries", "## E over time",
    ]  # fmt: skip
    assert "![worst](picture/worst.jpg)" in text
    assert text.count("bunny, swirl, 48") > 5
    widths = {len(line.split(" | ")) for line in text.splitlines() if line.startswith("| bunny, swirl, one")}
    assert widths == {7}


def test_tables_without_rows_are_left_out() -> None:
    text = page(record(Findings()), [], [])
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Bars"]


def test_a_plot_goes_with_its_film_and_stays_with_an_earlier_one(found: Findings, tmp_path: Path) -> None:
    names = ["bunny_swirl_48.png", "bunny_mosaic_48.png", "bikes_mosaic_48.png"]
    for name in names:
        (tmp_path / name).write_bytes(b"an earlier plot")
    case = Case(Shot(REAL[0], tmp_path / "bunny.mp4", FRAMES), "swirl")
    run = Benchmark(
        [case], (48,), Scope(tmp_path), ("seams",), cast("Workshop", None), 1
    )  # no farm: nothing is painted
    run.reports = {"bunny, swirl, 48": film(), "bunny, mosaic, 48": film()}
    shown = plots(run, record(found), tmp_path)
    assert [picture.path for picture in shown] == [f"{tmp_path.name}/bunny_swirl_48.png"]
    assert {name: (tmp_path / name).is_file() for name in names} == dict(zip(names, (True, False, True), strict=True))
    assert png_read((tmp_path / names[0]).read_bytes()).size > 0
    assert (tmp_path / names[2]).read_bytes() == b"an earlier plot"


def test_ratios_and_changes_say_when_there_is_none() -> None:
    assert (ratio(1.034), ratio(None), change(0.93), change(None)) == ("1.03", "—", "-7.0%", "—")
