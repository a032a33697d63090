"""Flows over many frames, and paintings carried along them, on pictures whose motion is known."""

from __future__ import annotations

import numpy as np

from farm.contract.params import FlowMethod
from worker.engine import Frame, carry, carry_far
from worker.engine.flow import LongFlow, composed

METHODS = list(FlowMethod)


def pan(height: int, width: int, dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (height, width, 2)).copy()


def window(texture: Frame, left: int, top: int = 0) -> Frame:
    """A `(64, 80)` camera on the texture."""
    return np.ascontiguousarray(texture[top : top + 64, left : left + 80])


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
