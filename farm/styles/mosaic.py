"""Mosaic: glass and gold tesserae in rings and waves, set by hand in dark grout.

Tiles are laid the old way, in rows along contours (opus vermiculatum): around each medallion
in rings, elsewhere along waves. A tile is known by region, row and number; all that is special
about it - colour, tilt, wear - is drawn from a table by that identity.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from farm.styles.field import enlarged, smooth_noise
from farm.styles.palette import pigments, ramp
from farm.styles.sheet import Floats, Pixels, Sheet

GLASS = pigments("0d2b4a", "14577a", "1f8a93", "58b8a4", "a9dcc0")
GOLD = pigments("6b3f12", "b0761c", "e0ac38", "f8dc84", "fff5cf")
CORAL = pigments("6b1620", "a82a2c", "dc5a3c", "f49a6c", "fbd9b8")
LAPIS = pigments("0c1440", "1c2f86", "3b5fc0", "7fa3e0", "d9e6f4")
RAMPS = (GOLD, CORAL, LAPIS, GLASS)
GROUT = pigments("2a231f")[0]
MEDALLIONS = (  # x, y, radius in design units
    (0.27, 0.36, 150.0),
    (0.76, 0.26, 112.0),
    (0.64, 0.79, 126.0),
    (0.10, 0.90, 92.0),
    (0.98, 0.66, 70.0),
    (0.50, 0.08, 58.0),
)
ROW, TILE = 11.0, 12.5  # a row's height and a tile's mean length, design units
TABLE = 1 << 16


@dataclass(frozen=True)
class Setting:
    """Where each pixel lies, all (h, w): its row and tile, its place in the tile (-0.5 to 0.5), its region."""

    region: Floats
    row: Floats
    tile: Floats
    across: Floats  # from the row's inner to its outer edge
    along: Floats
    length: Floats  # of the tile, design units
    seam: Floats  # distance to the next region, design units


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    setting = _set_tiles(sheet)
    identity = _identities(setting)
    light, edge = _faces(sheet, setting, identity)
    colours = _colours(setting, identity) * light[..., None]
    grain = 1.0 + 0.10 * smooth_noise(sheet, sheet.generator(4), 5, 2)
    picture = colours * (1 - edge[..., None]) + GROUT * grain[..., None] * edge[..., None]
    return np.asarray(np.clip(np.round(picture * 255), 0, 255), dtype=np.uint8)


def _set_tiles(sheet: Sheet) -> Setting:
    x, y = sheet.grid()
    hand = [enlarged(smooth_noise(sheet, sheet.generator(i), 46, 2, cell_px=8.0), sheet) for i in (1, 2)]
    x, y = x + 1.9 * hand[0], y + 1.9 * hand[1]  # no row is straight, no ring is round
    tall, wide = sheet.shape_hw[0] / sheet.unit, sheet.shape_hw[1] / sheet.unit
    wave = 26.0 * np.sin(x / 62.0) + 16.0 * np.sin(x / 37.0 + y / 90.0)
    region = np.full(x.shape, float(len(MEDALLIONS)))
    depth, along, seam = y + wave + 2000.0, x + 2000.0, np.full(x.shape, 1e3)
    for i, (at_x, at_y, radius) in enumerate(MEDALLIONS):
        away_x, away_y = x - (at_x - 0.5) * wide, y - (at_y - 0.5) * tall
        distance = np.sqrt(away_x * away_x + away_y * away_y)
        inside = distance < radius
        seam = np.minimum(seam, np.abs(distance - radius))
        region = np.where(inside, float(i), region)
        depth = np.where(inside, distance, depth)
        angle = np.arctan2(away_y, away_x) / (2 * np.pi) + 0.5
        along = np.where(inside, angle, along)
    return _counted(region, depth, along, seam)


def _counted(region: Floats, depth: Floats, along: Floats, seam: Floats) -> Setting:
    row = np.floor(depth / ROW)
    ring = region < len(MEDALLIONS)
    girth = 2 * np.pi * (row + 0.5) * ROW
    count = np.maximum(np.round(girth / TILE), 1.0)
    shift = np.mod(row * 0.618, 1.0)
    place = np.where(ring, np.mod(along + shift, 1.0) * count, along / TILE + shift)
    tile = np.floor(place)
    length = np.where(ring, girth / count, TILE)
    return Setting(region, row, tile, depth / ROW - row - 0.5, place - tile - 0.5, length, seam)


def _identities(setting: Setting) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """(h, w) int64: each tile's row in the table of chance."""
    region, row, tile = (part.astype(np.int64) for part in (setting.region, setting.row, setting.tile))
    mixed = region * 7919 + row * 104729 + tile * 1299709
    return np.asarray((mixed ^ (mixed >> 7)) % TABLE)


def _faces(
    sheet: Sheet, setting: Setting, identity: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> tuple[Floats, Floats]:
    """Light on each tile's face, and how much grout shows: bevelled, tilted, chipped, no two alike."""
    rng = sheet.generator(9)
    tilt, lean, wear, cut = (rng.standard_normal(TABLE)[identity] for _ in range(4))
    from_side = (0.5 - np.abs(setting.across + 0.05 * lean * setting.along)) * ROW
    from_end = (0.5 - np.abs(setting.along + 0.06 * cut * setting.across)) * setting.length
    rough = 0.45 * smooth_noise(sheet, sheet.generator(5), 7, 2)
    gap = np.minimum(np.minimum(from_side, from_end), setting.seam) + rough - 0.25 * np.abs(wear)
    corner = np.maximum(0.0, 2.2 - from_side) ** 2 + np.maximum(0.0, 2.2 - from_end) ** 2
    gap = np.minimum(gap, 2.4 - np.sqrt(corner))
    edge = np.clip((1.25 - gap) * 1.6, 0.0, 1.0)
    bevel = np.clip(1.0 - (gap - 1.0) / 2.2, 0.0, 1.0)
    streak = 0.055 * smooth_noise(sheet, sheet.generator(6), 9, 3, stretch=1.8)
    slope = 0.16 * tilt * setting.across * 2 + 0.14 * lean * setting.along * 2
    side = np.where(setting.across + setting.along < 0, 0.16, -0.26)
    return 1.0 + slope + streak + bevel * side + 0.05 * wear, edge


def _colours(setting: Setting, identity: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> Floats:
    """(h, w, 3): rings and waves of one family of glass, a stranger here and there."""
    chance = np.random.Generator(np.random.PCG64(77))
    shade, odd, family = chance.standard_normal(TABLE), chance.random(TABLE), chance.integers(len(RAMPS), size=TABLE)
    ring = setting.region < len(MEDALLIONS)
    beat = np.mod(setting.row + setting.region * 2, 7.0)
    kind = np.where(ring, _ring_families(setting, beat), np.where(np.mod(setting.row, 9.0) < 2, 2, 3))
    kind = np.where(odd[identity] < 0.06, family[identity], kind).astype(np.int64)
    level = np.where(ring, 0.35 + 0.12 * np.mod(beat, 4.0), 0.38 + 0.28 * np.sin(setting.row * 0.55))
    place = np.clip(level + 0.13 * shade[identity], 0.0, 1.0)
    return np.asarray(np.choose(kind[..., None], [ramp(colours, place) for colours in RAMPS]))


def _ring_families(setting: Setting, beat: Floats) -> Floats:
    inner = np.where(beat < 3, 0, np.where(beat < 4, 2, np.where(beat < 6, 1, 0)))
    return np.asarray(
        np.where(np.mod(setting.region, 3.0) == 1, np.where(inner == 0, 1, np.where(inner == 1, 0, 2)), inner)
    )
