"""The flow-blend's weights, and the contrast it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine import Carried, blend_frame, raised_cosine_weights
from worker.engine.blend import local_variance


def noise(seed: int) -> np.ndarray:
    return (0.5 + 0.12 * np.random.default_rng(seed).standard_normal((48, 48, 3))).clip(0, 1).astype(np.float32)


def frame(image: np.ndarray) -> np.ndarray:
    return np.rint(image * 255).astype(np.uint8)


def test_the_weights_fall_as_a_raised_cosine() -> None:
    # ½(1 + cos 45°, cos 90°, cos 135°)
    assert raised_cosine_weights(3) == pytest.approx((0.853553, 0.5, 0.146447), abs=1e-6)
    assert raised_cosine_weights(0) == ()


def test_weights_mirror_each_other() -> None:
    weights = raised_cosine_weights(6)
    assert [a + b for a, b in zip(weights, reversed(weights), strict=True)] == pytest.approx([1.0] * 6)


def test_no_weight_leaves_the_painted_frame_as_it_is() -> None:
    painted = frame(noise(1))
    assert (blend_frame(Carried(noise(2), np.ones((48, 48), np.float32)), painted, 0.0) == painted).all()


def test_an_untrusted_place_keeps_the_painted_frame() -> None:
    painted = frame(noise(1))
    assert (blend_frame(Carried(noise(2), np.zeros((48, 48), np.float32)), painted, 0.9) == painted).all()


def test_full_weight_gives_the_carried_painting() -> None:
    carried = noise(2)
    blended = blend_frame(Carried(carried, np.ones((48, 48), np.float32)), frame(noise(1)), 1.0)
    assert np.abs(blended.astype(int) - frame(carried)).max() <= 1


def test_mixing_two_unrelated_paintings_keeps_their_contrast() -> None:
    before, after = noise(1), noise(2)
    linear = 0.5 * before + 0.5 * after
    blended = blend_frame(Carried(before, np.ones((48, 48), np.float32)), frame(after), 0.5) / np.float32(255)
    own = local_variance(after).mean()
    assert local_variance(linear).mean() < 0.6 * own  # half the variance is lost in a plain mean
    assert local_variance(blended).mean() == pytest.approx(own, rel=0.15)
    assert blended.mean() == pytest.approx(linear.mean(), abs=0.01)


def test_local_variance_of_a_flat_picture_is_nought() -> None:
    assert local_variance(np.full((9, 9, 3), 0.7, np.float32)).max() < 1e-6
