"""Swirl: a night of blue eddies and golden spirals, in short loaded strokes."""

from __future__ import annotations

import numpy as np

from farm.styles import brush
from farm.styles.brush import Brush
from farm.styles.field import CELL_PX, Flow, Vortex, curl_flow, offset_from, sampled, smooth_noise
from farm.styles.palette import picked, pigments, ramp, varied
from farm.styles.relief import lit
from farm.styles.sheet import Floats, Pixels, Sheet

NIGHT = pigments("0b1033", "14246b", "1c3f94", "2a62b0", "4a8cc4", "8dbad6", "c6dce0")
GOLD = pigments("d98a1a", "f2b632", "f7d154", "fbe58c", "fdf6cf")
SPARKS = pigments("0a0d2a", "f4c74a", "b9dcdc", "5fb0b5", "e8a23a")
SUNS = (
    Vortex(0.20, 0.26, 120, 1.0, 0.05),
    Vortex(0.80, 0.20, 95, -1.0, 0.05),
    Vortex(0.58, 0.63, 70, 1.0, 0.06),
    Vortex(0.10, 0.86, 75, -1.0, 0.05),
    Vortex(0.94, 0.74, 55, 1.0, 0.05),
)
EDDIES = (
    Vortex(0.50, 0.30, 110, -1.0, 0.12),
    Vortex(0.36, 0.72, 105, -1.0, 0.12),
    Vortex(0.78, 0.58, 80, 1.0, 0.12),
    Vortex(0.72, 0.92, 85, -1.0, 0.12),
    Vortex(0.03, 0.50, 70, 1.0, 0.12),
)
LAYERS = ((13.0, 15.0, 84.0), (8.5, 9.5, 62.0), (6.6, 6.5, 44.0))  # spacing, width, length of strokes


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    flow = curl_flow(sheet, sheet.generator(1), scale=190, vortices=EDDIES + SUNS, wind=(0.5, 0.1), turbulence=0.9)
    glow, tone = _glow(sheet), smooth_noise(sheet, sheet.generator(2), 150, 3, cell_px=CELL_PX)
    canvas = brush.blank(sheet, NIGHT[1])
    for i, layer in enumerate(LAYERS):
        _lay_layer(sheet, canvas, flow, glow, tone, layer, sheet.generator(10 + i))
    return lit(canvas, sheet, depth=1.0, gloss=0.22, weave=0.25)


def _glow(sheet: Sheet) -> Floats:
    """(h, w): 0 in the night, up to 1 in a sun, in rings."""
    x, y = sheet.grid(CELL_PX)
    glow = np.zeros_like(x)
    for sun in SUNS:
        distance = offset_from(x, y, sun)[2] / sun.radius
        rings = 0.80 + 0.24 * np.cos(distance * 15.0)
        glow = np.maximum(glow, rings / (1.0 + (distance / 0.78) ** 7))
    return glow


def _lay_layer(
    sheet: Sheet,
    canvas: Pixels,
    flow: Flow,
    glow: Floats,
    tone: Floats,
    layer: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    spacing, width, length = layer
    starts = brush.scattered(sheet, rng, spacing)
    count = len(starts)
    shine = sampled(glow, sheet, starts) + 0.10 * rng.standard_normal(count)
    dark = 0.40 + 0.20 * sampled(tone, sheet, starts) + 0.13 * rng.standard_normal(count)
    colours = np.where(
        (shine > 0.45)[:, None], ramp(GOLD, shine * 1.05 - 0.2), ramp(NIGHT, dark + 0.55 * np.clip(shine, 0, 0.45))
    )
    spark = (rng.random(count) < 0.045)[:, None]
    colours = varied(np.where(spark, picked(SPARKS, count, rng), colours), rng, 0.06, 0.02)
    seconds = np.clip(colours * rng.uniform(0.72, 1.25, (count, 1)) + 0.03 * rng.standard_normal((count, 3)), 0, 1)
    lengths = length * sheet.unit * rng.uniform(0.6, 1.25, count) * np.where(shine > 0.45, 0.75, 1.0)
    widths = width * sheet.unit * rng.uniform(0.75, 1.15, count)
    brush.lay(canvas, brush.traced(flow, starts, lengths), widths, colours, Brush(), rng, seconds)
