"""Any range, exactly: the same pictures as a decode of the whole clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from awkward import NAMES, REAL_CLIPS
from clips import make_clip, picture
from hypothesis import given, settings
from hypothesis import strategies as st

from farm import video
from farm.contract.errors import InvalidClip, InvalidParameter


@pytest.mark.parametrize("name", NAMES)
def test_every_range_equals_its_slice_of_the_whole(clip_of, name):
    path = clip_of(name).path
    index = video.index(path)
    whole = list(video.decode(path, index, 0, index.frame_count))
    assert len(whole) == index.frame_count
    for start in range(index.frame_count):
        stop = min(index.frame_count, start + 1 + start % 7)
        assert _same(video.decode(path, index, start, stop), whole[start:stop]), (start, stop)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_range_of_a_long_variable_clip_equals_its_slice(long_clip, data):
    path, index, whole = long_clip
    start = data.draw(st.integers(0, index.frame_count))
    stop = data.draw(st.integers(start, index.frame_count))
    assert _same(video.decode(path, index, start, stop), whole[start:stop])


@pytest.mark.parametrize("path", REAL_CLIPS, ids=lambda path: path.stem)
def test_ranges_of_real_clips_equal_their_slices(path):
    index = video.index(path)
    size = video.frame_size(index.width, index.height, 96)
    whole = list(video.decode(path, index, 0, index.frame_count, size))
    for start in (1, index.frame_count // 2, index.frame_count - 3):
        assert _same(video.decode(path, index, start, start + 3, size), whole[start : start + 3])


def test_pictures_are_those_that_were_encoded(clip_of):
    """Coding costs some grey levels, a wrong frame more than ten."""
    clip = clip_of("B-frames")
    for number, image in enumerate(video.decode(clip.path, video.index(clip.path), 0, 24)):
        error = {n: np.abs(image.astype(int) - picture(n)).mean() for n in (number - 3, number, number + 3) if n >= 0}
        assert min(error, key=error.get) == number


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (-90, 3)])
def test_rotation_is_applied(tmp_path, rotation, turns):
    clip = make_clip(tmp_path / "a.mp4", frames=2, rotation=rotation)
    plain = make_clip(tmp_path / "b.mp4", frames=2)
    turned = next(video.decode(clip.path, video.index(clip.path), 0, 1))
    straight = next(video.decode(plain.path, video.index(plain.path), 0, 1))
    assert (turned == np.rot90(straight, turns)).all()  # np.rot90 turns counter-clockwise


def test_a_mirrored_clip_is_mirrored(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=1, hflip=True)
    plain = make_clip(tmp_path / "b.mp4", frames=1)
    mirrored = next(video.decode(clip.path, video.index(clip.path), 0, 1))
    assert (mirrored == next(video.decode(plain.path, video.index(plain.path), 0, 1))[:, ::-1]).all()


@pytest.mark.parametrize("tags", [(1, 1, 1, 1), (1, 1, 1, 2), (6, 6, 6, 1), (5, 6, 5, 1), (9, 14, 9, 1), (2, 2, 2, 0)])
def test_plain_colours_survive_each_matrix_and_range(tmp_path, tags):
    """A wrong matrix shifts these by 10 or more, a wrong range by 15."""
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 230, 230), (20, 20, 20)]
    images = [np.full((64, 96, 3), colour, np.uint8) for colour in colours]
    clip = make_clip(
        tmp_path / "a.mkv", frames=5, codec="ffv1", pix_fmt="yuv444p", color=tags, pictures_from=iter(images)
    )
    index = video.index(clip.path)
    if tags[0] == 9:  # BT.2020 is mapped to BT.709, which moves saturated colours on purpose: greys must stay
        images, numbers = images[3:], (3, 5)
    else:
        numbers = (0, 5)
    for image, wanted in zip(video.decode(clip.path, index, *numbers), images, strict=True):
        assert np.abs(image.astype(int) - wanted).max() <= 4


def test_scaling_averages(tmp_path):
    """Stripes one pixel wide are grey at half the size, not black or white."""
    stripes = np.zeros((64, 96, 3), np.uint8)
    stripes[:, ::2] = 255
    clip = make_clip(tmp_path / "a.mkv", frames=1, codec="ffv1", pix_fmt="bgr0", pictures_from=iter([stripes]))
    small = next(video.decode(clip.path, video.index(clip.path), 0, 1, (48, 32)))
    assert small.shape == (32, 48, 3)
    assert np.abs(small.astype(int) - 127).max() <= 3


def test_a_wrong_seek_is_noticed_and_mended(clip_of):
    """An index whose keyframes lie sends the seek astray; the frames come out right all the same."""
    clip = clip_of("B-frames")
    index = video.index(clip.path)
    liar = replace(index, keyframe_pts=index.pts)
    whole = list(video.decode(clip.path, index, 0, 24))
    assert _same(video.decode(clip.path, liar, 13, 20), whole[13:20])


def test_pictures_passed_over_are_heard_of(clip_of):
    clip, beats = clip_of("B-frames"), []
    unseekable = replace(video.index(clip.path), seekable=False)
    list(video.decode(clip.path, unseekable, 13, 16, on_beat=lambda: beats.append(None)))
    assert len(beats) == 16


def test_a_beat_may_end_the_decoding(clip_of):
    clip = clip_of("B-frames")

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        next(video.decode(clip.path, video.index(clip.path), 13, 16, on_beat=stop))


def test_another_clip_than_the_indexed_one_is_refused(clip_of):
    index = video.index(clip_of("variable rate").path)
    with pytest.raises(InvalidClip, match="not the clip that was indexed"):
        list(video.decode(clip_of("constant rate with sound").path, index, 3, 6))


def test_a_range_outside_the_clip_is_refused(clip_of):
    clip = clip_of("single frame")
    with pytest.raises(InvalidParameter, match="it has 1"):
        next(video.decode(clip.path, video.index(clip.path), 0, 2))


def test_an_empty_range_gives_no_frames(clip_of):
    clip = clip_of("single frame")
    assert list(video.decode(clip.path, video.index(clip.path), 1, 1)) == []


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "a.mkv"
    make_clip(path, frames=150, vfr=True, b_frames=3, open_gop=True, gop=24, size=(48, 32), start=40)
    index = video.index(path)
    return path, index, list(video.decode(path, index, 0, index.frame_count))


def _same(got, wanted):
    got = list(got)
    return len(got) == len(wanted) and all((a == b).all() for a, b in zip(got, wanted, strict=True))
