"""What comes into sight is painted as strongly as the rest: behind a fast pan, behind a balloon, and after a cut.

With the real network at small sizes, each frame's new places against the rest of the same frame. Bars lie between what
the engine gives and what it gives when it is broken on purpose: with one step a frame instead of 24, the new places'
detail is 0.3 of the rest's and their saturation 0.67; with paint carried in from beyond the border, their slope along
the motion is 0.4 of the rest's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from synthetic import SyntheticClip, cut, layers, pan

from farm import styles
from farm.contract.params import Params
from worker.engine import Frame, Network, Painter, carry

PARAMS = Params(steps=60)
"""A first frame has fewer steps than by default, to save time; a following one has all of its own."""
FAST_PX, FASTEST_PX = 24, 40
"""The first: the share of a frame that 40 px are of 320. The second is too fast for DIS at this size: most is bare."""

Plane = NDArray[np.floating]
Where = NDArray[np.bool_]

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True)
class Film:
    """Painted frames, each with its frame of the clip and the places that were not to be seen in the frame before."""

    contents: list[Frame]
    painted: list[Frame]
    new: list[Where]
    fresh: Frame  # the last frame as it is when painted from nothing


@pytest.fixture(scope="module")
def style() -> Frame:
    return styles.paint("ember", 256, 192)


@pytest.fixture(scope="module", params=["fast pan", "fastest pan", "balloon"])
def painted(request: pytest.FixtureRequest, network: Network, style: Frame) -> Film:
    """The camera races to the right, and the right edge is new; or a balloon flies off and bares the ground."""
    if request.param == "balloon":
        clip = layers((192, 108), 4, step_px=(2.0, -9.0))
        return film(network, style, clip, [~motion.trust for motion in clip.motions() if motion])
    step_px = FAST_PX if request.param == "fast pan" else FASTEST_PX
    new = np.zeros((108, 192), np.bool_)
    new[:, -step_px:] = True
    return film(network, style, pan((192, 108), 3, step_px=float(step_px)), [new, new])


def test_new_places_are_as_detailed_as_the_rest(painted: Film) -> None:
    # What the clip itself has more of here than there, a frame painted from nothing has, too.
    of_the_clip = ratio(detail(painted.fresh), painted.new[-1])
    assert np.mean(ratios(painted, detail)) / of_the_clip > 0.7
    assert min(ratios(painted, detail)) / of_the_clip > 0.6


def test_new_places_are_not_grey(painted: Film) -> None:
    assert min(ratios(painted, saturation)) > 0.85


def test_new_places_have_the_styles_colours_and_not_the_clips(painted: Film, style: Frame) -> None:
    colours = palette(style)
    off, off_elsewhere, clips = [], [], []
    for content, frame, new in zip(painted.contents, painted.painted, painted.new, strict=True):
        off.append(off_palette(frame, colours)[new].mean())
        off_elsewhere.append(off_palette(frame, colours)[~new].mean())
        clips.append(off_palette(content, colours)[new].mean())
    assert np.mean(off) < 1.35 * np.mean(off_elsewhere)
    assert np.mean(off) < 0.8 * np.mean(clips)


def test_new_places_have_no_flat_spots(painted: Film) -> None:
    for frame, new in zip(painted.painted, painted.new, strict=True):
        spread = deviation(frame)
        assert np.percentile(spread[new], 1) > 0.5 * np.percentile(spread[~new], 1)


@pytest.mark.parametrize("painted", ["fast pan", "fastest pan"], indirect=True)
def test_borders_are_not_smeared_along_a_pan(painted: Film) -> None:
    for frame in painted.painted:
        border, inside = along_over_across(frame[:, -22:-2]), along_over_across(frame[:, 22:-60])
        assert border > 0.7 * inside


def test_a_pan_of_40_px_a_frame_is_followed_and_bares_only_what_is_new() -> None:
    contents = list(pan((320, 180), 3, step_px=40.0).frames())
    for before, now in pairwise(contents):
        bare = 1 - carry(before, before, now).mask.mean()
        assert 40 / 320 <= bare < 40 / 320 + 0.02


def test_a_cut_starts_a_fresh_painting(network: Network, style: Frame) -> None:
    """The painter keeps nothing of the shot before."""
    _, before, after, _ = cut((96, 64), 4, at=2).frames()
    with one_thread():
        used, unused = (Painter(network, Params(steps=8), style, size_hw=(64, 96), device="cpu") for _ in range(2))
        used.paint_next(before, carry(used.paint_first(before).frame, before, before))
        assert used.paint_first(after).frame.tobytes() == unused.paint_first(after).frame.tobytes()


def film(network: Network, style: Frame, clip: SyntheticClip, new: list[Where]) -> Film:
    """The clip painted as a chunk is, without its first frame: nothing is new there."""
    contents = list(clip.frames())
    with one_thread():
        artist = Painter(network, PARAMS, style, size_hw=clip.size[::-1], device="cpu")
        frames = [artist.paint_first(contents[0]).frame]
        for before, now in pairwise(contents):
            frames.append(artist.paint_next(now, carry(frames[-1], before, now)).frame)
        return Film(contents[1:], frames[1:], new, artist.paint_first(contents[-1]).frame)


@contextmanager
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def ratio(plane: Plane, new: Where) -> float:
    """Mean over the new places over the mean elsewhere."""
    return float(plane[new].mean() / plane[~new].mean())


def ratios(film: Film, measure) -> list[float]:
    return [ratio(measure(frame), new) for frame, new in zip(film.painted, film.new, strict=True)]


def detail(frame: Frame) -> Plane:
    """Amplitude of the finest strokes."""
    return np.abs(cv2.Laplacian(light(frame), cv2.CV_32F))


def saturation(frame: Frame) -> Plane:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2HSV)[..., 1] / 255


def deviation(frame: Frame) -> Plane:
    """Standard deviation of lightness in 9 × 9 px around each pixel."""
    mean = cv2.blur(light(frame), (9, 9))
    return np.sqrt(np.maximum(0, cv2.blur(light(frame) ** 2, (9, 9)) - mean * mean))


def along_over_across(frame: Frame) -> float:
    """Mean slope along a pan, over the one across it: near 0 where the border was drawn out to fill what is new."""
    return float(np.abs(np.diff(light(frame), axis=1)).mean() / np.abs(np.diff(light(frame), axis=0)).mean())


def light(frame: Frame) -> NDArray[np.float32]:
    return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255


def lab(frame: Frame) -> NDArray[np.float32]:
    return cv2.cvtColor(frame.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def palette(style: Frame) -> NDArray[np.float32]:
    """48 colours of a style, `(48, 3) CIELAB`, by k-means."""
    cv2.setRNGSeed(1)
    pixels = lab(style).reshape(-1, 3)[::7]
    return cv2.kmeans(pixels, 48, None, (3, 30, 0.1), 1, cv2.KMEANS_PP_CENTERS)[2]  # type: ignore[call-overload]


def off_palette(frame: Frame, colours: NDArray[np.float32]) -> Plane:
    """Distance of each place's colour to the nearest of the palette, CIE76."""
    places = lab(cv2.GaussianBlur(frame, (0, 0), 1.5))[:, :, None]
    return np.sqrt(((places - colours) ** 2).sum(axis=-1).min(axis=-1))
