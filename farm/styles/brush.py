"""Brushes: strokes with bristles, laid one by one on a canvas that remembers the paint's height.

The canvas is (h, w, 4) uint8: sRGB and the height of the paint, which `relief` lights later.
A stroke is a ribbon with round ends, then its bristles: thin lines side by side, each with its
own shade, height, start and end, so that the ends fray like those of a loaded brush.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from farm.styles.field import Flow
from farm.styles.palette import varied
from farm.styles.sheet import Floats, Pixels, Sheet

SHIFT = 4  # drawing coordinates carry 4 fractional bits
ONE = 1 << SHIFT


@dataclass(frozen=True)
class Brush:
    """How a brush lays paint. Lengths are shares of the stroke's width unless said otherwise."""

    bristles: int = 6
    streak: float = 0.09  # how far bristles differ in lightness
    tint: float = 0.02  # how far bristles differ in hue
    fray: float = 0.22  # how much of its length a bristle may miss at each end
    body: int = 130  # height of the paint's middle, 0-255
    ridge: int = 70  # how far bristle marks rise and sink
    bristle_width: float = 0.22
    ribbon: bool = True  # fill below the bristles; off for a dry brush


def blank(sheet: Sheet, colour: Floats) -> Pixels:
    """A canvas primed with one colour."""
    height, width = sheet.shape_hw
    canvas = np.empty((height, width, 4), np.uint8)
    canvas[..., :3] = np.round(colour * 255).astype(np.uint8)
    canvas[..., 3] = 60
    return canvas


def primed(ground: Floats) -> Pixels:
    """A canvas whose ground is a picture (h, w, 3) in [0, 1]."""
    colour = np.round(np.clip(ground, 0.0, 1.0) * 255).astype(np.uint8)
    return np.dstack([colour, np.full(colour.shape[:2], 60, np.uint8)])


def scattered(sheet: Sheet, rng: np.random.Generator, spacing: float, margin: float = 12.0) -> Floats:
    """(n, 2) working-pixel points, one in each cell of a jittered grid, in random order: even, never regular."""
    height, width = sheet.shape_hw
    step, edge = spacing * sheet.unit, margin * sheet.unit
    columns, rows = int((width + 2 * edge) / step) + 1, int((height + 2 * edge) / step) + 1
    grid = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(np.float64)
    points = (grid + rng.random(grid.shape)) * step - edge
    return np.asarray(points[rng.permutation(len(points))])


def traced(flow: Flow, starts: Floats, length_px: Floats, steps: int = 12) -> Floats:
    """(n, steps, 2): paths through the flow centred on their starts (midpoint rule)."""
    half = steps // 2
    stride = (length_px / (steps - 1))[:, None]
    paths = np.empty((len(starts), steps, 2))
    paths[:, half] = starts
    for i in range(half + 1, steps):
        paths[:, i] = _stepped(flow, paths[:, i - 1], stride)
    for i in range(half - 1, -1, -1):
        paths[:, i] = _stepped(flow, paths[:, i + 1], -stride)
    return paths


def _stepped(flow: Flow, points: Floats, stride: Floats) -> Floats:
    middle = points + 0.5 * stride * flow.at(points)
    return np.asarray(points + stride * flow.at(middle))


def normals(paths: Floats) -> Floats:
    """(n, steps, 2): unit vectors to the left of each path."""
    along = np.gradient(paths, axis=1)
    length = np.sqrt((along * along).sum(axis=-1, keepdims=True)) + 1e-9
    return np.asarray(np.stack([-along[..., 1], along[..., 0]], axis=-1) / length[..., 0][..., None])


