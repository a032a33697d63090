"""Cuts are where our own clips were cut, and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from awkward import REAL_CLIPS
from clips import make_clip, picture, pictures

from farm import video
from farm.motion import LEAST_CONTRAST, contrast, luma
from farm.shots import MIN_SHOT_FRAMES, SHOWS, CutDetector, find_cuts


@pytest.mark.parametrize("cuts", [(), (12,), (10, 30), (8, 16, 24, 32, 40)])
def test_cuts_are_found(cuts):
    assert find_cuts(pictures(60, cuts=cuts)) == cuts


def test_a_cut_just_after_a_cut_is_a_flash():
    assert find_cuts(pictures(60, cuts=(20, 23))) == (20,)


def test_a_single_frame_and_no_frame_have_no_cut():
    assert find_cuts(pictures(1)) == ()
    assert find_cuts([]) == ()


def test_a_still_picture_has_no_cut():
    assert find_cuts([np.full((64, 96, 3), 90, np.uint8)] * 40) == ()


def test_a_fast_pan_has_no_cut():
    assert find_cuts(list(pictures(120, size=(96, 64)))[::4]) == ()


BLACK, WHITE = 0, 255


def faded(scene: int, levels: Sequence[float], ground: int = BLACK) -> list[np.ndarray]:
    """A panning scene over an even ground, as bright as the levels say."""
    shown = [picture(number, scene=scene).astype(np.float32) for number in range(len(levels))]
    return [
        np.rint(ground + (image - ground) * level).astype(np.uint8) for image, level in zip(shown, levels, strict=True)
    ]


def down(frames: int) -> list[float]:
    """Twelve steady frames, then `frames` of a fade; the last shows nothing."""
    return [1.0] * 12 + [1 - (number + 1) / frames for number in range(frames)]


@pytest.mark.parametrize("ground", [BLACK, WHITE], ids=["black", "white"])
@pytest.mark.parametrize("between", [0, 1, 12])
@pytest.mark.parametrize("fade", [1, 4, 12, 25, 50])
def test_a_fade_through_nothing_is_one_cut_at_its_last_empty_frame(fade: int, between: int, ground: int):
    out, nothing, into = down(fade), [0.0] * between, down(fade)[::-1]
    film = faded(0, out, ground) + faded(0, nothing, ground) + faded(1, into, ground)
    (cut,) = find_cuts(film)
    assert 0 <= cut - len(out) - between <= fade // 20  # a twentieth of the light is as good as none


@pytest.mark.parametrize("lost", [1, 2, 20])
def test_after_lost_frames_a_shot_begins(lost: int):
    scene = list(pictures(40))
    assert find_cuts(scene[:20] + [np.zeros_like(scene[0])] * lost + scene[20:]) == (19 + lost,)


def test_flashes_in_the_dark_are_no_shots_of_their_own():
    lights = [float(number % 4 == 0) for number in range(60)]
    cuts = find_cuts(faded(0, lights))
    assert cuts
    assert min(later - earlier for earlier, later in pairwise([0, *cuts])) >= MIN_SHOT_FRAMES


@pytest.mark.parametrize("empty", [1, MIN_SHOT_FRAMES - 3])
@pytest.mark.parametrize("fade", [1, 10, 40])
def test_a_clip_that_fades_in_at_its_beginning_and_out_at_its_end_is_one_shot(fade: int, empty: int):
    nothing = [0.0] * empty
    assert find_cuts(faded(0, [*nothing, *down(fade)[::-1][1:], *down(fade), *[0.0] * 30])) == ()


@pytest.mark.parametrize("empty", [MIN_SHOT_FRAMES + 1, 300])
def test_a_film_that_shows_nothing_at_first_has_its_first_picture_in_a_shot_of_its_own(empty: int):
    """Painted on from black frames, it would be covered by what was painted on those."""
    assert find_cuts(faded(0, [*[0.0] * empty, *[1.0] * 20])) == (empty - 1,)


@pytest.mark.parametrize("levels", [(0.1, 1.0), (1.0, 0.1)], ids=["before it", "after it"])
def test_a_dim_picture_and_a_bright_one_are_parted_by_black_frames(levels: tuple[float, float]):
    dim = faded(0, [min(levels)] * 40)[0]
    assert LEAST_CONTRAST < contrast(luma(dim)) < SHOWS
    films = [faded(scene, [level] * 40) for scene, level in enumerate(levels)]
    assert find_cuts([*films[0], *faded(0, [0.0] * 6), *films[1]]) == (45,)


def test_cuts_of_a_film_in_the_dark_are_kept_beside_its_fades():
    scenes = [image // 12 for image in pictures(60, cuts=(20, 40))]  # shows something, too little to hold it by
    cuts = find_cuts(scenes)
    assert len(cuts) == 2
    assert find_cuts(scenes + faded(0, [0.0] * 30)) == cuts


def test_a_variable_rate_changes_nothing(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=40, vfr=True, cuts=(14,))
    detector = CutDetector()
    video.index(clip.path, detector.add)
    assert detector.cuts() == (14,)


@pytest.mark.parametrize("path", REAL_CLIPS, ids=lambda path: path.stem)
def test_real_clips_are_cut_where_one_sees_it(path):
    """Seen by eye: the film of bikes has five cuts, the others are one shot."""
    seen = {"bikes": (30, 76, 137, 187, 242)}
    detector = CutDetector()
    video.index(path, detector.add)
    assert detector.cuts() == seen.get(path.stem, ())


def test_motion_is_how_much_a_frame_differs_from_the_one_before() -> None:
    still, white = np.full((64, 96, 3), 90, np.uint8), np.full((64, 96, 3), 100, np.uint8)
    detector = CutDetector()
    for number, image in enumerate([still, still, white, *pictures(3)]):
        detector.add(number, image)
    assert detector.motion[:3] == [0, 0, 1000]  # ten grey levels
    assert min(detector.motion[-2:]) > 0


def test_motion_of_ribbons_is_measured_too() -> None:
    detector = CutDetector()
    for number in range(2):
        detector.add(number, np.full((2, 256, 3), 50 * number, np.uint8))
    assert detector.motion == [0, 5000]
