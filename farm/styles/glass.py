"""Glass: jewel-coloured shards in dark lead, streaked and seeded, with light behind them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from farm.styles.brush import SHIFT, fixed
from farm.styles.field import smooth_noise
from farm.styles.palette import pigments, ramp
from farm.styles.sheet import Floats, Pixels, Sheet

RUBY = pigments("4a0614", "9a1024", "d8283a", "f4715a")
AMBER = pigments("8a3a08", "d9781a", "f8b434", "fde28c")
COBALT = pigments("0a1450", "1a34a0", "3c6ad8", "8ab4f0")
EMERALD = pigments("06301f", "0f6a44", "34a468", "a0dc9c")
VIOLET = pigments("260a48", "5a2490", "9a5cc8", "d8b0ea")
MILK = pigments("b8b8a0", "dcdcc4", "f2efdc", "fffdf0")
FAMILIES = (RUBY, AMBER, COBALT, EMERALD, VIOLET, MILK)
LEAD = pigments("14120f")[0]
SUN = (0.36, 0.40)  # the shards turn around it
RINGS = ((0.0, 1), (38.0, 7), (84.0, 13), (138.0, 18), (200.0, 24), (270.0, 30), (350.0, 36), (440.0, 40), (540.0, 44))
RING_FAMILIES = ((5,), (1, 5), (1, 0), (0, 4, 1), (2, 4), (2, 3), (3, 1, 2), (2, 4, 0), (2, 3))


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    sites, rings = _sites(sheet)
    panes = _panes(sheet, sites)
    labels = _labels(sheet, panes)
    colours = _lit_glass(sheet, labels, rings)
    lead, shine = _leading(sheet, panes)
    dark = LEAD + 0.42 * shine[..., None]
    picture = colours * (1 - lead[..., None]) + dark * lead[..., None]
    return np.asarray(np.clip(np.round(picture * 255), 0, 255), dtype=np.uint8)


def _sites(sheet: Sheet) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Centres of the shards, working pixels, in loose rings around the sun, and the ring each is of."""
    rng = sheet.generator(1)
    height, width = sheet.shape_hw
    sites, rings = [], []
    for ring, (radius, count) in enumerate(RINGS):
        angle = (np.arange(count) + 0.32 * rng.standard_normal(count)) / count * 2 * np.pi + ring * 0.37
        reach = radius * (1.0 + 0.07 * rng.standard_normal(count))
        circle = np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=-1) * sheet.unit
        sites.append(circle + np.array([SUN[0] * width, SUN[1] * height]))
        rings.append(np.full(count, ring))
    return np.concatenate(sites), np.concatenate(rings)


def _panes(sheet: Sheet, sites: Floats) -> list[Floats]:
    """The shards' outlines: a Voronoi cell for each site, in the sites' order."""
    height, width = sheet.shape_hw
    margin = 4 * max(height, width)
    division = cv2.Subdiv2D((-margin, -margin, 2 * margin + width, 2 * margin + height))
    order = [division.insert((float(x), float(y))) for x, y in sites]
    facets, _ = division.getVoronoiFacetList(order)
    return [np.asarray(facet, dtype=np.float64) for facet in facets]


def _labels(sheet: Sheet, panes: list[Floats]) -> npt.NDArray[np.int64]:
    """(h, w) int64: the shard each pixel lies in."""
    labels = np.zeros(sheet.shape_hw, np.int32)
    for i, pane in enumerate(panes):
        cv2.fillPoly(labels, [fixed(pane)], i, cv2.LINE_8, SHIFT)
    return labels.astype(np.int64)


def _lit_glass(sheet: Sheet, labels: npt.NDArray[np.int64], rings: npt.NDArray[np.int64]) -> Floats:
    """(h, w, 3): streaks, seeds and a glow in each shard's own colours."""
    rng = sheet.generator(2)
    count = len(rings)
    family = np.array([RING_FAMILIES[ring][rng.integers(len(RING_FAMILIES[ring]))] for ring in rings])
    family = np.where(rng.random(count) < 0.12, rng.integers(len(FAMILIES), size=count), family)
    base, slant = 0.45 + 0.16 * rng.standard_normal(count), rng.standard_normal((2, count))
    place = base[labels] + 0.17 * _streaks(sheet, labels, rng.integers(4, size=count)) + _slant(sheet, labels, slant)
    tables = np.stack([ramp(colours, np.linspace(0, 1, 256)) for colours in FAMILIES])
    index = np.clip(place * 255, 0, 255).astype(np.int64)
    glass = tables[family[labels], index]
    return np.asarray(glass * (1.0 + 0.05 * smooth_noise(sheet, sheet.generator(5), 4, 1))[..., None])


def _streaks(sheet: Sheet, labels: npt.NDArray[np.int64], way: npt.NDArray[np.int64]) -> Floats:
    """(h, w): flow marks of the molten glass, in one of four directions per shard."""
    level = smooth_noise(sheet, sheet.generator(3), 34, 4, stretch=4.0)
    upright = smooth_noise(sheet, sheet.generator(4), 120, 4, stretch=0.25)
    swirls = smooth_noise(sheet, sheet.generator(6), 60, 5)
    folded = 1.6 - 2.4 * np.abs(swirls)
    kinds = way[labels]
    return np.asarray(np.choose(kinds, [level, upright, swirls, folded]))


def _slant(sheet: Sheet, labels: npt.NDArray[np.int64], slant: Floats) -> Floats:
    """(h, w): each shard a little brighter towards one of its sides."""
    x, y = sheet.grid()
    total = np.bincount(labels.ravel(), minlength=slant.shape[1])
    parts = []
    for axis, way in zip((x, y), slant, strict=True):
        middle = np.bincount(labels.ravel(), axis.ravel(), minlength=slant.shape[1]) / np.maximum(total, 1)
        parts.append((axis - middle[labels]) * way[labels] * 0.0042)
    return np.asarray(parts[0] + parts[1])


def _leading(sheet: Sheet, panes: list[Floats]) -> tuple[Floats, Floats]:
    """(h, w) both: where lead covers the glass, and the shine along its rounded back."""
    lead, shine = np.zeros(sheet.shape_hw, np.uint8), np.zeros(sheet.shape_hw, np.uint8)
    outlines = [fixed(pane) for pane in panes]
    cv2.polylines(lead, outlines, True, 255, max(1, round(4.6 * sheet.unit)), cv2.LINE_AA, SHIFT)
    raised = [outline - round(1.1 * sheet.unit * 16) for outline in outlines]
    cv2.polylines(shine, raised, True, 255, max(1, round(0.9 * sheet.unit)), cv2.LINE_AA, SHIFT)
    worn = 0.55 + 0.25 * smooth_noise(sheet, sheet.generator(7), 40, 3)
    return lead / 255.0, shine / 255.0 * np.clip(worn, 0.0, 1.0)
