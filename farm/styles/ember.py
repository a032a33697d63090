"""Ember: a burning sky of long screaming curves over a dark teal fjord."""

from __future__ import annotations

import numpy as np

from farm.styles import brush
from farm.styles.brush import Brush
from farm.styles.field import CELL_PX, Flow, flow_of, sampled, smooth_noise
from farm.styles.palette import picked, pigments, ramp, varied
from farm.styles.relief import lit
from farm.styles.sheet import Floats, Pixels, Sheet

SKY = pigments("6d0f1a", "a81c1c", "d8381a", "f0641c", "f99a2a", "fcc95a", "f6e6a8")
FJORD = pigments("08131f", "0f2a3a", "1a4a58", "2f7274", "6c9a86", "c0b98a")
EMBERS = pigments("fbd36a", "1a1326", "7c1226", "3f8a8a", "f9dc94")
SHORE = 0.16  # of the sheet's height below the middle
LAYERS = ((15.0, 15.0, 190.0), (10.0, 9.5, 150.0), (9.0, 5.8, 110.0))  # spacing, width, length of strokes


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    level = _level(sheet)
    grad_y, grad_x = (np.asarray(slope) for slope in np.gradient(level))
    flow = flow_of(grad_y, -grad_x)  # strokes run along the level's contours
    canvas = brush.blank(sheet, SKY[1])
    for i, layer in enumerate(LAYERS):
        _lay_layer(sheet, canvas, flow, level, layer, sheet.generator(10 + i))
    return lit(canvas, sheet, depth=1.0, gloss=0.16, weave=0.2)


def _level(sheet: Sheet) -> Floats:
    """(h, w): heights of the sheet warped into waves; its contours are the curves. 0 at the shore."""
    x, y = sheet.grid(CELL_PX)
    wide = smooth_noise(sheet, sheet.generator(1), 260, 2, stretch=1.35, cell_px=CELL_PX)
    small = smooth_noise(sheet, sheet.generator(2), 120, 1, stretch=1.3, cell_px=CELL_PX)
    tall = -2 * float(y[0, 0])
    wave = 30.0 * np.sin(x / 70.0 + wide * 0.9 + y / 120.0)
    return np.asarray((y + 58.0 * wide + 15.0 * small + wave) / tall - SHORE)


def _lay_layer(
    sheet: Sheet, canvas: Pixels, flow: Flow, level: Floats, layer: tuple[float, float, float], rng: np.random.Generator
) -> None:
    spacing, width, length = layer
    starts = brush.scattered(sheet, rng, spacing, margin=60.0)
    height, count = sampled(level, sheet, starts), len(starts)
    bands = 0.17 * np.sin(height * 44.0) + 0.13 * np.sin(height * 19.0 + 1.0)
    noise = 0.09 * rng.standard_normal(count)
    sky = ramp(SKY, 0.60 + bands + 0.30 * (height + 0.2) + noise)
    fjord = ramp(FJORD, 0.36 + bands + 0.25 * (0.2 - height) + noise)
    colours = np.where((height + 0.015 * rng.standard_normal(count) < 0)[:, None], sky, fjord)
    ember = (rng.random(count) < 0.03)[:, None]
    colours = varied(np.where(ember, picked(EMBERS, count, rng), colours), rng, 0.06, 0.02)
    seconds = np.clip(colours * rng.uniform(0.7, 1.28, (count, 1)) + 0.03 * rng.standard_normal((count, 3)), 0, 1)
    lengths = length * sheet.unit * rng.uniform(0.5, 1.2, count)
    widths = width * sheet.unit * rng.uniform(0.7, 1.2, count)
    loose = Brush(bristles=7, streak=0.10, bristle_width=0.18, fray=0.28)
    brush.lay(canvas, brush.traced(flow, starts, lengths, 14), widths, colours, loose, rng, seconds)
