"""Dots: a sunset over water in pure colours side by side, left to the eye to mix."""

from __future__ import annotations

import cv2
import numpy as np

from farm.styles import brush
from farm.styles.brush import SHIFT, fixed
from farm.styles.field import CELL_PX, sampled, smooth_noise
from farm.styles.palette import pigments, ramp, varied
from farm.styles.relief import lit
from farm.styles.sheet import Floats, Pixels, Sheet

SKY = pigments("3d3f8f", "7d5aa8", "c8689c", "f0805e", "f9a64a", "fdd87a")
SEA = pigments("fbc76a", "e0806a", "7c6aa6", "3a63a0", "1c4a80", "12305c")
LAND = pigments("1c1f4a", "2c4a66", "3f6b4f", "86923c")
OPPOSITE = pigments("f58a2c", "2f6fb5", "f4d03c", "8a4fa8", "3fa392", "d93a5c")  # each hue's contrast, by chance
SUN_X, SUN_Y, SUN_RADIUS = 0.64, 0.44, 40.0
SHORE = 0.53  # of the sheet's height
LAYERS = ((8.0, 5.6), (6.0, 3.7), (5.0, 2.7))  # spacing and radius of dots
STREWN = 0.12  # share of dots in a contrasting colour


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    scene = _scene(sheet)
    canvas = brush.blank(sheet, np.array([0.91, 0.84, 0.72]))
    for i, (spacing, radius) in enumerate(LAYERS):
        _lay_layer(sheet, canvas, scene, spacing, radius, sheet.generator(10 + i))
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


def _lay_layer(
    sheet: Sheet, canvas: Pixels, scene: Floats, spacing: float, radius: float, rng: np.random.Generator
) -> None:
    spots = brush.scattered(sheet, rng, spacing)
    count = len(spots)
    look = spots + 3.0 * sheet.unit * rng.standard_normal((count, 2))  # an unsteady eye softens every edge
    seen = varied(sampled(scene, sheet, look), rng, 0.13, 0.055)
    grey = seen.mean(axis=1, keepdims=True)
    seen = np.clip(grey + (seen - grey) * 1.3, 0.0, 1.0)
    strewn = (rng.random(count) < STREWN)[:, None]
    contrast = OPPOSITE[rng.integers(len(OPPOSITE), size=count)] * (0.45 + 0.75 * grey)
    colours = np.clip(np.where(strewn, contrast, seen), 0.0, 1.0)
    radii = radius * sheet.unit * rng.uniform(0.72, 1.18, count)
    for spot, colour, size in zip(fixed(spots), np.round(colours * 255).astype(int).tolist(), radii, strict=True):
        _dot(canvas, spot, colour, float(size))


def _dot(canvas: Pixels, spot: Floats, colour: list[int], radius: float) -> None:
    """A dab of paint: a low rim and a raised middle."""
    centre, scale = (int(spot[0]), int(spot[1])), 1 << SHIFT
    for share, height in ((1.0, 110), (0.72, 150), (0.4, 175)):
        cv2.circle(canvas, centre, round(radius * share * scale), (*colour, height), -1, cv2.LINE_AA, SHIFT)
