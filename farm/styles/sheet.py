"""The sheet a style is painted on: working size, unit of length, random source.

A style paints larger than asked and is averaged down by a whole factor, so every edge is
smooth. Lengths are in units of which the area holds 768x576, so a style is the same picture
at every size. Arithmetic that depends on the processor's vector width is kept out of the
pixels: the same sheet gives the same bytes on every machine.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

DESIGN_AREA = 768 * 576
SUPERSAMPLE = 2  # working pixels in a design pixel, at least, up to the size where one is fine enough


@dataclass(frozen=True)
class Sheet:
    """Where a style paints. `shape_hw` is the working size, `unit` one design pixel in working pixels."""

    width: int
    height: int
    seed: int
    factor: int = field(init=False)

    def __post_init__(self) -> None:
        scale = math.sqrt(self.width * self.height / DESIGN_AREA)
        object.__setattr__(self, "factor", max(1, math.ceil(SUPERSAMPLE / scale)))

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Working height and width in pixels."""
        return self.height * self.factor, self.width * self.factor

    @property
    def unit(self) -> float:
        """Working pixels in one design pixel."""
        height, width = self.shape_hw
        return math.sqrt(width * height / DESIGN_AREA)

    def generator(self, stream: int = 0) -> np.random.Generator:
        """A random source of its own for each stream, so one layer's draws never shift another's."""
        return np.random.Generator(np.random.PCG64([self.seed, stream]))

    def grid(self, cell_px: float = 1.0) -> tuple[Floats, Floats]:
        """x and y, both (h, w) float64 in design units with the origin at the centre; one sample per cell."""
        height, width = self.shape_hw
        rows, columns = max(2, round(height / cell_px)), max(2, round(width / cell_px))
        x = (np.arange(columns) + 0.5) / columns - 0.5
        y = (np.arange(rows) + 0.5) / rows - 0.5
        grid_x, grid_y = np.meshgrid(x * width / self.unit, y * height / self.unit)
        return grid_x, grid_y

    def finish(self, working_rgb: Pixels) -> Pixels:
        """(height, width, 3) uint8 sRGB: the working picture averaged down to the size asked for."""
        if self.factor == 1:
            return working_rgb
        small = cv2.resize(working_rgb, (self.width, self.height), interpolation=cv2.INTER_AREA)
        return np.asarray(small, dtype=np.uint8)
