"""Wide pictures (BT.2020; PQ or HLG) on an ordinary screen: BT.709 primaries, highlights rolled off.

Display-referred, after ITU-R BT.2408: HDR's reference white of 203 cd/m² becomes SDR's white.

Differs: above the knee the roll-off is an exponential shoulder instead of BT.2390's spline; it needs no mastering peak.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from farm.video.color import HLG, PQ

Image16 = NDArray[np.uint16]
Floats = NDArray[np.float32]

_WHITE_NITS, _HLG_PEAK_NITS = 203.0, 1000.0
_KNEE = 0.7
_SDR_GAMMA = 2.4  # ITU-R BT.1886
# Linear BT.2020 to linear BT.709, ITU-R BT.2087.
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)


def narrowed(image: Image16, transfer: int) -> NDArray[np.uint8]:
    """`image` (H, W, 3) uint16 RGB, BT.2020 with the H.273 `transfer`, as (H, W, 3) uint8 for a BT.709 screen."""
    light = _light_table(transfer)[image]  # (H, W, 3) float32, 1 is SDR white
    light = np.maximum(light @ _TO_BT709.T, 0.0)
    if transfer in (PQ, HLG):
        light = _rolled_off(light)
    codes = np.clip(light, 0.0, 1.0) ** (1 / _SDR_GAMMA)
    return np.asarray(codes * 255.0 + 0.5, dtype=np.uint8)


def _rolled_off(light: Floats) -> Floats:
    """Scaled so that the largest channel stays below 1: as it is up to the knee, an exponential shoulder above."""
    peak = light.max(axis=2, keepdims=True)
    room = 1.0 - _KNEE
    shoulder = _KNEE + room * (1.0 - np.exp(-(peak - _KNEE) / room))
    scale = np.where(peak > _KNEE, shoulder / np.maximum(peak, 1e-6), 1.0)
    return np.asarray(light * scale, dtype=np.float32)


@cache
def _light_table(transfer: int) -> Floats:
    """Light of each 16-bit code, 1 being SDR white."""
    code = np.linspace(0.0, 1.0, 65_536)
    light = _pq(code) if transfer == PQ else _hlg(code) if transfer == HLG else code**_SDR_GAMMA
    return light.astype(np.float32)


def _pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084, equation 4.1, in units of reference white."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = code ** (1 / m2)
    return 10_000.0 / _WHITE_NITS * (np.maximum(power - c1, 0.0) / (c2 - c3 * power)) ** (1 / m1)


def _hlg(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """ITU-R BT.2100, table 5: inverse OETF, then the system gamma of a 1000 cd/m² display.

    Differs: the gamma is taken per channel, not of luminance; saturated highlights come out a little stronger.
    """
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return _HLG_PEAK_NITS / _WHITE_NITS * scene**1.2
