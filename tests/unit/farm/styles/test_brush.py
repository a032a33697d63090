"""Strokes: where they go, what they cover, and how light falls on them."""

import numpy as np
import pytest

from farm.styles import brush
from farm.styles.brush import Brush
from farm.styles.field import flow_of
from farm.styles.relief import lit
from farm.styles.sheet import Sheet

SHEET = Sheet(96, 72, seed=1)
EAST = flow_of(np.ones((4, 4)), np.zeros((4, 4)), 1000.0)
RED = np.array([[1.0, 0.0, 0.0]])


def _laid(length, width):
    canvas = brush.blank(SHEET, np.zeros(3))
    rows, columns = SHEET.shape_hw
    path = brush.traced(EAST, np.array([[columns / 2, rows / 2]]), np.array([length]), 12)
    brush.lay(canvas, path, np.array([width]), RED, Brush(streak=0.0, tint=0.0), SHEET.generator())
    return canvas


def test_a_path_has_the_length_asked_for_and_passes_its_start():
    path = brush.traced(EAST, np.array([[100.0, 50.0]]), np.array([60.0]), 13)[0]
    assert path[6] == pytest.approx([100.0, 50.0])
    assert path[-1, 0] - path[0, 0] == pytest.approx(60.0)
    assert np.ptp(path[:, 1]) == pytest.approx(0.0)


def test_a_stroke_covers_about_its_length_times_its_width():
    red = _laid(400.0, 80.0)[..., 0] > 127
    rows, columns = np.nonzero(red)
    assert np.ptp(rows) == pytest.approx(80, abs=12)
    assert np.ptp(columns) == pytest.approx(400, abs=24)
    assert 0.8 * 400 * 80 < red.sum() < 400 * 80


def test_a_stroke_has_round_ends():
    columns = np.nonzero((_laid(400.0, 80.0)[..., 0] > 127).any(axis=0))[0]
    heights = (_laid(400.0, 80.0)[..., 0] > 127).sum(axis=0)
    assert heights[columns[0] + 4] < 0.7 * heights.max()


def test_the_paint_is_higher_than_the_ground():
    canvas = _laid(400.0, 80.0)
    painted = canvas[..., 0] > 127
    assert canvas[painted][:, 3].mean() > canvas[~painted][:, 3].mean() + 30


def test_light_comes_from_the_upper_left():
    canvas = brush.blank(SHEET, np.full(3, 0.5))
    rows, columns = SHEET.shape_hw
    top, bottom = rows // 4, 3 * rows // 4
    canvas[top:bottom, columns // 4 : 3 * columns // 4, 3] = 200
    picture = lit(canvas, SHEET)[..., 0].astype(int)
    middle = columns // 2
    assert picture[top - 1, middle] > picture[rows // 2, middle] > picture[bottom, middle]


def test_scattered_points_leave_no_hole():
    points = brush.scattered(SHEET, SHEET.generator(), 20.0)
    rows, columns = SHEET.shape_hw
    step = 20.0 * SHEET.unit
    probes = np.random.default_rng(3).random((200, 2)) * [columns, rows]
    nearest = np.sqrt(((probes[:, None] - points[None]) ** 2).sum(axis=-1)).min(axis=1)
    assert nearest.max() < 1.5 * step
