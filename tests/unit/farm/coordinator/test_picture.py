"""Figures in the report: of every film that is assembled, and no reason to lose one."""

from __future__ import annotations

import gc
import json
from pathlib import Path
from typing import Any

import pytest
import synthetic
from matplotlib.figure import Figure
from painted_job import PaintedJob, memory_farm, paint_job

from farm.contract import keys
from farm.coordinator import picture
from farm.measure import measure_job
from farm.media import MediaCache
from farm.png import png_read

CLIP = synthetic.pan((96, 64), 24, 2.0)


@pytest.fixture
def painted(tmp_path: Path) -> PaintedJob:
    return paint_job(memory_farm(tmp_path), CLIP, tmp_path, levels={16: 25})


def assembled(painted: PaintedJob, folder: Path) -> dict[str, Any]:
    """The report of the film that is assembled."""
    store = painted.farm.store
    media = MediaCache(store, folder / "coordinator")
    painted.encode(media)
    report = painted.assemble(media)
    assert store.head(keys.output(painted.job.name, "film.mp4")) is not None
    assert store.head(keys.output(painted.job.name, "result.json")) is not None
    return report


def test_the_report_has_the_figures_that_measuring_the_job_gives(painted: PaintedJob, tmp_path: Path) -> None:
    found = assembled(painted, tmp_path)["picture"]
    measured = picture.summary(measure_job(painted.job))
    assert found == json.loads(json.dumps(measured))
    assert set(found["frames"]) == {"error", "detail"}
    assert len(found["frames"]["error"]) == 24
    assert found["seams"][1]["error_ratio_max"] > found["seams"][0]["error_ratio_max"]


def test_the_plot_lies_beside_the_film(painted: PaintedJob, tmp_path: Path) -> None:
    assembled(painted, tmp_path)
    painted.job.fetch_output("measure.png", tmp_path / "measure.png")
    assert png_read((tmp_path / "measure.png").read_bytes()).size


def test_nothing_of_a_plot_stays_in_memory(painted: PaintedJob, tmp_path: Path) -> None:
    assembled(painted, tmp_path)
    assert not [item for item in gc.get_objects() if type(item) is Figure]


def test_a_film_that_cannot_be_measured_still_ships(
    painted: PaintedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_memory(*_: object) -> None:
        raise MemoryError("no room for a flow")

    monkeypatch.setattr(picture.FilmMeasurer, "add", no_memory)
    assert assembled(painted, tmp_path)["picture"] == {"error": "not measured: MemoryError: no room for a flow"}


def test_a_plot_that_cannot_be_drawn_is_no_reason_to_lose_the_film(
    painted: PaintedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_font(*_: object, **__: object) -> bytes:
        raise RuntimeError("no font")

    monkeypatch.setattr(picture, "plot", no_font)
    assert assembled(painted, tmp_path)["picture"] == {"error": "not measured: RuntimeError: no font"}
