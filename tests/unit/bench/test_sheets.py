"""Strips show every frame of every row, and small files stay small."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.sheets import Row, difference, save_jpeg, strip

RED, BLUE = (np.full((20, 30, 3), color, np.uint8) for color in ((200, 0, 0), (0, 0, 200)))


def test_a_strip_shows_every_frame_at_its_size() -> None:
    sheet = strip([Row("one", [RED] * 3), Row("two", [BLUE] * 3)], ["1", "2", "3"], title="both", cell_px=60)
    for color in (RED, BLUE):
        assert (sheet == color[0, 0]).all(axis=2).sum() == 3 * 60 * 40


def test_the_marked_caption_stands_out() -> None:
    plain, marked = (strip([Row("", [RED])], ["8"], title="", marked=column) for column in (None, 0))
    assert not np.array_equal(plain, marked)


def test_a_difference_is_dark_where_nothing_changed_or_no_motion_is_known() -> None:
    mask = np.ones((20, 30), np.float32)
    assert difference(RED, RED, mask).max() == 0
    assert difference(RED, BLUE, 0 * mask).max() == 0
    assert difference(RED, BLUE, mask).min() == 255


def test_a_jpeg_stays_below_its_limit(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    whole = save_jpeg(image, tmp_path / "whole.jpg", 10**6)
    limit = int(0.8 * whole)
    assert save_jpeg(image, tmp_path / "small.jpg", limit) == (tmp_path / "small.jpg").stat().st_size <= limit
