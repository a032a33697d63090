"""A clip read many times over: the same pictures, by a shorter way."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from awkward import NAMES
from clips import make_clip
from hypothesis import given, settings
from hypothesis import strategies as st

from farm import video
from farm.contract.errors import InvalidParameter
from farm.video import FrameIndex, Reel

GOP, FRAMES = 12, 48
FRAME_BYTES = 96 * 64 * 3


class Beats:
    """How many pictures were decoded, also of those passed over."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1

    def since(self) -> int:
        """How many since the last look."""
        count, self.count = self.count, 0
        return count


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FrameIndex, list[np.ndarray]]:
    path = make_clip(tmp_path_factory.mktemp("reel") / "a.mp4", frames=FRAMES, gop=GOP).path
    index = video.index(path)
    return path, index, list(video.decode(path, index, 0, FRAMES))


def reel_of(clip, **options) -> Reel:
    path, index, _ = clip
    return Reel(path, index, (index.width, index.height), **options)


def same(frames: Iterator[np.ndarray], wanted: list[np.ndarray]) -> bool:
    found = list(frames)
    return len(found) == len(wanted) and all(np.array_equal(a, b) for a, b in zip(found, wanted, strict=True))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_any_ranges_in_any_order_are_those_of_a_decode(clip, data):
    kept = data.draw(st.integers(0, FRAMES)) * FRAME_BYTES
    reel, whole = reel_of(clip, kept_bytes=kept), clip[2]
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, FRAMES))
        stop = data.draw(st.integers(start, FRAMES))
        assert same(reel.frames(start, stop), whole[start:stop]), (start, stop)


@pytest.mark.parametrize("name", NAMES)
def test_every_awkward_clip_in_short_ranges(clip_of, name):
    path = clip_of(name).path
    index = video.index(path)
    whole = list(video.decode(path, index, 0, index.frame_count))
    reel = Reel(path, index, (index.width, index.height), kept_bytes=0)
    for start in (*range(0, index.frame_count, 5), 0):
        stop = min(index.frame_count, start + 4)
        assert same(reel.frames(start, stop), whole[start:stop]), start


def test_a_range_that_goes_on_needs_no_way_from_the_key_frame(clip):
    reel, beats = reel_of(clip, kept_bytes=0), Beats()
    list(reel.frames(0, 6, beats))
    assert beats.since() == 6
    list(reel.frames(6, 9, beats))
    assert beats.since() == 3
    list(reel.frames(11, 12, beats))
    assert beats.since() == 3


def test_a_key_frame_between_is_the_shorter_way(clip):
    reel, beats = reel_of(clip), Beats()
    list(reel.frames(0, 2, beats))
    beats.since()
    assert same(reel.frames(30, 32, beats), clip[2][30:32])
    assert beats.since() == 32 - 24


def test_frames_lately_decoded_are_not_decoded_again(clip):
    reel, beats = reel_of(clip), Beats()
    list(reel.frames(3, 20, beats))
    beats.since()
    assert same(reel.frames(5, 20, beats), clip[2][5:20])
    assert not beats.count


def test_no_more_is_kept_than_allowed(clip):
    reel, beats = reel_of(clip, kept_bytes=4 * FRAME_BYTES), Beats()
    list(reel.frames(0, 12, beats))
    beats.since()
    list(reel.frames(8, 12, beats))
    assert not beats.count
    list(reel.frames(7, 8, beats))
    assert beats.count == 8


def test_two_threads_read_at_once(clip):
    reel, whole = reel_of(clip), clip[2]
    with ThreadPoolExecutor(4) as pool:
        ranges = [(start, min(FRAMES, start + 15)) for start in range(0, FRAMES, 3)]
        found = pool.map(lambda ends: list(reel.frames(*ends)), ranges)
        assert all(same(iter(got), whole[start:stop]) for got, (start, stop) in zip(found, ranges, strict=True))


def test_a_stop_ends_one_reading_and_no_other(clip):
    reel, whole = reel_of(clip, kept_bytes=0), clip[2]

    def cancelled() -> None:
        raise InterruptedError

    first = reel.frames(0, 20)
    assert np.array_equal(next(first), whole[0])
    with pytest.raises(InterruptedError):
        list(reel.frames(0, 4, cancelled))
    assert same(first, whole[1:20])
    assert same(reel.frames(0, 8), whole[:8])


def test_what_is_read_can_not_be_written_to(clip):
    frame = next(reel_of(clip).frames(0, 1))
    with pytest.raises(ValueError, match="read-only"):
        frame[0, 0] = 0


def test_frames_that_are_not_there_are_refused(clip):
    with pytest.raises(InvalidParameter, match=f"it has {FRAMES}"):
        list(reel_of(clip).frames(40, FRAMES + 1))
