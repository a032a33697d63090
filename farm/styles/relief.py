"""Light on the paint: a height map lit from the upper left, as a painting hangs in a room.

Only sums, products and square roots in single precision, so every machine gives the same bytes.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from farm.styles.sheet import Pixels, Sheet


def lit(canvas: Pixels, sheet: Sheet, *, depth: float = 1.0, gloss: float = 0.25, weave: float = 0.0) -> Pixels:
    """(h, w, 3) uint8: the canvas' colours under a raking light. `depth` scales relief, `gloss` the highlights."""
    size = max(1, round(0.45 * sheet.unit)) * 2 + 1
    height = cv2.GaussianBlur(canvas[..., 3], (size, size), 0).astype(np.float32)
    height += weave * _woven(canvas.shape[0], canvas.shape[1], sheet)
    slope_x, slope_y = _slopes(height)
    slope = (slope_x + slope_y) * np.float32(depth * sheet.unit / 2 / 64.0)
    slope /= np.sqrt(np.float32(1.0) + slope * slope)
    bright = np.maximum(slope - np.float32(0.25), np.float32(0.0))
    shade = np.float32(1.0) + np.float32(0.34) * slope
    colour = canvas[..., :3].astype(np.float32) * shade[..., None]
    colour += (np.float32(255.0 * gloss) * bright * bright)[..., None] * np.float32(4.0)
    return np.clip(colour + np.float32(0.5), 0, 255).astype(np.uint8)


def _slopes(height: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """How fast the height rises to the right and down, centred differences; light comes from the upper left."""
    slope_x, slope_y = np.zeros_like(height), np.zeros_like(height)
    slope_x[:, 1:-1] = height[:, 2:] - height[:, :-2]
    slope_y[1:-1] = height[2:] - height[:-2]
    return slope_x, slope_y


def _woven(rows: int, columns: int, sheet: Sheet) -> npt.NDArray[np.float32]:
    """The canvas' threads: over and under by turns, about 3 design pixels apart."""
    period = 3.0 * sheet.unit
    across = np.abs(np.arange(columns) / period % 1.0 - 0.5).astype(np.float32)
    down = np.abs(np.arange(rows) / period % 1.0 - 0.5).astype(np.float32)
    return (across[None, :] + down[:, None]) * np.float32(40.0)
