"""Colour: statistics, the two ways to keep a clip's colours, and that nothing is lost on the way to 8 bits and back."""

from __future__ import annotations

import numpy as np
import pytest

from worker.engine import ColorStatistics, Frame, color_statistics
from worker.engine.color import color_matched, grey, luma_matched, luma_plane, recolored
from worker.engine.pixels import frame_from_image, image_from_frame

RNG = np.random.default_rng(11)


def picture(mean: tuple[float, ...], mix: np.ndarray) -> np.ndarray:
    """`(60, 70, 3)` float32 of correlated channels around a mean."""
    return (RNG.normal(size=(60, 70, 3)) @ mix.T + mean).astype(np.float32)


STYLE = picture((0.4, 0.3, 0.6), np.array([[0.1, 0, 0], [0.05, 0.08, 0], [0, 0.03, 0.06]]))


def chroma(image: np.ndarray) -> np.ndarray:
    return image - luma_plane(image)[..., None]


def test_statistics_are_those_of_all_frames_together() -> None:
    black, white = np.zeros((4, 5, 3), np.uint8), np.full((4, 5, 3), 255, np.uint8)
    found = color_statistics([black, white])
    np.testing.assert_allclose(found.mean, (0.5, 0.5, 0.5))
    np.testing.assert_allclose(found.covariance, np.full((3, 3), 0.25))  # each channel is 0 or 1, all at once
    assert (found.luma_mean, found.luma_std) == (pytest.approx(0.5), pytest.approx(0.5))


def test_statistics_agree_with_numpy(texture: Frame) -> None:
    pixels = texture.reshape(-1, 3) / 255
    found = color_statistics([texture])
    np.testing.assert_allclose(found.mean, pixels.mean(axis=0))
    np.testing.assert_allclose(found.covariance, np.cov(pixels, rowvar=False, bias=True), atol=1e-12)
    assert found.luma_std == pytest.approx(luma_plane(image_from_frame(texture)).std(), rel=1e-4)


def test_statistics_of_no_frame_are_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        color_statistics([])


def test_matched_colours_have_the_wanted_mean_and_covariance(texture: Frame) -> None:
    wanted = color_statistics([texture])
    pixels = color_matched(STYLE, wanted).reshape(-1, 3)
    np.testing.assert_allclose(pixels.mean(axis=0), wanted.mean, atol=1e-5)
    np.testing.assert_allclose(np.cov(pixels, rowvar=False, bias=True), wanted.covariance, atol=1e-5)


def test_colours_that_fit_already_are_left_alone() -> None:
    pixels = STYLE.reshape(-1, 3).astype(np.float64)
    own = ColorStatistics(tuple(pixels.mean(axis=0)), tuple(map(tuple, np.cov(pixels, rowvar=False, bias=True))))
    np.testing.assert_allclose(color_matched(STYLE, own), STYLE, atol=1e-5)


@pytest.mark.parametrize("shade", [np.zeros(3), np.array([0.3, 0.3, 0.3])])
def test_a_style_or_a_clip_without_colours_is_matched_without_noise(shade: np.ndarray) -> None:
    flat = np.broadcast_to(shade.astype(np.float32), (20, 20, 3)) + RNG.normal(0, 0.001, (20, 20, 3)).astype(np.float32)
    wanted = ColorStatistics((0.5, 0.4, 0.3), ((0.04, 0, 0), (0, 0.04, 0), (0, 0, 0.04)))
    assert color_matched(flat, wanted).std(axis=(0, 1)).max() < 0.03
    grey_clip = color_statistics([np.full((8, 8, 3), 77, np.uint8)])
    np.testing.assert_allclose(color_matched(STYLE, grey_clip), 77 / 255, atol=1e-5)


def test_a_styles_lightness_is_given_the_clips_mean_and_spread(texture: Frame) -> None:
    wanted = color_statistics([texture])
    matched = luma_matched(STYLE, wanted)
    assert matched[..., 0].mean() == pytest.approx(wanted.luma_mean, abs=1e-4)
    assert matched[..., 0].std() == pytest.approx(wanted.luma_std, abs=1e-4)
    assert np.array_equal(matched[..., 0], matched[..., 2])


def test_painted_lightness_and_the_clips_chroma_survive_eight_bits(texture: Frame) -> None:
    content = image_from_frame(texture)
    painted = np.clip(luma_plane(content) + RNG.normal(0, 0.05, content.shape[:2]).astype(np.float32), 0.3, 0.7)
    stored = image_from_frame(frame_from_image(recolored(painted, content)))
    inside = np.abs(chroma(content)).max(axis=2) < 0.3  # there is room for all of the chroma
    assert inside.mean() > 0.5
    assert np.abs(chroma(stored) - chroma(content))[inside].max() <= 1 / 255
    assert np.abs(luma_plane(stored) - painted).max() <= 0.5 / 255 + 1e-6


def test_where_the_chroma_does_not_fit_it_is_weakened_and_hue_and_lightness_stay() -> None:
    content = np.broadcast_to(np.array([0.9, 0.1, 0.2], np.float32), (1, 3, 3))
    lightness = np.array([[0.02, 0.5, 0.98]], np.float32)
    shown = recolored(lightness, content)
    assert shown.min() >= 0
    assert shown.max() <= 1 + 1e-6
    np.testing.assert_allclose(luma_plane(shown), lightness, atol=1e-6)
    ratio = chroma(shown) / chroma(content)  # one factor for all channels: the hue is the same
    np.testing.assert_allclose(ratio, np.repeat(ratio[..., :1], 3, axis=2), atol=1e-5)
    assert (ratio[0, [0, 2], 0] < 0.2).all()


def test_grey_keeps_the_lightness_of_every_pixel(texture: Frame) -> None:
    image = image_from_frame(texture)
    np.testing.assert_allclose(luma_plane(grey(image)), luma_plane(image), atol=1e-6)
