"""Pond: lilies on violet and green water, in broad dabs that melt into each other."""

from __future__ import annotations

import numpy as np

from farm.styles import brush
from farm.styles.brush import Brush
from farm.styles.field import CELL_PX, Flow, curl_flow, sampled, smooth_noise
from farm.styles.palette import picked, pigments, ramp, varied
from farm.styles.relief import lit
from farm.styles.sheet import Floats, Pixels, Sheet

WATER = pigments("17203f", "2a3a73", "4a5aa0", "7c82c0", "b3add8", "e2d3e6")
REEDS = pigments("0f2a24", "1c4a3a", "37704c", "6c9a5a", "a9bf78")
PADS = pigments("1f4a36", "3f7a4c", "78a860", "b9cf86", "dfe6b0")
PETALS = pigments("c2446e", "e57f9c", "f6b9c4", "fdeef0", "f7d98a")
LAYERS = ((14.0, 17.0, 60.0), (9.0, 11.0, 46.0), (7.2, 7.0, 34.0))  # spacing, width, length of strokes
PAD_COUNT = 34


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    ripple = curl_flow(sheet, sheet.generator(1), scale=120, wind=(1.3, 0.0), turbulence=0.42, stretch=2.4)
    reflection = smooth_noise(sheet, sheet.generator(2), 190, 3, stretch=0.7, cell_px=CELL_PX)
    light = smooth_noise(sheet, sheet.generator(3), 110, 3, stretch=2.6, cell_px=CELL_PX)
    canvas = brush.blank(sheet, WATER[1])
    for i, layer in enumerate(LAYERS):
        _lay_water(sheet, canvas, ripple, reflection, light, layer, sheet.generator(10 + i))
    _lay_pads(sheet, canvas, sheet.generator(20))
    return lit(canvas, sheet, depth=0.9, gloss=0.14, weave=0.22)


def _lay_water(
    sheet: Sheet,
    canvas: Pixels,
    flow: Flow,
    reflection: Floats,
    light: Floats,
    layer: tuple[float, float, float],
    rng: np.random.Generator,
) -> None:
    spacing, width, length = layer
    starts = brush.scattered(sheet, rng, spacing)
    count = len(starts)
    shade = sampled(light, sheet, starts)
    green = sampled(reflection, sheet, starts) + 0.45 * rng.standard_normal(count)
    noise = 0.11 * rng.standard_normal(count)
    colours = np.where(
        (green > 0.35)[:, None], ramp(REEDS, 0.42 + 0.2 * shade + noise), ramp(WATER, 0.48 + 0.2 * shade + noise)
    )
    blush = (rng.random(count) < 0.022)[:, None]
    colours = varied(np.where(blush, picked(PETALS, count, rng) * 0.9, colours), rng, 0.06, 0.025)
    _dab(sheet, canvas, flow, starts, colours, (width, length), rng)


def _lay_pads(sheet: Sheet, canvas: Pixels, rng: np.random.Generator) -> None:
    """Rafts of pads as rings of dabs, far ones small; most carry a flower."""
    height, width = sheet.shape_hw
    ring = curl_flow(sheet, rng, scale=60, wind=(1.6, 0.0), turbulence=0.7, stretch=2.0)
    for y in np.sort(0.06 + 0.94 * rng.random(PAD_COUNT)):
        centre = np.array([rng.random() * width, y * height])
        reach = sheet.unit * (14.0 + 34.0 * y) * rng.uniform(0.8, 1.25)
        _lay_pad(sheet, canvas, ring, centre, reach, rng)


def _lay_pad(sheet: Sheet, canvas: Pixels, flow: Flow, centre: Floats, reach: float, rng: np.random.Generator) -> None:
    size = reach / sheet.unit
    count = int(16 + size * 0.9)
    distance, angle = np.sqrt(rng.random(count)), rng.random(count) * 2 * np.pi
    spots = centre + reach * np.stack([distance * np.cos(angle), 0.42 * distance * np.sin(angle)], axis=-1)
    light = 0.45 - 0.25 * np.sin(angle) * distance + 0.2 * rng.standard_normal(count)
    _dab(sheet, canvas, flow, spots, varied(ramp(PADS, light), rng, 0.06, 0.02), (size * 0.2, size * 0.75), rng)
    if rng.random() < 0.7:
        petals = centre + reach * 0.22 * rng.standard_normal((14, 2)) * np.array([1.0, 0.6])
        shades = varied(ramp(PETALS, rng.random(14)), rng, 0.05, 0.02)
        _dab(sheet, canvas, flow, petals, shades, (size * 0.17, size * 0.3), rng)


def _dab(
    sheet: Sheet,
    canvas: Pixels,
    flow: Flow,
    spots: Floats,
    colours: Floats,
    size: tuple[float, float],
    rng: np.random.Generator,
) -> None:
    count = len(spots)
    seconds = np.clip(colours * rng.uniform(0.75, 1.25, (count, 1)) + 0.04 * rng.standard_normal((count, 3)), 0, 1)
    widths = size[0] * sheet.unit * rng.uniform(0.7, 1.2, count)
    lengths = size[1] * sheet.unit * rng.uniform(0.6, 1.3, count)
    soft = Brush(bristles=7, streak=0.08, bristle_width=0.2, fray=0.3, ridge=60)
    brush.lay(canvas, brush.traced(flow, spots, lengths, 9), widths, colours, soft, rng, seconds)
