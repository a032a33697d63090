"""Colours: ramps between named pigments, and the small variations a brush picks up.

Colours are sRGB in [0, 1], last axis R, G, B.
"""

from __future__ import annotations

import numpy as np

from farm.styles.sheet import Floats

LUMA = np.array([0.2126, 0.7152, 0.0722])  # Rec. 709


def pigments(*codes: str) -> Floats:
    """(n, 3) from hexadecimal codes such as `1b3a7a`."""
    return np.array([[int(code[i : i + 2], 16) / 255 for i in (0, 2, 4)] for code in codes])


def ramp(colours: Floats, place: Floats) -> Floats:
    """(..., 3): the ramp read at `place` (...), 0 its first pigment and 1 its last."""
    scaled = np.clip(place, 0.0, 1.0) * (len(colours) - 1)
    low = np.minimum(scaled.astype(np.int64), len(colours) - 2)
    part = (scaled - low)[..., None]
    return np.asarray(colours[low] * (1 - part) + colours[low + 1] * part)


def varied(colours: Floats, rng: np.random.Generator, light: float = 0.05, hue: float = 0.03) -> Floats:
    """Each colour with its own lightness and a slight tint, as a brush never loads twice the same."""
    shade = 1.0 + light * rng.standard_normal((*colours.shape[:-1], 1))
    return np.asarray(np.clip(colours * shade + hue * rng.standard_normal(colours.shape), 0.0, 1.0))


def picked(colours: Floats, count: int, rng: np.random.Generator, weights: Floats | None = None) -> Floats:
    """(count, 3): pigments drawn at random."""
    share = None if weights is None else weights / weights.sum()
    return np.asarray(colours[rng.choice(len(colours), size=count, p=share)])


def luma(colours: Floats) -> Floats:
    """Rec. 709 luma (...) of colours (..., 3)."""
    return np.asarray(colours @ LUMA)
