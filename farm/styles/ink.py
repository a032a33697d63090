"""Ink: mountains in mist, brushed wet and dry in black ink on warm paper, one red sun."""

from __future__ import annotations

import numpy as np

from farm.styles import brush
from farm.styles.brush import Brush
from farm.styles.field import CELL_PX, Flow, curl_flow, enlarged, flow_of, sampled, smooth_noise
from farm.styles.palette import pigments, ramp, varied
from farm.styles.relief import lit
from farm.styles.sheet import Floats, Pixels, Sheet

PAPER = pigments("efe3c8")[0]
INKS = pigments("f2e4c4", "d3c7ab", "9a958a", "5f6468", "30363e", "12151b")  # from water to the stick
RED = pigments("b8301e", "d9502e", "8c1c1a")
RIDGES = (  # foot line (share of the height), height, width of a peak (design units), darkness
    (0.34, 120.0, 120.0, 0.34),
    (0.50, 150.0, 165.0, 0.48),
    (0.68, 170.0, 190.0, 0.66),
    (0.86, 150.0, 150.0, 0.82),
    (1.08, 165.0, 200.0, 1.0),
)
SUN_X, SUN_Y, SUN_RADIUS = 0.73, 0.15, 31.0
WET = Brush(bristles=9, streak=0.05, tint=0.006, fray=0.3, bristle_width=0.16, body=90, ridge=18)
DRY = Brush(bristles=6, streak=0.16, tint=0.006, fray=0.45, bristle_width=0.15, body=100, ridge=25, ribbon=False)


def paint(sheet: Sheet) -> Pixels:
    """The picture at working size."""
    tone, slope = _mountains(sheet)
    canvas = brush.primed(_washed(sheet, tone))
    _lay_mist(sheet, canvas, tone, sheet.generator(10))
    _lay_sun(sheet, canvas, sheet.generator(11))
    _lay_rock(sheet, canvas, tone, slope, sheet.generator(12))
    _lay_pines(sheet, canvas, tone, sheet.generator(13))
    return lit(canvas, sheet, depth=0.35, gloss=0.0, weave=0.08)


def _mountains(sheet: Sheet) -> tuple[Floats, Flow]:
    """Darkness (h, w), 0 paper to 1 ink, and the way down the rock."""
    x, y = sheet.grid(CELL_PX)
    tall = -2 * float(y[0, 0])
    bloom = smooth_noise(sheet, sheet.generator(1), 90, 4, cell_px=CELL_PX)
    tone = 0.09 + 0.025 * bloom
    lean = np.zeros_like(x)
    for i, (foot, height, peak, darkness) in enumerate(RIDGES):
        crest = _crest(sheet, x, i, peak)
        below = y - (foot - 0.5) * tall + height * crest
        fade = np.clip(below, 0.0, None) / (0.62 * height)
        wash = darkness * (0.30 + 0.70 / (1.0 + fade * fade * 2.2)) + 0.11 * darkness * bloom
        wash = wash * np.clip(1.25 - 0.55 * fade, 0.05, 1.0)
        rim = 0.16 * np.clip(1.0 - np.abs(below - 2.5) / 5.0, 0.0, 1.0)  # pigment gathers where a wash dries
        cover = np.clip(below * 0.35 + 0.5, 0.0, 1.0)
        tone = tone + (wash + rim - tone) * cover
        side = np.gradient(crest, axis=1)
        lean = np.where(below > 0, -side / (np.abs(side).mean() + 1e-9), lean)
    return np.clip(tone, 0.0, 1.0), flow_of(np.clip(lean, -1.6, 1.6), np.ones_like(lean) * 0.85)


def _crest(sheet: Sheet, x: Floats, order: int, peak: float) -> Floats:
    """(h, w): 0 to about 1 along x: sharp summits, broken by smaller ones."""
    rng = sheet.generator(30 + order)
    line = np.zeros(x.shape[1])
    for octave in range(5):
        phase, share = rng.random() * 6.0, 0.55**octave
        step = x[0] / (peak * 0.52**octave) + phase
        line += share * (1.0 - np.abs(np.mod(step + 0.35 * np.sin(step * 1.7), 2.0) - 1.0) * 1.35)
    return np.asarray(np.broadcast_to(line / 1.25, x.shape))


