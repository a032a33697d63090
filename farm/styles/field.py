"""Fields over the sheet: smooth noise, and the flow that strokes follow.

A flow is a field of directions. Curl noise (Bridson, Houriham, Nordenstam: *Curl-Noise for
Procedural Fluid Flow*, 2007) turns without sources or sinks, so strokes never bunch up.
Spiral attractors are added to it by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from farm.styles.sheet import Floats, Sheet

CELL_PX = 4.0  # a flow is smooth: one sample per 4 working pixels is plenty


@dataclass(frozen=True)
class Vortex:
    """A spiral attractor. `x`, `y` are fractions of the sheet, `radius` design units, `pull` > 0 draws inwards."""

    x: float
    y: float
    radius: float
    turn: float = 1.0
    pull: float = 0.12


@dataclass(frozen=True)
class Flow:
    """Unit directions (h, w) float64 on a grid over the sheet."""

    dx: Floats
    dy: Floats
    cell_px: float

    def at(self, points: Floats) -> Floats:
        """Directions (..., 2) at working-pixel points (..., 2) by the nearest sample."""
        rows, columns = self.dx.shape
        column = np.clip((points[..., 0] / self.cell_px).astype(np.int64), 0, columns - 1)
        row = np.clip((points[..., 1] / self.cell_px).astype(np.int64), 0, rows - 1)
        return np.stack([self.dx[row, column], self.dy[row, column]], axis=-1)


def smooth_noise(
    sheet: Sheet,
    rng: np.random.Generator,
    scale: float,
    octaves: int = 3,
    *,
    stretch: float = 1.0,
    cell_px: float = 1.0,
) -> Floats:
    """(h, w) float64 of mean 0 and deviation 1; `scale` is the largest feature in design units, `stretch` widens it."""
    height, width = sheet.shape_hw
    rows, columns = max(2, round(height / cell_px)), max(2, round(width / cell_px))
    total = np.zeros((rows, columns))
    for octave in range(octaves):
        step = max(scale * sheet.unit / 2**octave, 1.0)
        lattice = rng.standard_normal((int(height / step) + 5, int(width / (step * stretch)) + 5))
        total += _stretched(lattice, rows, columns, height / step, width / (step * stretch)) / 1.8**octave
    total -= total.mean()
    return np.asarray(total / max(float(total.std()), 1e-9))


def _stretched(lattice: Floats, rows: int, columns: int, tall: float, wide: float) -> Floats:
    """The lattice read with smooth steps at rows x columns points spanning `tall` x `wide` of its cells."""
    return _read(_read(lattice, rows, tall).T, columns, wide).T


def _read(lattice: Floats, count: int, span: float) -> Floats:
    """Cubic B-spline along the first axis: smooth to the second derivative, so no lattice shows."""
    place = (np.arange(count) + 0.5) / count * span
    cell = place.astype(np.int64)
    t = (place - cell)[:, None]
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
    return np.asarray(sum(w / 6 * lattice[cell + i] for i, w in enumerate(weights)))


def curl_flow(
    sheet: Sheet,
    rng: np.random.Generator,
    *,
    scale: float,
    vortices: tuple[Vortex, ...] = (),
    wind: tuple[float, float] = (0.0, 0.0),
    turbulence: float = 1.0,
    stretch: float = 1.0,
) -> Flow:
    """The curl of smooth noise, plus a wind, plus spirals that take over inside their radius."""
    potential = smooth_noise(sheet, rng, scale, 2, stretch=stretch, cell_px=CELL_PX)
    grad_y, grad_x = np.gradient(potential)
    size = max(float(np.sqrt(grad_x * grad_x + grad_y * grad_y).mean()), 1e-9)
    dx = np.asarray(turbulence * grad_y / size + wind[0])
    dy = np.asarray(-turbulence * grad_x / size + wind[1])
    x, y = sheet.grid(CELL_PX)
    for vortex in vortices:
        dx, dy = _with_vortex(dx, dy, x, y, vortex)
    length = np.sqrt(dx * dx + dy * dy) + 1e-9
    return Flow(dx / length, dy / length, CELL_PX)


def _with_vortex(dx: Floats, dy: Floats, x: Floats, y: Floats, vortex: Vortex) -> tuple[Floats, Floats]:
    away_x, away_y, distance = offset_from(x, y, vortex)
    inside = 6.0 / (1.0 + (distance / (0.8 * vortex.radius)) ** 4)
    spin_x = -vortex.turn * away_y - vortex.pull * away_x
    spin_y = vortex.turn * away_x - vortex.pull * away_y
    return dx + inside * spin_x / (distance + 1e-6), dy + inside * spin_y / (distance + 1e-6)


def offset_from(x: Floats, y: Floats, vortex: Vortex) -> tuple[Floats, Floats, Floats]:
    """From the vortex's centre to each grid point: x, y and distance, in design units."""
    away_x = x - (vortex.x - 0.5) * 2 * -float(x[0, 0])
    away_y = y - (vortex.y - 0.5) * 2 * -float(y[0, 0])
    return away_x, away_y, np.sqrt(away_x * away_x + away_y * away_y)


def flow_of(dx: Floats, dy: Floats, cell_px: float = CELL_PX) -> Flow:
    """A flow from any vectors on the grid of `cell_px`."""
    length = np.sqrt(dx * dx + dy * dy) + 1e-9
    return Flow(dx / length, dy / length, cell_px)


def sampled(values: Floats, sheet: Sheet, points: Floats) -> Floats:
    """The grid's values at working-pixel points (..., 2), nearest sample; the grid spans the sheet."""
    height, width = sheet.shape_hw
    rows, columns = values.shape[:2]
    column = np.clip((points[..., 0] * columns / width).astype(np.int64), 0, columns - 1)
    row = np.clip((points[..., 1] * rows / height).astype(np.int64), 0, rows - 1)
    return np.asarray(values[row, column])


def enlarged(values: Floats, sheet: Sheet) -> Floats:
    """A coarse grid brought to the working size, linear in between."""
    height, width = sheet.shape_hw
    return np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float64)
