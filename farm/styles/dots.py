"""Dots: a sunset over water in pure colours side by side, left to the eye to mix."""

from __future__ import annotations

import numpy as np

from farm.styles import brush
from farm.styles.brush import Brush
from farm.styles.field import CELL_PX, Flow, flow_of, sampled, smooth_noise
from farm.styles.palette import luma, pigments, ramp, varied
from farm.styles.relief import lit
from farm.styles.sheet import Floats, Pixels, Sheet

SKY = pigments("232a6e", "4f4a9c", "a05aa4", "e8706c", "f9a04a", "fdd87a")
SEA = pigments("fbc76a", "e0806a", "7c6aa6", "3a63a0", "1c4a80", "12305c")
LAND = pigments("1c1f4a", "2c4a66", "3f6b4f", "86923c")
SUN_X, SUN_Y, SUN_RADIUS = 0.64, 0.44, 40.0
SHORE = 0.53  # of the sheet's height
LAYERS = ((13.0, 17.0), (10.5, 12.0), (9.6, 8.4))  # spacing and width of dabs
OPPOSED = 0.09  # share of dabs in the hue opposite to what they see
DAB = Brush(bristles=3, streak=0.07, tint=0.03, fray=0.08, ridge=45, bristle_width=0.3)


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    scene = _scene(sheet)
    flow = _around_the_sun(sheet)
    canvas = brush.blank(sheet, np.array([0.91, 0.84, 0.72]))
    for i, (spacing, width) in enumerate(LAYERS):
        _lay_layer(sheet, canvas, scene, flow, spacing, width, sheet.generator(10 + i))
    return lit(canvas, sheet, depth=0.9, gloss=0.12, weave=0.25)


def _scene(sheet: Sheet) -> Floats:
    """(h, w, 3): what the dots look at."""
    x, y = sheet.grid(CELL_PX)
    tall, wide = -2 * float(y[0, 0]), -2 * float(x[0, 0])
    place, across = y / tall + 0.5, x / wide + 0.5
    cloud = smooth_noise(sheet, sheet.generator(1), 120, 4, stretch=3.2, cell_px=CELL_PX)
    far = np.sqrt((x - (SUN_X - 0.5) * wide) ** 2 + (y - (SUN_Y - 0.5) * tall) ** 2)
    sky = ramp(SKY, place * 1.15 + 0.13 * cloud + 0.35 / (1.0 + far / 60.0))
    path = np.clip(1.0 - np.abs(across - SUN_X) * (5.0 - 4.5 * (place - SHORE)), 0.0, 1.0)
    wave = 0.16 * np.sin(y / (3.0 + 14.0 * np.clip(place - SHORE, 0, 1)) + 1.2 * cloud)
    sea = ramp(SEA, 0.25 + (place - SHORE) * 1.5 - 0.55 * path**2 + wave + 0.08 * cloud)
    scene = np.where((place > SHORE)[..., None], sea, sky)
    scene = np.where((far < SUN_RADIUS)[..., None] & (place < SHORE)[..., None], pigments("fff3b8")[0], scene)
    hill = SHORE - 0.13 * np.clip(0.42 - across, 0, 1) ** 0.7 - 0.012 * cloud - 0.05 * np.clip(across - 0.8, 0, 1)
    on_hill = (place > hill) & (place < SHORE + 0.012 * (across < 0.45))
    scene = np.where(on_hill[..., None], ramp(LAND, 0.4 + 0.25 * cloud + (SHORE - place) * 3.0), scene)
    return np.asarray(scene)


def _around_the_sun(sheet: Sheet) -> Flow:
    """Dabs lie in circles around the sun, flat on the water."""
    x, y = sheet.grid(CELL_PX)
    tall, wide = -2 * float(y[0, 0]), -2 * float(x[0, 0])
    sea = y / tall + 0.5 > SHORE
    return flow_of(np.where(sea, 1.0, y - (SUN_Y - 0.5) * tall), np.where(sea, 0.0, (SUN_X - 0.5) * wide - x))


def _lay_layer(
    sheet: Sheet,
    canvas: Pixels,
    scene: Floats,
    flow: Flow,
    spacing: float,
    width: float,
    rng: np.random.Generator,
) -> None:
    spots = brush.scattered(sheet, rng, spacing)
    count = len(spots)
    look = spots + 2.5 * sheet.unit * rng.standard_normal((count, 2))  # an unsteady eye softens every edge
    seen = varied(sampled(scene, sheet, look), rng, 0.16, 0.05)
    grey = luma(seen)[:, None]
    seen = grey + (seen - grey) * 1.25
    opposed = (rng.random(count) < OPPOSED)[:, None]
    contrast = grey + (grey - seen) * 0.75 + (rng.random((count, 1)) - 0.4) * 0.25
    colours = np.clip(np.where(opposed, contrast, seen), 0.0, 1.0)
    widths = width * sheet.unit * rng.uniform(0.7, 1.2, count)
    paths = brush.traced(flow, spots, widths * rng.uniform(1.1, 1.7, count), 5)
    brush.lay(canvas, paths, widths, colours, DAB, rng)
