"""Judging flows against the exact motion of synthetic clips."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import synthetic

from farm.contract.errors import InvalidParameter
from farm.measure.flow import EstimatedMotion, KnownMotion, Motion

SIZE = (160, 96)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as threads:
        yield threads


def uniform(x: float, y: float, size_hw: tuple[int, int] = (8, 12)) -> np.ndarray:
    return np.full((*size_hw, 2), (x, y), np.float32)


@pytest.mark.parametrize("step_px", [3.0, 2.5, 40.0])
def test_a_pan_is_found_and_trusted_however_fast(step_px: float, pool: ThreadPoolExecutor) -> None:
    clip = synthetic.pan(SIZE, 2, step_px)
    before, now = clip.frames()
    motion, exact = EstimatedMotion(pool).motion(before, now, cut=False), clip.motion_at(1)
    assert motion is not None
    assert exact is not None
    trusted = motion.trust & exact.trust
    assert trusted.sum() > 0.85 * exact.trust.sum()
    assert np.linalg.norm(motion.flow_ba - exact.flow_ba, axis=-1)[trusted].mean() < 0.15
    assert (motion.trust & ~exact.trust).sum() <= 0.02 * trusted.size  # what was not in the last frame is not trusted


def test_zoom_and_rotation_are_found(pool: ThreadPoolExecutor) -> None:
    clip = synthetic.zoom_rotation(SIZE, 10)
    frames = list(clip.frames())
    motion, exact = EstimatedMotion(pool).motion(frames[8], frames[9], cut=False), clip.motion_at(9)
    assert motion is not None
    assert exact is not None
    assert np.median(np.linalg.norm(motion.flow_ba - exact.flow_ba, axis=-1)[motion.trust]) < 0.15


def test_of_what_was_covered_in_the_last_frame_less_is_trusted(pool: ThreadPoolExecutor) -> None:
    """Where an even sky was bared, both ways agree in part, and that counts as error, in every film alike."""
    clip = synthetic.layers((320, 180), 2, (0.0, -8.0))
    before, now = clip.frames()
    motion, exact = EstimatedMotion(pool).motion(before, now, cut=False), clip.motion_at(1)
    assert motion is not None
    assert exact is not None
    assert motion.trust[exact.trust].mean() > 0.9
    assert motion.trust[~exact.trust].mean() < 0.6  # 0.92 by Farneback


def test_at_a_cut_there_is_no_motion(pool: ThreadPoolExecutor) -> None:
    before, now = synthetic.pan(SIZE, 2).frames()
    assert EstimatedMotion(pool).motion(before, now, cut=True) is None


@pytest.mark.parametrize("size_wh", [(16, 16), (33, 18)])
def test_tiny_frames_have_flow_of_their_size(size_wh: tuple[int, int], pool: ThreadPoolExecutor) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size_wh[::-1], 3), dtype=np.uint8)
    motion = EstimatedMotion(pool).motion(frame, frame, cut=False)
    assert motion is not None
    assert motion.flow_ba.shape == (*size_wh[::-1], 2)
    assert np.abs(motion.flow_ba).max() < 0.2  # nothing moved


def test_exact_motion_is_trusted_but_at_boundaries_and_outside() -> None:
    flow = uniform(1, 0)
    flow[:, 6:, 0] = 4
    trust = np.ones((8, 12), np.bool_)
    trust[0] = False
    frame = np.zeros((8, 12, 3), np.uint8)
    motion = KnownMotion([Motion(flow, trust)]).motion(frame, frame, cut=False)
    assert motion is not None
    assert not motion.trust[0].any()
    assert not motion.trust[:, 5:7].any()
    assert not motion.trust[:, 8:].any()
    assert motion.trust[1:, :5].all()


def test_too_few_exact_flows_are_refused() -> None:
    frame = np.zeros((8, 12, 3), np.uint8)
    judge = KnownMotion([None])
    assert judge.motion(frame, frame, cut=False) is None
    with pytest.raises(InvalidParameter, match="fewer exact flows"):
        judge.motion(frame, frame, cut=False)


def test_exact_flow_of_another_size_is_refused() -> None:
    frame = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(InvalidParameter, match="the exact flow is 12×8, the film 4×4"):
        KnownMotion([Motion(uniform(0, 0), np.ones((8, 12), np.bool_))]).motion(frame, frame, cut=False)
