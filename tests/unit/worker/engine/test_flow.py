"""Flows over many frames, and paintings carried along them, on pictures whose motion is known."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import cv2
import numpy as np
import synthetic

from farm.contract.params import FlowMethod
from farm.motion import consistent, flow_pair, inside, luma, round_trip
from worker.engine import Frame, carry, carry_far
from worker.engine.flow import LongFlow, Motion, alike, composed, flow_steps, motion_between

METHODS = list(FlowMethod)


def pan(height: int, width: int, dx: float, dy: float) -> np.ndarray:
    return np.broadcast_to(np.array([dx, dy], np.float32), (height, width, 2)).copy()


def window(texture: Frame, left: int, top: int = 0) -> Frame:
    """A `(64, 80)` camera on the texture."""
    return np.ascontiguousarray(texture[top : top + 64, left : left + 80])


def test_what_is_not_trusted_came_into_sight() -> None:
    trusted = np.ones((4, 10), np.bool_)
    trusted[:, :3] = False
    assert abs(Motion(pan(4, 10, 0, 0), trusted).bare - 0.3) < 1e-6


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
        long_flow.add(pan(8, 10, 2, 0), round_trip(pan(8, 10, 2, 0), pan(8, 10, -2, 0)))
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


def dim_pan(lefts: Iterable[int]) -> list[Frame]:
    """Frames of a dim scene, its contrast 6 in steps of 1/255 beside noise of 3."""
    rng = np.random.default_rng(1)
    scene = cv2.GaussianBlur(rng.normal(size=(160, 240, 3)), (0, 0), 8)
    scene *= 6 / scene.std()
    seen = [110 + scene[8:152, left : left + 208] for left in lefts]
    return [(one + rng.normal(scale=3.0, size=one.shape)).clip(0, 255).astype(np.uint8) for one in seen]


def test_a_dim_noisy_pan_is_carried_nearly_whole_and_by_its_own_motion() -> None:
    before, now = dim_pan([10, 12])
    flow_ba, flow_ab = flow_pair(luma(before), luma(now), FlowMethod.DIS)
    fine, motion = consistent(flow_ba, flow_ab), motion_between(before, now)
    assert fine.mean() < 0.85  # two fine estimates do not agree
    assert motion.trusted.mean() > 0.95
    added = motion.trusted & ~fine
    assert np.abs(motion.flow_ba - pan(144, 208, 2, 0))[added].mean() < 0.15
    assert np.array_equal(motion.flow_ba[fine], flow_ba[fine])


def test_over_many_dim_noisy_frames_a_way_is_not_lost_frame_by_frame() -> None:
    frames = dim_pan(range(8, 29, 2))
    fine = LongFlow((144, 208))
    for before, now in pairwise(frames):
        flow_ba, flow_ab = flow_pair(luma(before), luma(now), FlowMethod.DIS)
        fine.add(flow_ba, round_trip(flow_ba, flow_ab))
    long = LongFlow((144, 208))
    for motion in flow_steps(frames, FlowMethod.DIS):
        long.add(motion.flow_ba, motion.trusted)
    there = inside(pan(144, 208, 20, 0))
    assert fine.trust[there].mean() < 0.3
    assert long.trust[there].mean() > 0.9
    fine_wrong, wrong = (np.linalg.norm(one.flow - pan(144, 208, 20, 0), axis=-1) for one in (fine, long))
    assert wrong[there & long.trust].mean() < 1.1 * fine_wrong[there & fine.trust].mean()


def test_what_comes_into_sight_is_hardly_trusted_more_for_a_broad_estimate() -> None:
    clip = synthetic.layers((320, 180), 6)
    frames, known = list(clip.frames()), [motion for motion in clip.motions() if motion is not None]
    fine_hidden, hidden, wrong = [], [], []
    for before, now, truth in zip(frames, frames[1:], known[-5:], strict=False):
        fine = consistent(*flow_pair(luma(before), luma(now), FlowMethod.DIS))
        motion = motion_between(before, now)
        added = motion.trusted & ~fine
        fine_hidden.append(fine[~truth.trust].mean())
        hidden.append(motion.trusted[~truth.trust].mean())
        wrong.append((np.abs(motion.flow_ba - truth.flow_ba).max(axis=2) > 1)[added & truth.trust].sum() / added.size)
    assert np.mean(hidden) < np.mean(fine_hidden) + 0.03
    assert np.mean(wrong) < 1e-3


def test_what_looks_otherwise_than_the_flow_says_is_not_alike() -> None:
    before = np.full((32, 48, 3), 100, np.uint8)
    now = before.copy()
    now[:, 24:, 2] += 51  # a fifth, in one channel
    same = alike(before, now, pan(32, 48, 0, 0))
    assert same[:, :20].all()
    assert not same[:, 24:].any()


def test_farnebacks_motion_is_its_own(texture: Frame) -> None:
    before, now = window(texture, 8), window(texture, 11)
    flow_ba, flow_ab = flow_pair(luma(before), luma(now), FlowMethod.FARNEBACK)
    motion = motion_between(before, now, FlowMethod.FARNEBACK)
    assert np.array_equal(motion.flow_ba, flow_ba)
    assert np.array_equal(motion.trusted, consistent(flow_ba, flow_ab))
