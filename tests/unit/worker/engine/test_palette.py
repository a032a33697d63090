"""Painting in the clip's colours: one frame after another, as a film is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.models import vgg19 as torchvision_vgg19

from farm.contract.params import Backbone, Color, Params
from worker.engine import Frame, Network, Painter, carry, color_statistics
from worker.engine.backbones.vgg19 import vgg19
from worker.engine.color import luma_plane
from worker.engine.palette import Palette, kept_colors
from worker.engine.pixels import image_from_frame


def painter(network: Network, style: Frame, content: Frame, color: Color) -> Painter:
    params = Params(color=color, steps=12, steps_next=3)
    colors = color_statistics([content])
    return Painter(network, params, style, size_hw=content.shape[:2], device="cpu", colors=colors)


def chroma(frame: Frame) -> np.ndarray:
    image = image_from_frame(frame)
    return image - luma_plane(image)[..., None]


def muted(frame: Frame) -> Frame:
    """With chroma weak enough to fit at any lightness from 0.2 to 0.8."""
    return np.asarray(0.25 * frame + 0.75 * frame.mean(axis=2, keepdims=True), dtype=np.uint8)


def test_in_the_clips_colours_every_frame_keeps_its_chroma(network: Network, texture: Frame, stripes: Frame) -> None:
    first = muted(texture)
    second = np.roll(first, 2, axis=1)
    artist = painter(network, stripes, first, Color.CONTENT)
    painted = artist.paint_first(first).frame
    after = artist.paint_next(second, carry(painted, first, second)).frame
    for frame, content in ((painted, first), (after, second)):
        lightness = luma_plane(image_from_frame(frame))
        fits = (lightness > 0.2) & (lightness < 0.8)
        assert fits.mean() > 0.8
        assert np.abs(chroma(frame) - chroma(content))[fits].max() <= 1.5 / 255
        assert np.abs(lightness - luma_plane(image_from_frame(content))).mean() > 0.03  # it was painted


def test_a_matched_style_paints_in_the_clips_colours(network: Network, texture: Frame, stripes: Frame) -> None:
    dusk = np.asarray(texture * (0.9, 0.4, 0.5), dtype=np.uint8)

    def distance(color: Color) -> float:
        painted = painter(network, stripes, dusk, color).paint_first(dusk).frame
        means = [frame.reshape(-1, 3).mean(axis=0) for frame in (painted, dusk)]
        return float(np.abs(means[0] - means[1]).max())

    assert distance(Color.MATCH) < 0.5 * distance(Color.STYLE)


def test_a_mixed_frame_gets_the_clips_chroma_again_and_keeps_its_lightness(texture: Frame, stripes: Frame) -> None:
    content = muted(texture)
    blended = np.asarray(np.clip(np.tile(stripes, (2, 2, 1))[:80, :112], 60, 200), dtype=np.uint8)
    kept = kept_colors(Color.CONTENT, blended, content)
    assert np.abs(chroma(kept) - chroma(content)).max() <= 1.5 / 255
    before, after = (luma_plane(image_from_frame(frame)) for frame in (blended, kept))
    assert np.abs(before - after).max() <= 1 / 255
    assert kept_colors(Color.MATCH, blended, content) is blended


def test_the_styles_colours_are_painted_from_the_style_as_it_is(stripes: Frame) -> None:
    assert np.array_equal(Palette(Color.STYLE).style(stripes), image_from_frame(stripes))


@pytest.mark.parametrize("color", [Color.CONTENT, Color.MATCH])
def test_the_clips_colours_cannot_be_kept_without_knowing_them(color: Color) -> None:
    with pytest.raises(ValueError, match="give their statistics"):
        Palette(color)


@pytest.fixture(scope="module")
def seeded_vgg19() -> Network:
    """The reference network with random weights: its shapes and paths, not its eye."""
    torch.manual_seed(5)
    reference = torchvision_vgg19(weights=None, init_weights=False).features[:30]
    return vgg19({f"features.{name}": weight for name, weight in reference.state_dict().items()})


@pytest.mark.parametrize("color", list(Color))
@pytest.mark.parametrize("scale", [0.25, 4.0])
def test_vgg19_paints_in_every_colour_and_at_every_scale(
    color: Color, scale: float, seeded_vgg19: Network, texture: Frame, stripes: Frame
) -> None:
    small = np.ascontiguousarray(texture[:32, :48])
    params = Params(color=color, style_scale=scale, steps=1, steps_next=2, backbone=Backbone.VGG19)
    artist = Painter(
        seeded_vgg19,
        params,
        [(stripes, 2), (small, 1)],
        size_hw=(32, 48),
        device="cpu",
        colors=color_statistics([small]),
    )
    painted = artist.paint_first(small)
    assert painted.frame.shape == small.shape
    assert np.isfinite(painted.losses["total"])


@pytest.mark.parametrize("color", list(Color))
def test_the_same_frame_in_the_same_colours_is_the_same_bytes(
    color: Color, network: Network, texture: Frame, stripes: Frame
) -> None:
    frames = [painter(network, stripes, texture, color).paint_first(texture).frame for _ in range(2)]
    assert frames[0].tobytes() == frames[1].tobytes()
