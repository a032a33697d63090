"""Cuts are where our own clips were cut, and nowhere else."""

from __future__ import annotations

import numpy as np
import pytest
from awkward import REAL_CLIPS
from clips import make_clip, pictures

from farm import video
from farm.shots import CutDetector, find_cuts


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
