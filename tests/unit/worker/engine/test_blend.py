"""The flow-blend's weights, and the contrast it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine import Carried, blend_frame, raised_cosine_weights
from worker.engine.blend import blend_weight, mixed, usual_disagreement
from worker.engine.contrast import bands, local_energy


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


def contrast(image: np.ndarray) -> float:
    return float(image.std(axis=(0, 1)).mean())


def fineness(image: np.ndarray) -> float:
    """Spread of the steps between neighbours: the contrast of the finest detail."""
    return float(np.diff(image, axis=1).std())


def test_mixing_two_unrelated_paintings_keeps_their_contrast() -> None:
    before, after = noise(1), noise(2)
    linear = 0.5 * before + 0.5 * after
    blended = blend_frame(Carried(before, np.ones((48, 48), np.float32)), frame(after), 0.5) / np.float32(255)
    assert contrast(linear) == pytest.approx(contrast(after) / np.sqrt(2), rel=0.05)  # what a plain mean loses
    assert contrast(blended) == pytest.approx(contrast(after), rel=0.08)
    assert blended.mean() == pytest.approx(linear.mean(), abs=0.01)


def test_fine_detail_is_kept_where_broad_shapes_agree() -> None:
    broad = np.sin(np.arange(48) / 48 * 2 * np.pi)[None, :, None] * 0.25
    before, after = ((0.5 + broad + 0.4 * (noise(seed) - 0.5)).astype(np.float32) for seed in (1, 2))
    linear = 0.5 * before + 0.5 * after
    blended = blend_frame(Carried(before, np.ones((48, 48), np.float32)), frame(after), 0.5) / np.float32(255)
    assert fineness(linear) < 0.8 * fineness(after)
    assert fineness(blended) == pytest.approx(fineness(after), rel=0.1)


def test_the_bands_add_up_to_the_picture() -> None:
    image = noise(3)
    np.testing.assert_allclose(sum(bands(image)), image, atol=1e-5)


def test_the_energy_of_a_flat_picture_lies_in_no_band() -> None:
    flat = np.full((9, 9, 3), 0.7, np.float32)
    assert max(local_energy(band).max() for band in bands(flat)[:-1]) < 1e-6


def whole(image: np.ndarray) -> Carried:
    return Carried(image, np.ones(image.shape[:2], np.float32))


def test_paintings_that_differ_as_two_frames_in_a_row_do_are_not_blended() -> None:
    painted = noise(1)
    near = (painted + 0.01 * np.random.default_rng(5).standard_normal(painted.shape)).astype(np.float32)
    usual = usual_disagreement(whole(near), frame(painted))
    assert usual == pytest.approx(0.01, rel=0.2)
    assert not blend_weight(whole(near), frame(painted), 0.9, usual).any()


def test_where_paintings_disagree_they_are_blended_and_elsewhere_not() -> None:
    painted = noise(1)
    other = painted.copy()
    other[:, 32:] = noise(2)[:, 32:]
    weight = blend_weight(whole(other), frame(painted), 0.8, 0.01)
    assert weight[:, 40:] == pytest.approx(np.full((48, 8), 0.8), abs=1e-6)
    assert not weight[:, :16].any()


def test_what_is_not_trusted_is_not_blended_however_it_disagrees() -> None:
    carried = Carried(noise(2), np.zeros((48, 48), np.float32))
    assert not blend_weight(carried, frame(noise(1)), 0.8, 0.01).any()
    assert usual_disagreement(carried, frame(noise(1))) == 0


def test_with_nothing_to_compare_with_everything_is_blended() -> None:
    weight = blend_weight(whole(noise(1)), frame(noise(1)), 0.4, 0.0)
    assert weight == pytest.approx(np.full((48, 48), 0.4))


def test_a_plain_mean_is_the_method_of_2015() -> None:
    result = mixed(whole(np.full((48, 48, 3), 1.0, np.float32)), np.full((48, 48, 3), 100, np.uint8), 0.2)
    assert (result == round(0.2 * 255 + 0.8 * 100)).all()
