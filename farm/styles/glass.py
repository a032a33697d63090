"""Glass: jewel-coloured shards in dark lead, turning around a milk-white sun with light behind them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from farm.styles.brush import SHIFT, fixed
from farm.styles.field import smooth_noise
from farm.styles.palette import pigments, ramp
from farm.styles.sheet import Floats, Pixels, Sheet

Labels = npt.NDArray[np.int64]

RUBY = pigments("3c0410", "8a0c20", "cf2236", "f26a52", "fbb59a")
AMBER = pigments("6b2606", "b85a12", "ee9a22", "fbc94e", "fff0b0")
COBALT = pigments("060c38", "122a8c", "2c58cc", "6a9cec", "bcdcf8")
EMERALD = pigments("04241a", "0b5a3c", "2a965c", "7cc886", "d0eebc")
VIOLET = pigments("1c0638", "4a1c7c", "8648b8", "c094e0", "ecd8f6")
MILK = pigments("a8a488", "d4d0b4", "eeead4", "faf6e6", "ffffff")
FAMILIES = (RUBY, AMBER, COBALT, EMERALD, VIOLET, MILK)
LEAD = pigments("14120f")[0]
SUN = (0.37, 0.42)  # the shards turn around it
RINGS = ((0, 1), (40, 9), (92, 18), (152, 27), (220, 38), (296, 46), (380, 56))  # radius and number of shards
OUTER_STEP, OUTER_SHARD = 92.0, 44.0  # beyond them: from ring to ring, and a shard's width
RING_FAMILIES = ((5,), (1, 5, 1), (1, 0), (0, 0, 1), (4, 2, 0), (2, 2, 3), (3, 2, 3), (2, 4, 2), (0, 4, 1), (2, 3, 2))
TURN, TURN_LENGTH = 0.55, 150.0  # how far (radians) and over what distance (design units) the rays wind


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    sites, rings = _sites(sheet)
    panes = [_wound(sheet, pane) for pane in _cells(sites)]
    labels = _labels(sheet, panes)
    colours = _lit_glass(sheet, labels, rings, sites)
    lead, shine = _leading(sheet, panes)
    dark = LEAD + 0.42 * shine[..., None]
    picture = colours * (1 - lead[..., None]) + dark * lead[..., None]
    return np.asarray(np.clip(np.round(picture * 255), 0, 255), dtype=np.uint8)


def _sites(sheet: Sheet) -> tuple[Floats, Labels]:
    """Centres of the shards before winding, design units from the sun, and the ring each is of."""
    rng = sheet.generator(1)
    sites, rings = [], []
    for ring, (radius, count) in enumerate(_rings(sheet)):
        angle = (np.arange(count) + 0.5 * (ring % 2) + 0.22 * rng.standard_normal(count)) / count * 2 * np.pi
        reach = radius * (1.0 + 0.045 * rng.standard_normal(count))
        sites.append(np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=-1))
        rings.append(np.full(count, ring))
    return np.concatenate(sites), np.concatenate(rings)


def _rings(sheet: Sheet) -> list[tuple[float, int]]:
    """Radius and number of shards of each ring, past the farthest corner."""
    rings = [(float(radius), count) for radius, count in RINGS]
    height, width = sheet.shape_hw
    while rings[-1][0] < math.hypot(height, width) / sheet.unit + OUTER_STEP:
        radius = rings[-1][0] + OUTER_STEP
        rings.append((radius, round(2 * math.pi * radius / OUTER_SHARD)))
    return rings


def _cells(sites: Floats) -> list[Floats]:
    """The shards' outlines: a Voronoi cell for each site, in the sites' order."""
    division = cv2.Subdiv2D((-9000, -9000, 18000, 18000))
    order = [division.insert((float(x), float(y))) for x, y in sites]
    facets, _ = division.getVoronoiFacetList(order)
    return [np.asarray(facet, dtype=np.float64) for facet in facets]


def _wound(sheet: Sheet, pane: Floats) -> Floats:
    """An outline in working pixels, its sides bent as the rays wind around the sun."""
    part = np.linspace(0.0, 1.0, 12, endpoint=False)[None, :, None]
    dense = (pane[:, None] * (1 - part) + np.roll(pane, -1, axis=0)[:, None] * part).reshape(-1, 2)
    reach = np.sqrt((dense * dense).sum(axis=1))
    turn = _turn(reach)
    cos, sin = np.cos(turn), np.sin(turn)
    bent = np.stack([dense[:, 0] * cos - dense[:, 1] * sin, dense[:, 0] * sin + dense[:, 1] * cos], axis=-1)
    height, width = sheet.shape_hw
    return np.asarray(np.clip(bent, -6000, 6000) * sheet.unit + np.array([SUN[0] * width, SUN[1] * height]))


def _turn(reach: Floats) -> Floats:
    return np.asarray(TURN * np.sin(reach / TURN_LENGTH))


def _labels(sheet: Sheet, panes: list[Floats]) -> Labels:
    """(h, w): the shard each pixel lies in."""
    labels = np.zeros(sheet.shape_hw, np.int32)
    for i, pane in enumerate(panes):
        cv2.fillPoly(labels, [fixed(pane)], i, cv2.LINE_8, SHIFT)
    return labels.astype(np.int64)


def _lit_glass(sheet: Sheet, labels: Labels, rings: Labels, sites: Floats) -> Floats:
    """(h, w, 3): streaks, folds and a glow in each shard's own colours."""
    rng = sheet.generator(2)
    count = len(rings)
    wave = np.floor(1.5 + 1.49 * np.sin(3.0 * np.arctan2(sites[:, 1], sites[:, 0]) + rings)).astype(np.int64)
    chosen = (RING_FAMILIES[min(ring, len(RING_FAMILIES) - 1)] for ring in rings)
    family = np.array([colours[turn % len(colours)] for colours, turn in zip(chosen, wave, strict=True)])
    family = np.where(rng.random(count) < 0.14, rng.integers(len(FAMILIES), size=count), family)
    base = 0.44 + 0.17 * rng.standard_normal(count)
    place = base[labels] + 0.15 * _streaks(sheet, labels, rng.integers(3, size=count))
    place += 0.3 * _glow_inside(sheet, labels)
    tables = np.stack([ramp(colours, np.linspace(0, 1, 1024)) for colours in FAMILIES])
    glass = tables[family[labels], np.clip(place * 1023, 0, 1023).astype(np.int64)]
    return np.asarray(glass * (1.0 + 0.06 * smooth_noise(sheet, sheet.generator(5), 4, 1))[..., None])