def _washed(sheet: Sheet, tone: Floats) -> Floats:
    """(h, w, 3): the wet layer: tones that settled in the paper's tooth."""
    grain = smooth_noise(sheet, sheet.generator(2), 4, 2)
    fibre = smooth_noise(sheet, sheet.generator(3), 26, 3, stretch=0.3)
    wet = enlarged(tone, sheet)
    return ramp(INKS, wet + wet * (0.045 * grain + 0.03 * fibre)) * (1.0 + 0.012 * fibre + 0.01 * grain)[..., None]


def _lay_mist(sheet: Sheet, canvas: Pixels, tone: Floats, rng: np.random.Generator) -> None:
    """Broad wet strokes that wind through air and valleys, barely darker than what they cross."""
    drift = curl_flow(sheet, rng, scale=170, wind=(1.2, 0.0), turbulence=1.0, stretch=1.8)
    spots = brush.scattered(sheet, rng, 15.0)
    here = sampled(tone, sheet, spots)
    spots, here = spots[here < 0.36], here[here < 0.36]
    count = len(spots)
    colours = varied(ramp(INKS, np.abs(here + 0.02 + 0.085 * rng.standard_normal(count))), rng, 0.015, 0.006)
    lengths = sheet.unit * rng.uniform(60, 190, count)
    widths = sheet.unit * rng.uniform(4, 15, count)
    brush.lay(canvas, brush.traced(drift, spots, lengths, 16), widths, colours, WET, rng)


def _lay_sun(sheet: Sheet, canvas: Pixels, rng: np.random.Generator) -> None:
    height, width = sheet.shape_hw
    centre = np.array([SUN_X * width, SUN_Y * height])
    x, y = sheet.grid(CELL_PX)
    ring = flow_of(y - (SUN_Y - 0.5) * height / sheet.unit, (SUN_X - 0.5) * width / sheet.unit - x)
    angle, reach = rng.random(150) * 2 * np.pi, np.sqrt(rng.random(150)) * SUN_RADIUS * sheet.unit
    spots = centre + np.stack([reach * np.cos(angle), reach * np.sin(angle)], axis=-1)
    colours = varied(ramp(RED, rng.random(150) * 0.8), rng, 0.05, 0.01)
    lengths, widths = np.full(150, 34.0 * sheet.unit), sheet.unit * rng.uniform(4, 8, 150)
    brush.lay(canvas, brush.traced(ring, spots, lengths, 10), widths, colours, WET, rng)


def _lay_rock(sheet: Sheet, canvas: Pixels, tone: Floats, slope: Flow, rng: np.random.Generator) -> None:
    """Dry strokes down the rock, darker than the wash where it is dark, few where it is mist."""
    for spacing, width, length, weight in ((8.0, 9.0, 46.0, 0.10), (6.0, 5.0, 32.0, 0.17), (5.4, 3.0, 20.0, 0.26)):
        spots = brush.scattered(sheet, rng, spacing)
        here = sampled(tone, sheet, spots)
        keep = rng.random(len(spots)) < np.clip((here - 0.21) * 2.4, 0.0, 0.85)
        spots, here = spots[keep], here[keep]
        count = len(spots)
        swing = weight * (0.55 + 0.8 * rng.standard_normal(count))
        colours = varied(ramp(INKS, here + swing), rng, 0.02, 0.006)
        lengths = length * sheet.unit * rng.uniform(0.5, 1.4, count)
        widths = width * sheet.unit * rng.uniform(0.6, 1.3, count)
        brush.lay(canvas, brush.traced(slope, spots, lengths, 8), widths, colours, DRY, rng)


def _lay_pines(sheet: Sheet, canvas: Pixels, tone: Floats, rng: np.random.Generator) -> None:
    """Needles of full ink in tufts on the near slopes."""
    height, _ = sheet.shape_hw
    roots = brush.scattered(sheet, rng, 30.0)
    here = sampled(tone, sheet, roots)
    roots = roots[(here > 0.5) & (roots[:, 1] > 0.42 * height) & (rng.random(len(roots)) < 0.6)]
    tufts = np.repeat(roots, 22, axis=0)
    tufts = tufts + sheet.unit * rng.standard_normal(tufts.shape) * np.array([7.0, 9.0])
    fan = curl_flow(sheet, rng, scale=26, turbulence=1.0)
    count = len(tufts)
    colours = varied(ramp(INKS, 0.92 + 0.1 * rng.standard_normal(count)), rng, 0.04, 0.008)
    lengths, widths = sheet.unit * rng.uniform(6, 16, count), sheet.unit * rng.uniform(1.6, 3.2, count)
    brush.lay(canvas, brush.traced(fan, tufts, lengths, 5), widths, colours, Brush(bristles=2, body=110, ridge=10), rng)
