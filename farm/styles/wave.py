"""Wave: a woodblock print of curling seas, flat indigo washes under carved lines and foam.

Each sea is a height field whose crests are twirled around their tips, so they curl over; the
carved lines are its contours, as a carver follows the water.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from farm.styles.field import enlarged, smooth_noise
from farm.styles.palette import pigments, ramp
from farm.styles.sheet import Floats, Pixels, Sheet

Colours = npt.NDArray[np.float32]  # (h, w, 3) in [0, 1]; only sums and products, so exact on every machine

INK = pigments("10182e")[0]
FOAM = pigments("f4ead2")[0]
SKY = pigments("d9a680", "e6c79c", "efdfbd", "dfdcc4", "a9c0bd")
SEA = pigments("e4dfc6", "9fc0c4", "5c93ad", "2c5f8c", "1c3f70", "122850")
SEAS = (  # base line (share of the height), crest height, half a wavelength, phase
    (0.36, 62.0, 118.0, 0.9),
    (0.50, 92.0, 168.0, 2.3),
    (0.66, 118.0, 236.0, 0.35),
    (0.84, 104.0, 196.0, 1.75),
    (1.02, 110.0, 262.0, 2.6),
)
LINE = 8.5  # from one carved line to the next, design units


@dataclass(frozen=True)
class Sea:
    """One layer of water from row `top` down, all (rows, w). `depth` is design units below its surface."""

    top: int
    depth: Floats
    level: Floats  # rounder than the depth: what the carved lines follow
    along: Floats  # runs with the surface
    curl: Floats  # 0 on open water, 1 at a crest's tip
    crest: float


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    x, y = sheet.grid()
    hand = enlarged(smooth_noise(sheet, sheet.generator(1), 34, 3, cell_px=4.0), sheet)  # the knife's tremor
    picture = _sky(sheet, x, y, hand)
    for i, shape in enumerate(SEAS):
        sea = _sea(sheet, x, y, shape)
        picture[sea.top :] = _printed(sheet, picture[sea.top :], sea, hand[sea.top :], i)
    return np.asarray(np.clip(np.round(_worn(sheet, y, picture) * 255), 0, 255), dtype=np.uint8)


def _sky(sheet: Sheet, x: Floats, y: Floats, hand: Floats) -> Colours:
    """(h, w, 3): a graded wash crossed by carved wind."""
    place = y / (-2 * y[0, 0]) + 0.5
    drift = enlarged(smooth_noise(sheet, sheet.generator(2), 150, 3, stretch=3.0, cell_px=4.0), sheet)
    level = y + 9.0 * np.sin(x / 90.0) + 22.0 * drift + 0.8 * hand
    sky = ramp(SKY, 1.0 - place * 2.1 + 0.09 * drift)
    wind = _carved(level, 6.5, 0.25 + 0.16 * drift + 0.05 * hand)
    return _over(sky, SEA[3], 0.8 * wind)


def _sea(sheet: Sheet, x: Floats, y: Floats, shape: tuple[float, float, float, float]) -> Sea:
    base, crest, half_wave, phase = shape
    surface = (base - 0.5) * -2 * float(y[0, 0])
    top = int(np.clip(np.searchsorted(y[:, 0], surface - 2.0 * crest), 0, len(y) - 4))
    read_x, read_y, curl = _curled(x[top:], y[top:], surface=surface, crest=crest, half_wave=half_wave, phase=phase)
    sine = np.sin(read_x * np.pi / half_wave + phase)
    swell, round_swell = np.sqrt(sine * sine + 0.004), np.sqrt(sine * sine + 0.09)
    ripple = 6.0 * np.sin(read_x / 31.0 + phase) + 2.5 * np.sin(read_x / 11.0 + read_y / 60.0)
    still = read_y - surface + ripple
    depth = still + crest * np.clip(1.02 - swell, 0.0, None) ** 1.1
    down, across = np.gradient(depth, 1.0 / sheet.unit)
    steep = np.clip(np.sqrt(down * down + across * across), 0.55, 3.0)
    near = 1.0 / (1.0 + (depth / 30.0) ** 2)  # deep down the slope no longer tells the way to the surface
    true_depth = depth / (1.0 + (steep - 1.0) * near)
    return Sea(top, true_depth, still + crest * (1.04 - round_swell), read_x + 0.8 * read_y, curl, crest)


def _curled(
    x: Floats, y: Floats, *, surface: float, crest: float, half_wave: float, phase: float
) -> tuple[Floats, Floats, Floats]:
    """The plane turned around each crest's tip, so that a surface read through it curls over; and how far."""
    read_x, read_y, curl = x.copy(), y.copy(), np.zeros_like(x)
    edge = -float(x[0, 0]) + half_wave
    first, last = (
        int((phase * half_wave / np.pi - edge) // half_wave),
        int((phase * half_wave / np.pi + edge) // half_wave),
    )
    for k in range(first, last + 2):
        size = crest * (0.92 + 0.22 * np.cos(2.4 * k + phase))
        at_x, at_y = (k * np.pi - phase) * half_wave / np.pi + 0.30 * crest, surface - 0.70 * crest
        radius = min(0.95 * size, 0.5 * half_wave)  # neighbours never overlap
        columns = slice(*np.searchsorted(x[0], (at_x - radius, at_x + radius)))
        rows = slice(*np.searchsorted(y[:, 0], (at_y - radius, at_y + radius)))
        away_x, away_y = x[rows, columns] - at_x, y[rows, columns] - at_y
        near = np.clip(1.0 - (away_x * away_x + away_y * away_y) / (radius * radius), 0.0, 1.0)
        cos, sin = np.cos(-2.7 * near * near), np.sin(-2.7 * near * near)
        read_x[rows, columns] = at_x + cos * away_x - sin * away_y
        read_y[rows, columns] = at_y + sin * away_x + cos * away_y
        curl[rows, columns] = near
    return read_x, read_y, curl


def _printed(sheet: Sheet, below: Colours, sea: Sea, hand: Floats, order: int) -> Colours:
    """The picture with one more sea printed over it: wash, lines, foam, outline."""
    claws = np.abs(np.sin(sea.along / 5.2 + 0.4 * hand)) + 0.6 * np.abs(np.sin(sea.along / 13.0))
    depth = sea.depth + 0.55 * hand + 5.0 * sea.curl * (claws - 0.4)
    foam = depth - 4.0 - (4.0 + 9.0 * sea.curl) * claws - 1.2 * hand
    shade = smooth_noise(sheet, sheet.generator(20 + order), 130, 2, stretch=2.0, cell_px=4.0)
    shade = enlarged(shade, sheet)[sea.top :]
    wash = ramp(SEA, 0.20 + 0.06 * order + sea.depth / (1.5 * sea.crest) * 0.75 + 0.09 * shade)
    level = sea.level + 7.0 * shade + 0.5 * hand
    lines = _carved(level, LINE, 0.30 + 0.11 * shade + 0.05 * hand)
    pale = _carved(level + 0.5 * LINE, LINE, 0.13 + 0.10 * shade)
    colour = _over(_over(wash, INK, 0.88 * lines), FOAM, 0.8 * pale)
    colour = _over(colour, FOAM, _covered(-foam, sheet))
    veins = _stroke(depth - 3.5 - 2.2 * claws, 0.55, sheet)
    colour = _over(_over(colour, SEA[2], 0.8 * veins), INK, _stroke(foam, 0.85, sheet))
    picture = _over(below, colour, _covered(depth, sheet))
    return _over(picture, INK, _stroke(depth, 1.5 + 0.35 * hand, sheet))


def _carved(level: Floats, period: float, share: Floats) -> Floats:
    """(h, w) in [0, 1]: a line each `period` of `level`, as wide as `share` of it; lines swell and taper out."""
    saw = np.abs(np.mod(level / period, 1.0) - 0.5) * 2.0
    return np.asarray(np.clip((np.clip(share, 0.0, 0.7) - saw) * period * 1.1, 0.0, 1.0))


def _covered(inside: Floats, sheet: Sheet) -> Floats:
    """(h, w) in [0, 1]: smooth cover where `inside` (design units) is positive."""
    return np.asarray(np.clip(inside * sheet.unit * 0.7 + 0.5, 0.0, 1.0))


def _stroke(level: Floats, half_width: Floats | float, sheet: Sheet) -> Floats:
    return _covered(half_width - np.abs(level), sheet)


def _over(below: Floats | Colours, colour: Floats | Colours, cover: Floats) -> Colours:
    part = cover.astype(np.float32)[..., None]
    ground = below.astype(np.float32, copy=False)
    return np.asarray(ground + (colour.astype(np.float32, copy=False) - ground) * part)


def _worn(sheet: Sheet, y: Floats, picture: Colours) -> Colours:
    """The print as it left the block: wood grain, patchy ink, soft paper."""
    rings = enlarged(smooth_noise(sheet, sheet.generator(40), 240, 3, stretch=5.0, cell_px=4.0), sheet)
    patchy = enlarged(smooth_noise(sheet, sheet.generator(41), 60, 4, cell_px=4.0), sheet)
    tooth = smooth_noise(sheet, sheet.generator(42), 3.0, 1)
    grain = np.sin(y / 1.5 + 26.0 * rings)
    bare = np.clip(0.07 + 0.045 * patchy + 0.055 * grain + 0.05 * tooth, 0.0, 0.4)
    return _over(picture, FOAM, bare)
