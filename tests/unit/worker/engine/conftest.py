"""Pictures and a network for the engine's tests: small, made by formula, no file but the installed weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from farm.contract.params import Backbone
from farm.contract.spec import WEIGHTS_SHA256
from worker.engine import Frame, Network, backbones


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small pictures are painted fastest by one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def network() -> Network:
    lite0 = Backbone.EFFICIENTNET_LITE0
    return backbones.load(lite0, WEIGHTS_SHA256[lite0], "cpu")


@pytest.fixture(scope="session")
def texture() -> Frame:
    """A `(80, 112, 3)` picture with smooth structure at every place, so that motion can be seen."""
    noise = np.random.default_rng(7).normal(size=(80, 112, 3))
    wide = sum(
        scale * np.fft.ifft2(np.fft.fft2(noise, axes=(0, 1)) * _low_pass(80, 112, radius), axes=(0, 1)).real
        for scale, radius in ((6.0, 0.05), (2.0, 0.15))
    )
    return np.clip(127 + 90 * wide / np.abs(wide).max() * 1.4, 0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def stripes() -> Frame:
    """A `(64, 64, 3)` style: diagonal strokes of blue and yellow."""
    y, x = np.mgrid[0:64, 0:64]
    wave = 0.5 + 0.5 * np.sin((x + y) * 0.8)[..., None]
    blue, yellow = np.array([20, 40, 160]), np.array([250, 210, 60])
    return np.asarray(wave * yellow + (1 - wave) * blue, dtype=np.uint8)


def _low_pass(height: int, width: int, radius: float) -> np.ndarray:
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None, :]
    return np.exp(-(fx**2 + fy**2) / (2 * radius**2))[..., None]
