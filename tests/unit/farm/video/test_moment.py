"""The frame seen at a time is the one that a player shows then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from awkward import NAMES
from clips import Clip, make_clip, make_raw
from films import times_ms

from farm import video
from farm.contract.errors import InvalidClip
from farm.contract.excerpt import Excerpt
from farm.video import moment, timeline


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_is_seen_from_when_it_begins_until_the_next_one_does(clip_of: Callable[[str], Clip], name: str) -> None:
    path = clip_of(name).path
    whole, at_ms = video.index(path), times_ms(path)
    for number in {0, 1, whole.frame_count // 2, whole.frame_count - 1} & set(range(whole.frame_count)):
        last_ms = at_ms[number + 1] - 1 if number + 1 < whole.frame_count else at_ms[number]
        for time_ms in {max(at_ms[0], at_ms[number]), (at_ms[number] + last_ms) // 2, last_ms}:
            begins_ms = video.frame_shown(path, time_ms)
            assert begins_ms == at_ms[number]
            assert video.index(path, excerpt=Excerpt(begins_ms, begins_ms + 1)).pts == whole.pts[number : number + 1]


def test_without_a_time_it_is_one_amid_the_clip(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20).path
    assert video.frame_shown(path, None) == times_ms(path)[10]


def test_a_clip_without_timestamps_is_counted(tmp_path: Path) -> None:
    assert video.frame_shown(make_raw(tmp_path / "a.h264", 12), 215) == 200


def test_a_frame_that_stays_for_long_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It began before what is looked at first."""
    path = make_clip(tmp_path / "a.mp4", frames=20).path
    monkeypatch.setattr(moment, "LOOK_BACK_MS", 3)
    assert [video.frame_shown(path, time_ms) for time_ms in (160, 165, 199)] == [160, 160, 160]


def test_what_comes_long_before_it_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=240).path
    decoded, pictures_of = [], timeline.pictures_of
    monkeypatch.setattr(timeline, "pictures_of", lambda packet: (decoded.append(packet.pts), pictures_of(packet))[1])
    assert video.frame_shown(path, 9000) == 9000
    assert len(decoded) < 100


@pytest.mark.parametrize("time_ms", [800, 3000, 10**8])
def test_a_time_past_the_clips_end_is_refused(tmp_path: Path, time_ms: int) -> None:
    path = make_clip(tmp_path / "a.mp4", frames=20).path
    assert video.frame_shown(path, 799) == 760
    with pytest.raises(InvalidClip, match=r"a\.mp4 ends at 0:00\.8, before .*; give another --at"):
        video.frame_shown(path, time_ms)
