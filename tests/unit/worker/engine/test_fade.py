"""Shots that fade in: found, and a painting of what comes into sight carried back to where nothing is seen yet."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from farm.contract.params import FlowMethod
from worker.engine import Frame, Machine
from worker.engine.fade import Opening, fade_frames, opening
from worker.engine.flow import carry, carry_far
from worker.engine.machine import ONE_CORE

DARK, FADE, AFTER = 3, 8, 4
THERE = DARK + FADE
"""Number of the first frame in full light."""


def shot(texture: Frame, levels: list[float], *, ground: int = 0) -> list[Frame]:
    """A `(64, 80)` camera that goes right by a pixel a frame, in light of these levels over an even ground."""
    frames = [texture[:64, left : left + 80].astype(np.float32) for left in range(len(levels))]
    return [
        np.rint(ground + (frame - ground) * level).astype(np.uint8) for frame, level in zip(frames, levels, strict=True)
    ]


def fading(texture: Frame, ground: int = 0) -> list[Frame]:
    levels = [0.0] * DARK + [(number + 1) / (FADE + 1) for number in range(FADE)] + [1.0] * AFTER
    return shot(texture, levels, ground=ground)


def opened(frames: list[Frame], method: FlowMethod = FlowMethod.DIS, machine: Machine = ONE_CORE) -> Opening:
    count = fade_frames(iter(frames), method)
    assert count
    return opening(frames[: count + 1], method, machine)


@pytest.mark.parametrize("method", FlowMethod)
@pytest.mark.parametrize("ground", [0, 255], ids=["black", "white"])
def test_a_shot_that_fades_in_opens_where_it_is_there(texture: Frame, ground: int, method: FlowMethod) -> None:
    found = opened(fading(texture, ground), method)
    assert found.frames == THERE
    assert np.array_equal(found.content, texture[:64, THERE : THERE + 80])


def test_a_painting_is_carried_back_to_the_first_frame_in_its_place(texture: Frame) -> None:
    found = opened(fading(texture))
    carried = found.carried(255 - found.content)
    # While nothing was to be seen, nothing is known of the motion: there the painting stands still.
    wanted = 255 - texture[:64, DARK : DARK + 80]
    trusted = carried.mask > 0.5
    assert trusted[:, 12:-4].mean() > 0.9
    assert not trusted[:, : FADE - 3].any(), "what left the picture before the shot was there"
    assert np.abs(carried.image * 255 - wanted)[trusted].mean() < 5


def test_several_threads_find_the_same_opening(texture: Frame) -> None:
    one, several = (opened(fading(texture), machine=Machine(threads=threads)) for threads in (1, 4))
    assert one.frames == several.frames
    assert np.array_equal(one.flow_sl, several.flow_sl)
    assert np.array_equal(one.trusted, several.trusted)


def linear(frames: int) -> list[float]:
    return [number / frames for number in range(frames)] + [1.0] * 16


@pytest.mark.parametrize("frames", [1, 4, 16, 25, 40, 60])
def test_a_fade_of_any_usual_length_is_followed_to_where_the_shot_is_there(texture: Frame, frames: int) -> None:
    still = [texture[:64, :80]] * (frames + 16)
    lit = [np.rint(frame * level).astype(np.uint8) for frame, level in zip(still, linear(frames), strict=True)]
    assert 0.94 * frames <= fade_frames(iter(lit)) <= frames


def test_a_fade_with_frames_shown_twice_is_followed_as_well(texture: Frame) -> None:
    lit = shot(texture, linear(16))
    twice = [frame for frame in lit for _ in range(2)]
    assert fade_frames(iter(twice)) == 2 * fade_frames(iter(lit))


@pytest.mark.parametrize("levels", [[1.0] * 6, [1.0, 0.8, 0.6, 0.4, 0.2, 0.0], [0.5, 0.52, 0.54, 0.56]], ids=str)
def test_a_steady_shot_and_one_that_fades_out_open_with_their_first_frame(texture: Frame, levels: list[float]) -> None:
    assert fade_frames(iter(shot(texture, levels))) == 0


def test_a_camera_that_turns_to_something_is_no_fade(texture: Frame) -> None:
    """The contrast of the whole picture grows, that of what two frames both show does not."""
    wall = np.full((64, 112, 3), 127, np.uint8)
    wall[:, 40:60] = 160  # it shows something, too
    scene = np.hstack([wall, texture[:64]])
    camera = [np.ascontiguousarray(scene[:, left : left + 80]) for left in range(0, 80, 6)]
    stds = [float(frame.std()) for frame in camera]
    assert max(later / earlier for earlier, later in pairwise(stds)) > 1.1
    assert fade_frames(iter(camera)) == 0


def test_a_shot_that_shows_nothing_opens_with_its_first_frame(texture: Frame) -> None:
    assert fade_frames(iter(shot(texture, [0.0] * 5))) == 0
    assert fade_frames(iter(shot(texture, [0.0]))) == 0


def test_no_more_of_a_fade_is_looked_at_than_its_bound(texture: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.engine.fade.FADE_FRAMES", 3)
    given: list[int] = []

    def source() -> Iterator[Frame]:
        for number, frame in enumerate(fading(texture)):
            given.append(number)
            yield frame

    assert fade_frames(source()) == DARK + 3
    assert given[-1] == DARK + 3


def test_where_nothing_is_seen_a_painting_stands_still(texture: Frame) -> None:
    painted, black = texture[:64, :80], np.zeros((64, 80, 3), np.uint8)
    shown = texture[:64, 4:84]
    for before, now in ((shown, black), (black, black), (black, shown)):
        carried = carry(painted, before, now)
        assert carried.mask.all()
        assert np.array_equal(np.rint(carried.image * 255), painted)
    far = carry_far(painted, [shown, black, black, shown])
    assert far.mask.all()
    assert np.array_equal(np.rint(far.image * 255), painted)
