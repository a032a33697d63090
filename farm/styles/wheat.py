"""Wheat: a wind-bent field of ochre and gold under a turquoise sky, thick as butter."""

from __future__ import annotations

import numpy as np

from farm.styles import brush
from farm.styles.brush import Brush
from farm.styles.field import CELL_PX, Flow, Vortex, curl_flow, flow_of, sampled, smooth_noise
from farm.styles.palette import picked, pigments, ramp, varied
from farm.styles.relief import lit
from farm.styles.sheet import Floats, Pixels, Sheet

STRAW = pigments("3a2410", "7a4a16", "b5761c", "dfa02a", "f3c548", "fbe590")
SKY = pigments("1d5a6b", "2f8590", "58aaa6", "93cbb8", "dce9cf")
HILLS = pigments("16352c", "24523c", "47754a", "7f9a4e")
POPPIES = pigments("b3261a", "d8472a", "31603f", "fdf2c0", "6b2f14")
HORIZON = 0.34
LAYERS = ((13.0, 14.0, 78.0), (8.5, 9.0, 60.0), (6.8, 5.6, 46.0))  # spacing, width, length of strokes
CLOUDS = (Vortex(0.22, 0.12, 75, 1.0, 0.1), Vortex(0.70, 0.15, 85, -1.0, 0.1))


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    below = _depth_below_horizon(sheet)
    flow = _bent_stalks(sheet, below)
    tone = smooth_noise(sheet, sheet.generator(2), 140, 3, stretch=2.2, cell_px=CELL_PX)
    canvas = brush.blank(sheet, STRAW[1])
    for i, layer in enumerate(LAYERS):
        _lay_layer(sheet, canvas, flow, below, tone, layer, sheet.generator(10 + i))
    return lit(canvas, sheet, depth=1.25, gloss=0.22, weave=0.2)


def _depth_below_horizon(sheet: Sheet) -> Floats:
    """(h, w): 0 at the rolling horizon, 1 at the lower edge, negative in the sky."""
    x, y = sheet.grid(CELL_PX)
    top = float(y[0, 0])
    place = (y - top) / (-2 * top)
    roll = HORIZON + 0.035 * np.sin(x / 95.0 + 0.6) + 0.018 * np.sin(x / 41.0)
    return np.asarray((place - roll) / (1 - HORIZON))


def _bent_stalks(sheet: Sheet, below: Floats) -> Flow:
    air = curl_flow(sheet, sheet.generator(1), scale=170, vortices=CLOUDS, wind=(1.2, 0.0), turbulence=0.8, stretch=1.6)
    gust = smooth_noise(sheet, sheet.generator(3), 190, 2, stretch=1.8, cell_px=CELL_PX)
    lean = 0.55 + 0.75 * gust
    field = below > 0.0
    furrow = np.clip(1.0 - np.abs(below) * 14.0, 0.0, 1.0)  # strokes lie along the horizon near it
    dx = np.where(field, lean + 3.0 * furrow, air.dx)
    dy = np.where(field, -1.0, air.dy)
    return flow_of(dx, dy)


def _lay_layer(
    sheet: Sheet,
    canvas: Pixels,
    flow: Flow,
    below: Floats,
    tone: Floats,
    layer: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    spacing, width, length = layer
    starts = brush.scattered(sheet, rng, spacing)
    depth = sampled(below, sheet, starts)
    near = starts[np.argsort(depth + 0.12 * rng.random(len(starts)), kind="stable")]  # far first, near over it
    depth, count = sampled(below, sheet, near), len(near)
    colours = _colours(depth + 0.012 * rng.standard_normal(count), sampled(tone, sheet, near), rng)
    colours = varied(colours, rng, 0.07, 0.025)
    seconds = np.clip(colours * rng.uniform(0.65, 1.3, (count, 1)) + 0.03 * rng.standard_normal((count, 3)), 0, 1)
    growth = np.where(depth > 0, 0.6 + 0.75 * np.clip(depth, 0, 1), 0.95)
    lengths = length * sheet.unit * rng.uniform(0.6, 1.25, count) * growth
    widths = width * sheet.unit * rng.uniform(0.75, 1.15, count) * growth
    brush.lay(canvas, brush.traced(flow, near, lengths, 10), widths, colours, Brush(ridge=85), rng, seconds)


def _colours(depth: Floats, tone: Floats, rng: np.random.Generator) -> Floats:
    count = len(depth)
    straw = ramp(STRAW, 0.58 + 0.19 * tone + 0.17 * rng.standard_normal(count))
    sky = ramp(SKY, 0.78 + 0.75 * depth * 0.9 + 0.17 * tone + 0.10 * rng.standard_normal(count))
    hills = ramp(HILLS, 0.45 + 0.2 * tone + 0.2 * rng.standard_normal(count))
    colours = np.where((depth > 0.0)[:, None], straw, sky)
    colours = np.where((np.abs(depth) < 0.045)[:, None], hills, colours)
    poppy = (depth > 0.05) & (rng.random(count) < 0.035 + 0.05 * (tone < -0.9))
    return np.asarray(np.where(poppy[:, None], picked(POPPIES, count, rng), colours))
