"""The painter: the same bytes each time, and every kind of frame."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest

from farm.contract.errors import LeaseLost, PermanentError
from farm.contract.params import Params
from worker.engine import Carried, Frame, Network, Painter, StepProgress, carry, stylize
from worker.engine.pixels import image_from_frame
from worker.engine.stylize import COARSE_STEPS, FINE_STEPS, OPENING_PASSES, pyramid_sizes

FEW = Params(steps=4, steps_anchor=3, steps_next=3)


def painter(network: Network, style: Frame, content: Frame, params: Params = FEW) -> Painter:
    return Painter(network, params, style, size_hw=(content.shape[0], content.shape[1]), device="cpu")


def test_the_same_frame_is_painted_to_the_same_bytes(network: Network, texture: Frame, stripes: Frame) -> None:
    first = painter(network, stripes, texture).paint_first(texture)
    second = painter(network, stripes, texture).paint_first(texture)
    assert first.frame.tobytes() == second.frame.tobytes()
    assert first.losses == second.losses


def test_a_following_frame_does_not_depend_on_what_the_painter_did_before(
    network: Network, texture: Frame, stripes: Frame
) -> None:
    carried = carry(texture, texture, np.roll(texture, 2, axis=1))
    fresh = painter(network, stripes, texture).paint_next(texture, carried)
    used = painter(network, stripes, texture)
    used.paint_first(texture)
    assert used.paint_next(texture, carried).frame.tobytes() == fresh.frame.tobytes()


def test_another_seed_paints_other_strokes(network: Network, texture: Frame, stripes: Frame) -> None:
    frames = [painter(network, stripes, texture, Params(steps=2, seed=s)).paint_first(texture).frame for s in (0, 1)]
    assert (frames[0] != frames[1]).any()


def test_a_painting_takes_on_the_colours_of_its_style(network: Network, texture: Frame) -> None:
    red = np.zeros((64, 64, 3), np.uint8)
    red[..., 0] = 220
    red[::4, :, 0] = 120
    grey = np.repeat(texture.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
    painted = painter(network, red, grey, Params(steps=60)).paint_first(grey)
    means = painted.frame.reshape(-1, 3).mean(axis=0)
    assert means[0] > means[1:].max() + 25
    assert painted.frame.shape == grey.shape
    assert painted.frame.dtype == np.uint8


def test_carried_paint_stays_and_bare_places_are_painted(network: Network, texture: Frame, stripes: Frame) -> None:
    params = Params(steps_next=12, temporal_weight=1000.0)
    mask = np.ones(texture.shape[:2], np.float32)
    mask[:, 56:] = 0
    paint = np.full((*texture.shape[:2], 3), 0.25, np.float32)
    frame = painter(network, stripes, texture, params).paint_next(texture, Carried(paint, mask)).frame / 255
    changed = np.abs(frame - texture / 255)
    assert np.abs(frame - 0.25)[:, :48].mean() < 0.05
    assert changed[:, 64:].mean() > 0.05


def test_full_cover_needs_the_finest_level_only_and_no_more_steps(
    network: Network, texture: Frame, stripes: Frame
) -> None:
    wide = np.tile(texture, (1, 2, 1))[:, :176]
    size = wide.shape[:2]
    artist = painter(network, stripes, wide, Params(steps_next=1))
    covered = Carried(np.zeros((*size, 3), np.float32), np.ones(size, np.float32))
    bare = Carried(np.zeros((*size, 3), np.float32), np.zeros(size, np.float32))
    assert artist.paint_next(wide, covered).steps == 1
    assert artist.paint_next(wide, bare).steps == COARSE_STEPS + FINE_STEPS


def test_an_anchor_gets_no_more_steps_for_bare_places_than_any_frame(
    network: Network, texture: Frame, stripes: Frame
) -> None:
    wide = np.tile(texture, (1, 2, 1))[:, :176]
    bare = Carried(np.zeros((*wide.shape[:2], 3), np.float32), np.zeros(wide.shape[:2], np.float32))
    artist = painter(network, stripes, wide, Params(steps_next=1, steps_anchor=3))
    assert artist.paint_anchor(wide, bare).steps == COARSE_STEPS + 2 + FINE_STEPS


def test_an_anchor_and_its_lead_in_take_more_steps_where_they_are_worth_it(
    network: Network, texture: Frame, stripes: Frame
) -> None:
    covered = Carried(np.zeros((*texture.shape[:2], 3), np.float32), np.ones(texture.shape[:2], np.float32))
    artist = painter(network, stripes, texture, Params(steps_next=10, steps_anchor=4))
    assert [artist.paint_lead(texture, covered, effort).steps for effort in (0.0, 0.5, 1.0)] == [7, 8, 10]
    assert [artist.paint_anchor(texture, covered, effort).steps for effort in (0.0, 0.5, 1.0)] == [4, 5, 6]


def test_the_less_is_bare_the_fewer_more_steps_are_taken(network: Network, texture: Frame, stripes: Frame) -> None:
    mask = np.ones((80, 176), np.float32)
    mask[:10] = 0  # an eighth: half of BARE_FULL, so 2 · (1 + 3/2) coarse steps and 2 · (1 + 2/2) fine ones
    wide = np.tile(texture, (1, 2, 1))[:, :176]
    half_bare = Carried(np.zeros((80, 176, 3), np.float32), mask)
    assert painter(network, stripes, wide, Params(steps_next=2)).paint_next(wide, half_bare).steps == 5 + 4


def test_extra_steps_are_taken_on_the_finest_level_alone(network: Network, texture: Frame, stripes: Frame) -> None:
    wide = np.tile(texture, (1, 2, 1))[:, :176]
    bare = Carried(np.zeros((80, 176, 3), np.float32), np.zeros((80, 176), np.float32), extra=0.5)
    artist = painter(network, stripes, wide, Params(steps_next=2))
    assert artist.paint_next(wide, bare).steps == 2 * (COARSE_STEPS + FINE_STEPS + 0.5)
    covered = replace(bare, mask=np.ones((80, 176), np.float32))
    assert artist.paint_next(wide, covered).steps == 2 * 1.5


@pytest.mark.parametrize(
    ("rows", "lately", "steps"),
    [(0, 0.125, 4), (0, 0.5, 6), (10, 0.0, 5 + 4), (10, 0.0625, 5 + 5), (10, 0.5, 5 + 6), (80, 0.5, 8 + 6)],
)
def test_what_came_into_sight_lately_takes_steps_like_what_is_bare_on_the_finest_level_alone(
    network: Network, texture: Frame, stripes: Frame, rows: int, lately: float, steps: int
) -> None:
    mask = np.ones((80, 176), np.float32)
    mask[:rows] = 0  # ten of 80 are half of BARE_FULL
    wide = np.tile(texture, (1, 2, 1))[:, :176]
    carried = Carried(np.zeros((80, 176, 3), np.float32), mask, lately=lately)
    assert painter(network, stripes, wide, Params(steps_next=2)).paint_next(wide, carried).steps == steps


def test_progress_counts_every_step_of_every_level(network: Network, texture: Frame, stripes: Frame) -> None:
    wide = np.tile(texture, (1, 2, 1))[:, :176]
    seen: list[StepProgress] = []
    painter(network, stripes, wide, Params(steps=2)).paint_still(wide, on_step=seen.append)
    assert seen == [StepProgress(level, 2, step, 2) for level in (1, 2) for step in (1, 2)]


def test_a_first_frame_is_painted_on_like_those_that_follow(network: Network, texture: Frame, stripes: Frame) -> None:
    artist, seen = painter(network, stripes, texture), list[StepProgress]()
    first = artist.paint_first(texture, on_step=seen.append)
    frame = artist.paint_still(texture).frame
    for _ in range(OPENING_PASSES):
        everywhere = np.ones(frame.shape[:2], np.float32)
        frame = artist.paint_next(texture, Carried(image_from_frame(frame), everywhere)).frame
    assert first.frame.tobytes() == frame.tobytes()
    assert first.steps == len(seen) == FEW.steps + OPENING_PASSES * FEW.steps_next


def test_what_on_step_raises_ends_the_painting_at_once(network: Network, texture: Frame, stripes: Frame) -> None:
    seen: list[StepProgress] = []

    def lost(progress: StepProgress) -> None:
        seen.append(progress)
        raise LeaseLost("another executor holds the task")

    with pytest.raises(LeaseLost):
        painter(network, stripes, texture).paint_first(texture, on_step=lost)
    assert len(seen) == 1


def test_a_loss_that_is_no_number_is_an_error_and_no_frame(network: Network, texture: Frame, stripes: Frame) -> None:
    size = texture.shape[:2]
    broken = Carried(np.full((*size, 3), np.nan, np.float32), np.ones(size, np.float32))
    with pytest.raises(PermanentError, match="learning-rate"):
        painter(network, stripes, texture).paint_next(texture, broken)


@pytest.mark.parametrize("size_hw", [(16, 16), (17, 31), (90, 50)])
def test_frames_of_any_size_are_painted(
    network: Network, texture: Frame, stripes: Frame, size_hw: tuple[int, int]
) -> None:
    content = np.ascontiguousarray(np.tile(texture, (2, 1, 1))[: size_hw[0], : size_hw[1]])
    painted = painter(network, stripes, content, Params(steps=1)).paint_first(content)
    assert painted.frame.shape == (*size_hw, 3)


def test_a_still_needs_no_painter(texture: Frame, stripes: Frame) -> None:
    assert stylize(texture, stripes, Params(steps=1)).shape == texture.shape


@pytest.mark.parametrize(
    ("size_hw", "levels", "sizes"),
    [
        ((288, 512), 6, [(72, 128), (144, 256), (288, 512)]),
        ((1080, 1920), 6, [(68, 120), (135, 240), (270, 480), (540, 960), (1080, 1920)]),
        ((1080, 1920), 2, [(540, 960), (1080, 1920)]),
        ((54, 96), 6, [(54, 96)]),
        ((180, 320), 6, [(45, 80), (90, 160), (180, 320)]),
        ((100, 1920), 6, [(12, 240), (25, 480), (50, 960), (100, 1920)]),  # a ribbon: 6 px are too few for VGG19
        ((16, 1280), 6, [(8, 640), (16, 1280)]),
    ],
)
def test_the_coarsest_level_is_80_to_159_px_long_and_at_least_8_wide(
    size_hw: tuple[int, int], levels: int, sizes: list[tuple[int, int]]
) -> None:
    assert pyramid_sizes(size_hw, levels) == sizes


def test_bare_places_are_painted_on_a_coarse_level_also_where_first_frames_have_but_one(
    network: Network, stripes: Frame
) -> None:
    content = np.zeros((96, 160, 3), np.uint8)
    steps: list[StepProgress] = []
    bare = Carried(np.zeros((96, 160, 3), np.float32), np.zeros((96, 160), np.float32))
    one = painter(network, stripes, content, Params(steps=1, steps_next=1, pyramid=1))
    one.paint_still(content, on_step=steps.append)
    assert [(step.level, step.levels) for step in steps] == [(1, 1)]
    steps.clear()
    with patch.object(one, "_objective", wraps=one._objective) as objectives:
        one.paint_next(content, bare, on_step=steps.append)
    assert {(step.level, step.levels) for step in steps} == {(1, 2), (2, 2)}
    assert [call.args[0].shape[:2] for call in objectives.call_args_list] == [(48, 80), (96, 160)]


def test_a_blended_frame_settles_where_it_was_mixed_and_nowhere_else(
    network: Network, texture: Frame, stripes: Frame
) -> None:
    weight = np.zeros(texture.shape[:2], np.float32)
    weight[:, 60:] = 0.5
    settled = painter(network, stripes, texture, Params(steps_settle=4)).settle(texture, texture, weight)
    assert settled.steps == 4
    assert (settled.frame[:, :48] == texture[:, :48]).all()
    assert (settled.frame[:, 72:] != texture[:, 72:]).any()


def test_the_more_of_a_frame_was_mixed_the_more_steps_it_settles(
    network: Network, texture: Frame, stripes: Frame
) -> None:
    weight, steps = np.zeros(texture.shape[:2], np.float32), []
    for share in (0.0, 0.05, 0.1, 0.2, 1.0):
        weight[:, : round(share * texture.shape[1])] = 0.5
        settled = painter(network, stripes, texture, Params(steps_settle=8)).settle(texture, texture, weight)
        assert settled.losses["style"] > 0
        steps.append(settled.steps)
    assert steps == [0, 2, 4, 8, 8]


def test_a_blended_frame_may_be_left_as_it_is(network: Network, texture: Frame, stripes: Frame) -> None:
    whole = np.ones(texture.shape[:2], np.float32)
    settled = painter(network, stripes, texture, Params(steps_settle=0)).settle(texture, texture, whole)
    assert (settled.frame == texture).all()
    assert settled.losses["style"] > 0


def test_at_no_pace_carried_paint_stays_and_bare_places_are_painted(
    network: Network, texture: Frame, stripes: Frame
) -> None:
    mask = np.ones(texture.shape[:2], np.float32)
    mask[:, 80:] = 0
    still = Carried((texture / 255).astype(np.float32), mask, pace=0.0)
    frame = painter(network, stripes, texture, Params(steps_next=4, pyramid=1)).paint_next(texture, still).frame
    assert (frame[:, :64] == texture[:, :64]).all()
    assert (frame[:, 96:] != texture[:, 96:]).any()