def lay(
    canvas: Pixels,
    paths: Floats,
    widths_px: Floats,
    colours: Floats,
    brush: Brush,
    rng: np.random.Generator,
    seconds: Floats | None = None,
) -> None:
    """Paint strokes in order: paths (n, steps, 2), widths (n,), colours (n, 3), on one side shading to `seconds`."""
    sides = normals(paths)
    ribbons = _ribbons(paths, sides, widths_px)
    shades = _bristle_shades(colours, colours if seconds is None else seconds, brush, rng)
    lines = _bristle_lines(paths, sides, widths_px, brush, rng)
    order = np.argsort(rng.random((len(paths), brush.bristles)), axis=1)
    bodies = _paint(np.asarray(colours), np.full(len(paths), brush.body))
    for i in range(len(paths)):
        if brush.ribbon:
            cv2.fillPoly(canvas, [ribbons[i]], bodies[i], cv2.LINE_AA, SHIFT)
        thick = max(1, round(float(widths_px[i]) * brush.bristle_width))
        for k in order[i]:
            cv2.polylines(canvas, [lines[i, k]], False, shades[i][k], thick, cv2.LINE_AA, SHIFT)


def _ribbons(paths: Floats, sides: Floats, widths_px: Floats) -> npt.NDArray[np.int32]:
    """(n, 2 * steps, 2) fixed-point outlines with round ends."""
    s = np.linspace(-1.0, 1.0, paths.shape[1])
    profile = np.sqrt(np.clip(1.0 - np.abs(s) ** 3.5, 0.02, 1.0))
    reach = sides * (0.5 * widths_px[:, None] * profile)[..., None]
    outline = np.concatenate([paths + reach, (paths - reach)[:, ::-1]], axis=1)
    return fixed(outline)


def _bristle_lines(
    paths: Floats, sides: Floats, widths_px: Floats, brush: Brush, rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """(n, bristles, steps, 2) fixed-point lines side by side, the outer ones shorter."""
    count, steps = paths.shape[:2]
    across = np.linspace(-0.46, 0.46, brush.bristles) + 0.05 * rng.standard_normal((count, brush.bristles))
    reach = brush.fray * rng.random((2, count, brush.bristles)) + 0.6 * across**2
    begin, end = reach[0] * (steps - 1), (1.0 - reach[1]) * (steps - 1)
    place = begin[..., None] + (end - begin)[..., None] * np.linspace(0.0, 1.0, steps)
    low = np.clip(place.astype(np.int64), 0, steps - 2)
    part = (place - low)[..., None]
    row = np.arange(count)[:, None, None]
    middle = paths[row, low] * (1 - part) + paths[row, low + 1] * part
    side = sides[row, low] * (1 - part) + sides[row, low + 1] * part
    return fixed(middle + side * (across * widths_px[:, None])[..., None, None])


def _bristle_shades(
    colours: Floats, seconds: Floats, brush: Brush, rng: np.random.Generator
) -> list[list[tuple[int, ...]]]:
    """Per stroke and bristle a colour and a height: the first tone on one side, the second on the other."""
    count = len(colours)
    mix = np.linspace(0.0, 1.0, brush.bristles)[None, :, None]
    mix = np.clip(mix + 0.25 * rng.standard_normal((count, brush.bristles, 1)), 0.0, 1.0)
    tones = varied(colours[:, None] * (1 - mix) + seconds[:, None] * mix, rng, brush.streak, brush.tint)
    heights = brush.body + brush.ridge * rng.uniform(-1.0, 1.0, (count, brush.bristles))
    flat = _paint(tones.reshape(-1, 3), heights.reshape(-1))
    return [flat[i * brush.bristles : (i + 1) * brush.bristles] for i in range(count)]


def _paint(colours: Floats, heights: Floats) -> list[tuple[int, ...]]:
    paint = np.concatenate([colours * 255, heights[:, None]], axis=1)
    return [tuple(row) for row in np.clip(np.round(paint), 0, 255).astype(int).tolist()]


def fixed(points: Floats) -> npt.NDArray[np.int32]:
    """Working-pixel points as OpenCV's fixed-point coordinates (pixel centres at whole numbers)."""
    return np.round((points - 0.5) * ONE).astype(np.int32)