def _streaks(sheet: Sheet, labels: Labels, way: Labels) -> Floats:
    """(h, w): flow marks of the molten glass: along the rays, across them, or folded."""
    x, y = sheet.grid()
    height, width = sheet.shape_hw
    x, y = x - (SUN[0] - 0.5) * width / sheet.unit, y - (SUN[1] - 0.5) * height / sheet.unit
    reach = np.sqrt(x * x + y * y)
    angle = np.arctan2(y, x) - _turn(reach)
    around = np.abs(np.mod(angle / np.pi, 2.0) - 1.0)  # mirrored, so the picture has no cut
    spun = smooth_noise(sheet, sheet.generator(3), 60, 5, stretch=0.16)
    row = np.clip(reach / 900.0 * height, 0, height - 1).astype(np.int64)
    along = spun[row, np.clip(around * 0.999 * width, 0, width - 1).astype(np.int64)]
    folds = 1.6 - 2.4 * np.abs(smooth_noise(sheet, sheet.generator(6), 52, 5))
    across = smooth_noise(sheet, sheet.generator(4), 30, 4, stretch=3.5)
    return np.asarray(np.choose(way[labels], [along, 0.7 * along + 0.5 * folds, 0.6 * along + 0.7 * across]))


def _glow_inside(sheet: Sheet, labels: Labels) -> Floats:
    """(h, w): each shard's middle brighter than its dirty edges, -0.5 to 0.5."""
    edges = (labels[:, 1:] != labels[:, :-1])[:-1] | (labels[1:] != labels[:-1])[:, :-1]
    glass = np.pad(~edges, ((0, 1), (0, 1)), constant_values=True).astype(np.uint8)
    inward = cv2.distanceTransform(glass, cv2.DIST_L2, 3).astype(np.float64) / sheet.unit
    return np.asarray(inward / (inward + 9.0) - 0.5)


def _leading(sheet: Sheet, panes: list[Floats]) -> tuple[Floats, Floats]:
    """(h, w) both: where lead covers the glass, and the shine along its rounded back."""
    lead, shine = np.zeros(sheet.shape_hw, np.uint8), np.zeros(sheet.shape_hw, np.uint8)
    outlines = [fixed(pane) for pane in panes]
    cv2.polylines(lead, outlines, True, 255, max(1, round(4.2 * sheet.unit)), cv2.LINE_AA, SHIFT)
    raised = [outline - round(0.9 * sheet.unit * (1 << SHIFT)) for outline in outlines]
    cv2.polylines(shine, raised, True, 255, max(1, round(0.8 * sheet.unit)), cv2.LINE_AA, SHIFT)
    worn = 0.55 + 0.25 * smooth_noise(sheet, sheet.generator(7), 40, 3)
    return lead / 255.0, shine / 255.0 * np.clip(worn, 0.0, 1.0)
