"""A chunk's end nears the next anchor: how fast, where, and from which motion."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from worker.engine import Carried, Frame
from worker.engine.approach import (
    DEPARTURE_CALM,
    DEPARTURE_EXTRA,
    DEPARTURE_FRAMES,
    FAR_EXTRA,
    Approach,
    approach,
    departing,
    step_share,
)

LEFT_OF_PAN = 4


def panned(texture: Frame, frames: int, step_px: int = 3) -> list[Frame]:
    """The texture through a window that moves to the right."""
    width = texture.shape[1] - step_px * (frames - 1)
    return [np.ascontiguousarray(texture[:, at * step_px : at * step_px + width]) for at in range(frames)]


def flat(value: float, size_hw: tuple[int, int] = (48, 48)) -> np.ndarray:
    return np.full((*size_hw, 3), value, np.float32)


def trusted(size_hw: tuple[int, int] = (48, 48)) -> np.ndarray:
    return np.ones(size_hw, np.bool_)


def test_the_shares_wear_the_difference_down_by_a_raised_cosine() -> None:
    apart = 1.0
    for left in range(8, 0, -1):
        apart *= 1 - step_share(left, 8)
        assert apart == pytest.approx(0.5 * (1 - math.cos(math.pi * left / 8)))
    assert step_share(8, 8) == 0  # the first frame of the way changes nothing yet


def test_a_frame_before_the_way_begins_is_left_alone() -> None:
    way = Approach(((np.zeros((48, 48, 3), np.uint8), trusted()),) * 3)
    carried = Carried(flat(0.5), np.ones((48, 48), np.float32))
    assert way.towards(carried, 4) is carried
    assert Approach(()).towards(carried, 1) is carried


def test_a_frame_takes_on_its_share_of_the_anchor() -> None:
    way = Approach(((np.full((48, 48, 3), 255, np.uint8), trusted()),) * 4)
    nearer = way.towards(Carried(flat(0.5), np.ones((48, 48), np.float32)), 1)
    assert nearer.image == pytest.approx(np.full((48, 48, 3), 0.5 + 0.5 * step_share(1, 4)), abs=1e-3)


def test_the_nearer_the_anchor_the_smaller_the_steps() -> None:
    way = Approach(((np.zeros((48, 48, 3), np.uint8), trusted()),) * 6)
    paces = [way.towards(Carried(flat(0.5), np.ones((48, 48), np.float32)), left).pace for left in range(8, 0, -1)]
    assert paces[:3] == pytest.approx([1.0, 1.0, 1.0])  # before the way, and on its first frame
    assert paces == sorted(paces, reverse=True)
    assert 0.4 < paces[-1] < 0.6


def test_a_chunk_that_comes_from_afar_finds_its_pace_slowly() -> None:
    carried = Carried(flat(0.5), np.ones((48, 48), np.float32))
    paces = [departing(carried, since).pace for since in range(1, DEPARTURE_FRAMES + 3)]
    assert paces[0] == pytest.approx(1 - DEPARTURE_CALM)
    assert paces == sorted(paces)
    assert paces[-2:] == [1.0, 1.0]
    assert departing(replace(carried, pace=0.1), 9).pace == 0.1  # never faster than the way to the next anchor allows


@pytest.mark.parametrize("far", [0.0, 0.5, 1.0])
def test_a_chunk_that_comes_from_afar_takes_more_steps_at_first(far: float) -> None:
    carried = Carried(flat(0.5), np.ones((48, 48), np.float32))
    extras = [departing(carried, since, far).extra for since in range(1, DEPARTURE_FRAMES + 3)]
    assert extras[0] == pytest.approx(DEPARTURE_EXTRA + FAR_EXTRA * far)
    assert extras == sorted(extras, reverse=True)
    assert extras[-2:] == [0.0, 0.0]


def test_what_comes_into_sight_is_painted_as_the_anchor_has_it() -> None:
    way = Approach(((np.full((48, 48, 3), 255, np.uint8), trusted()),) * 4)
    mask = np.ones((48, 48), np.float32)
    mask[:, 24:] = 0
    nearer = way.towards(Carried(flat(0.0), mask), 3)
    assert nearer.mask.min() == 1
    assert nearer.image[:, 40:].min() > 0.95
    assert nearer.image[:, :8].max() < 0.5


def test_where_the_way_to_the_anchor_is_not_trusted_nothing_changes() -> None:
    way = Approach(((np.full((48, 48, 3), 255, np.uint8), ~trusted()),) * 4)
    carried = Carried(flat(0.25), np.ones((48, 48), np.float32))
    assert way.towards(carried, 1).image == pytest.approx(carried.image, abs=1e-6)


def test_the_anchor_is_carried_back_along_the_motion(texture: Frame) -> None:
    contents = panned(texture, LEFT_OF_PAN + 1)
    way = approach(contents[-1], contents)  # the clip itself as the painting: carried back, it is each frame
    assert len(way.views) == LEFT_OF_PAN
    for left in range(1, LEFT_OF_PAN + 1):
        seen, trust = way.views[left - 1]
        wanted = contents[-1 - left]
        inner = trust.copy()
        inner[:8], inner[-8:], inner[:, :8], inner[:, -8:] = False, False, False, False
        assert inner.mean() > 0.4
        assert np.abs(seen[inner].astype(float) - wanted[inner]).mean() < 4
        assert not trust[:, : 3 * left - 1].any()  # what the anchor's frame no longer shows


def test_a_way_of_one_frame_is_the_anchors_own_and_has_no_views(texture: Frame) -> None:
    assert approach(texture, [texture]).views == ()
