"""Flow between two pictures, and where it can be trusted."""

from __future__ import annotations

import numpy as np
import pytest
import synthetic

from farm.contract.params import FlowMethod
from farm.motion import (
    camera_shift,
    consistent,
    flow_estimate,
    flow_pair,
    inside,
    luma,
    motion_boundary,
    round_trip,
)

SIZE = (160, 96)


def uniform(x: float, y: float, size_hw: tuple[int, int] = (8, 12)) -> np.ndarray:
    return np.full((*size_hw, 2), (x, y), np.float32)


@pytest.mark.parametrize("method", FlowMethod)
def test_the_flow_of_a_pan_points_to_the_other_picture(method: FlowMethod) -> None:
    # The camera goes 4 px right and 2 px down: what is at (x, y) now was at (x + 4, y + 2) before.
    canvas = luma(next(synthetic.pan((120, 90), 1).frames()))
    before, now = np.ascontiguousarray(canvas[4:68, 8:88]), np.ascontiguousarray(canvas[6:70, 12:92])
    flow_ba, flow_ab = flow_pair(before, now, method)
    assert flow_ba.shape == (64, 80, 2)
    assert flow_ba.dtype == np.float32
    np.testing.assert_allclose(np.median(flow_ba, axis=(0, 1)), [4, 2], atol=0.25)
    np.testing.assert_allclose(np.median(flow_ab, axis=(0, 1)), [-4, -2], atol=0.25)


@pytest.mark.parametrize("method", FlowMethod)
def test_a_pan_of_40_px_is_found_in_a_small_frame(method: FlowMethod) -> None:
    before, now = (luma(frame) for frame in synthetic.pan((192, 108), 2, 40.0).frames())
    flow_ba, flow_ab = flow_pair(before, now, method)
    trust = consistent(flow_ba, flow_ab)
    assert trust.mean() > 0.7  # 0.79 of the frame was there before
    assert np.abs(flow_ba[trust] - (40, 0)).mean() < 0.3


@pytest.mark.parametrize("method", FlowMethod)
@pytest.mark.parametrize("step_px", [3.0, 2.5, 40.0])
def test_a_pan_is_trusted_where_it_was_seen_however_fast(method: FlowMethod, step_px: float) -> None:
    clip = synthetic.pan(SIZE, 2, step_px)
    before, now = (luma(frame) for frame in clip.frames())
    exact = clip.motion_at(1)
    assert exact is not None
    flow_ba, flow_ab = flow_pair(before, now, method)
    trust = consistent(flow_ba, flow_ab)
    both = trust & exact.trust
    assert both.sum() > 0.85 * exact.trust.sum()
    assert np.linalg.norm(flow_ba - exact.flow_ba, axis=-1)[both].mean() < 0.15
    assert (trust & ~exact.trust).sum() <= 0.02 * both.size  # what was not in the last frame is not trusted


@pytest.mark.parametrize("method", FlowMethod)
def test_zoom_and_rotation_are_found(method: FlowMethod) -> None:
    clip = synthetic.zoom_rotation(SIZE, 10)
    before, now = (luma(frame) for frame in list(clip.frames())[8:])
    exact = clip.motion_at(9)
    assert exact is not None
    flow_ba, flow_ab = flow_pair(before, now, method)
    assert np.median(np.linalg.norm(flow_ba - exact.flow_ba, axis=-1)[consistent(flow_ba, flow_ab)]) < 0.15


def test_what_was_covered_in_the_last_frame_is_hardly_trusted() -> None:
    """By DIS. Farnebäck's windows smooth over a bared sky, and both ways agree."""
    clip = synthetic.layers((320, 180), 2, (0.0, -8.0))
    before, now = (luma(frame) for frame in clip.frames())
    exact = clip.motion_at(1)
    assert exact is not None
    trust = consistent(*flow_pair(before, now, FlowMethod.DIS))
    assert trust[exact.trust].mean() > 0.9
    assert trust[~exact.trust].mean() < 0.5


@pytest.mark.parametrize("method", FlowMethod)
@pytest.mark.parametrize("size_wh", [(16, 16), (33, 18)])
def test_tiny_frames_have_flow_of_their_size(method: FlowMethod, size_wh: tuple[int, int]) -> None:
    gray = luma(np.random.default_rng(0).integers(0, 256, (*size_wh[::-1], 3), dtype=np.uint8))
    flow = flow_estimate(gray, gray, method)
    assert flow.shape == (*size_wh[::-1], 2)
    assert np.abs(flow).max() < 0.2  # nothing moved


@pytest.mark.parametrize("shift", [(7, 0), (-3, 5), (0, -11), (0, 0)])
def test_the_camera_shift_is_where_most_of_the_picture_went(shift: tuple[int, int]) -> None:
    canvas = luma(next(synthetic.pan((200, 140), 1).frames()))
    x, y = shift
    a, b = canvas[20:110, 20:160], canvas[20 - y : 110 - y, 20 - x : 160 - x]
    assert camera_shift(a, b) == shift


def test_a_flow_that_starts_from_a_shift_is_relative_to_the_picture_as_it_is() -> None:
    before, now = (luma(frame) for frame in synthetic.pan(SIZE, 2, 6.0).frames())
    flow = flow_estimate(now, before, FlowMethod.DIS, (6, 0))
    assert np.abs(np.median(flow, axis=(0, 1)) - (6, 0)).max() < 0.05


def test_a_round_trip_that_closes_is_trusted_and_one_that_does_not_is_not() -> None:
    flow = uniform(2, 0)
    assert round_trip(flow, -flow)[:, :10].all()
    assert not round_trip(flow, -flow)[:, 10:].any()  # two columns come from outside
    assert not round_trip(flow, uniform(0, 0)).any()  # |w + ŵ|² = 4 ≥ 0.01·4 + 0.5


def test_a_pan_is_trusted_where_it_stays_in_the_frame() -> None:
    trusted = consistent(uniform(3, 0), uniform(-3, 0))
    assert trusted[:, :9].all()
    assert not trusted[:, 9:].any()


def test_a_step_in_the_flow_is_a_boundary() -> None:
    flow = uniform(0, 0)
    flow[:, 6:, 0] = 1
    found = motion_boundary(flow)
    assert found[:, 5:7].all()  # |∇u|² = 0.25 > 0.012
    assert not found[:, :5].any()
    assert not found[:, 7:].any()


def test_the_last_row_and_column_are_inside() -> None:
    assert inside(uniform(0, 0)).all()
    assert inside(uniform(1, 0)).sum() == 8 * 11
    assert inside(uniform(0, -0.5)).sum() == 7 * 12
