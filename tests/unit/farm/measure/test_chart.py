"""The plot: a picture, with what it should mark in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import synthetic

from farm.contract.plan import FrameRange
from farm.measure import PictureReport, measure_film, plot
from farm.png import png_read

SIZE = (64, 48)


def report(boundaries: tuple[FrameRange, ...] = (), frames: int = 20) -> PictureReport:
    clip = synthetic.pan(SIZE, frames, 2.5)
    return measure_film(clip.frames(), clip.frames(), boundaries=boundaries)


def test_the_plot_is_a_png_also_written_to_its_path(tmp_path: Path) -> None:
    data = plot(report(), tmp_path / "plot.png", title="a film")
    assert (tmp_path / "plot.png").read_bytes() == data
    height, width, _ = png_read(data).shape
    assert width > 1.5 * height > 600


def test_equal_reports_give_equal_plots() -> None:
    assert plot(report()) == plot(report())


def test_a_boundarys_window_is_shaded() -> None:
    bare = png_read(plot(report()))
    shaded = png_read(plot(report((FrameRange(10, 14),))))
    changed = (bare[:400] != shaded[:400]).any(axis=2).mean(axis=0)
    columns = np.flatnonzero(changed > 0.6)
    left, right = columns.min() / bare.shape[1], columns.max() / bare.shape[1]
    assert 0.45 < left < 0.58  # frames 10 … 14 of 20
    assert 0.7 < right < 0.8


def test_a_film_with_nothing_to_compare_has_a_plot() -> None:
    assert png_read(plot(report(frames=1))).size


def test_matplotlib_is_imported_only_for_a_plot() -> None:
    code = "import sys, farm.measure; print('matplotlib' in sys.modules, 'torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert result.stdout.split() == ["False", "False"]
