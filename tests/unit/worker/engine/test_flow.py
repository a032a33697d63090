"""Flow, its masks and paintings carried along it, on pictures whose motion is known."""

from __future__ import annotations

import numpy as np
import pytest

from farm.contract.params import FlowMethod
from worker.engine import Frame, carry, carry_far
from worker.engine.flow import LongFlow, composed, consistency_mask, flow_estimate, motion_boundary, round_trip

METHODS = list(FlowMethod)


def pan(height: int, width: int, dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (height, width, 2)).copy()


def window(texture: Frame, left: int, top: int = 0) -> Frame:
    """A `(64, 80)` camera on the texture."""
    return np.ascontiguousarray(texture[top : top + 64, left : left + 80])


@pytest.mark.parametrize("method", METHODS)
def test_the_flow_of_a_pan_points_from_a_to_b(texture: Frame, method: FlowMethod) -> None:
    # The camera goes 4 px right and 2 px down: what was at (x, y) is at (x − 4, y − 2).
    flow_ab = flow_estimate(window(texture, 8, 4), window(texture, 12, 6), method)
    assert flow_ab.shape == (64, 80, 2)
    assert flow_ab.dtype == np.float32
    np.testing.assert_allclose(np.median(flow_ab, axis=(0, 1)), [-4, -2], atol=0.25)


@pytest.mark.parametrize("method", METHODS)
def test_tiny_frames_have_a_flow(method: FlowMethod) -> None:
    frame = np.zeros((6, 10, 3), np.uint8)
    assert flow_estimate(frame, frame, method).shape == (6, 10, 2)


def test_a_pan_is_trusted_where_it_stays_in_the_frame() -> None:
    mask = consistency_mask(pan(8, 10, 3, 0), pan(8, 10, -3, 0))
    assert mask[:, :7].all()
    assert not mask[:, 7:].any()


def test_a_round_trip_that_misses_is_not_trusted() -> None:
    # |w + ŵ|² = 1 < 0.01·(9 + 4) + 0.5 = 0.63 does not hold; with a miss of 0.5 px, 0.25 < 0.65 does.
    assert not round_trip(pan(8, 10, 3, 0), pan(8, 10, -2, 0))[:, :7].any()
    assert round_trip(pan(8, 10, 3, 0), pan(8, 10, -2.5, 0))[:, :7].all()


def test_the_edge_of_a_moving_thing_is_a_motion_boundary() -> None:
    flow = pan(8, 12, 0, 0)
    flow[:, 6:] = (2, 0)  # central difference 1 at columns 5 and 6: 1 > 0.01·|w|² + 0.002
    boundary = motion_boundary(flow)
    assert boundary[:, 5:7].all()
    assert not boundary[:, :5].any()
    assert not boundary[:, 7:].any()


def test_two_pans_compose_to_their_sum() -> None:
    np.testing.assert_allclose(composed(pan(8, 10, 1, 2), pan(8, 10, 3, -1)), pan(8, 10, 4, 1), atol=1e-6)


def test_composition_samples_the_second_flow_where_the_first_leads() -> None:
    second = np.zeros((1, 4, 2), np.float32)
    second[0, :, 0] = [0, 10, 20, 30]
    total = composed(pan(1, 4, 1, 0), second)
    assert total[0, :3, 0].tolist() == [11, 21, 31]


def test_a_long_flow_forgets_what_left_the_frame() -> None:
    long_flow = LongFlow((8, 10))
    for _ in range(3):
        long_flow.add(pan(8, 10, 2, 0), pan(8, 10, -2, 0))
    np.testing.assert_allclose(long_flow.flow[:, 0], pan(8, 1, 6, 0)[:, 0], atol=1e-5)
    assert long_flow.trust[:, :4].all()
    assert not long_flow.trust[:, 4:].any()


def test_a_painting_is_carried_with_the_camera(texture: Frame) -> None:
    before, now = window(texture, 8), window(texture, 11)
    carried = carry(255 - before, before, now)  # the negative is the painting
    wanted = (255 - now).astype(np.float32) / 255
    trusted = carried.mask > 0.5
    assert trusted[8:-8, 8:-12].mean() > 0.9
    assert np.abs(carried.image - wanted)[trusted].mean() < 0.02


def test_newly_seen_pixels_are_not_trusted(texture: Frame) -> None:
    assert carry(window(texture, 8), window(texture, 8), window(texture, 20)).mask[:, -8:].mean() < 0.2


def test_a_painting_carried_far_arrives_sharp_and_in_place(texture: Frame) -> None:
    frames = [window(texture, 2 * i) for i in range(9)]  # 16 px in all
    carried = carry_far(255 - frames[0], iter(frames))  # a generator will do
    wanted = (255 - frames[-1]).astype(np.float32) / 255
    trusted = carried.mask > 0.5
    assert trusted[8:-8, 8:50].mean() > 0.9
    assert trusted[:, -12:].mean() < 0.1
    assert np.abs(carried.image - wanted)[trusted].mean() < 0.03


def test_a_painting_carried_over_one_frame_alone_is_itself(texture: Frame) -> None:
    carried = carry_far(texture, [texture])
    assert (np.rint(carried.image * 255) == texture).all()
    assert carried.mask.min() == 1
