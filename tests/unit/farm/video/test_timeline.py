"""The index finds every frame's time, as the hand that wrote the clip knows it."""

from __future__ import annotations

from fractions import Fraction

import pytest
from awkward import NAMES
from clips import make_clip, make_raw

from farm import shots, video
from farm.contract.codec import from_json, to_json
from farm.contract.errors import InvalidClip, UnknownVersion
from farm.video.stamps import Stamps


@pytest.mark.parametrize("name", NAMES)
def test_every_frame_has_the_time_it_was_written_with(clip_of, name):
    clip = clip_of(name)
    index = video.index(clip.path)
    assert [pts * index.seconds_per_tick for pts in index.pts] == [pts * clip.time_base for pts in clip.pts]
    assert index.seekable
    assert index.origin == 0


def test_the_last_frame_keeps_its_duration(clip_of):
    clip = clip_of("variable rate")
    assert video.index(clip.path).durations == (*(b - a for a, b in zip(clip.pts, clip.pts[1:], strict=False)), 512)


def test_sizes_are_those_a_player_shows(clip_of, tmp_path):
    assert _size(clip_of("turned").path) == (64, 96)
    assert _size(clip_of("odd size").path) == (97, 63)
    wide = make_clip(tmp_path / "wide.mp4", frames=2, pixel_aspect=Fraction(4, 3))
    assert _size(wide.path) == (128, 64)


def test_an_index_survives_json_and_keeps_its_sha256(clip_of):
    index = video.index(clip_of("open GOP").path)
    again = from_json(video.FrameIndex, to_json(index))
    assert again == index
    assert again.sha256 == index.sha256


def test_an_index_of_another_version_is_refused(clip_of):
    plain = to_json(video.index(clip_of("single frame").path)).replace(b'"version":1', b'"version":99')
    with pytest.raises(UnknownVersion, match="99"):
        from_json(video.FrameIndex, plain)


def test_a_watcher_sees_every_frame_once_and_small(tmp_path):
    clip = make_clip(tmp_path / "big.mp4", frames=5, size=(512, 128))
    seen = []
    video.index(clip.path, lambda number, image: seen.append((number, image.shape)))
    assert seen == [(number, (64, 256, 3)) for number in range(5)]


def test_a_stream_whose_frames_change_shape_is_watched_at_one_size(tmp_path):
    """As in a broadcast that goes from 4:3 to 16:9."""
    parts = [make_clip(tmp_path / f"{size[0]}.ts", frames=6, size=size, start=start).path
             for size, start in (((96, 64), 0), ((64, 96), 90_000))]  # fmt: skip
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(part.read_bytes() for part in parts))
    detector = shots.CutDetector()
    assert video.index(both, detector.add).frame_count == 12
    assert len(detector.motion) == 12


def test_a_clip_without_timestamps_is_counted(tmp_path):
    raw = make_raw(tmp_path / "a.h264", 12)
    index = video.index(raw)
    assert index.frame_count == 12
    assert all(a < b for a, b in zip(index.pts, index.pts[1:], strict=False))
    whole = list(video.decode(raw, index, 0, 12))
    assert (next(video.decode(raw, index, 7, 8)) == whole[7]).all()


def test_a_recording_with_an_arbitrary_clock_gets_an_origin(tmp_path):
    clip = make_clip(tmp_path / "a.ts", frames=4, start=90_000 * 3600)
    index = video.index(clip.path)
    assert index.film_pts[0] == 0
    assert index.pts[0] == 90_000 * 3600


@pytest.mark.parametrize(
    ("suffix", "how", "to_s"),
    [
        ("mpg", {"codec": "mpeg2video", "time_base": Fraction(1, 25), "audio": "mp2"}, 0.54),
        ("vob", {"codec": "mpeg2video", "time_base": Fraction(1, 25)}, 0.54),
        ("ts", {"b_frames": 2, "start": 12_600}, 0.14),
        ("mkv", {"b_frames": 2, "start": 140}, 0.14),
    ],
)
def test_a_clip_whose_clock_starts_again_is_refused_in_one_line(tmp_path, suffix, how, to_s):
    """Two clips of 40 frames strung together byte by byte, as DVD files are."""
    clip, both = make_clip(tmp_path / f"a.{suffix}", frames=40, **how), tmp_path / f"both.{suffix}"
    both.write_bytes(clip.path.read_bytes() * 2)
    from_s = to_s + 39 / 25
    why = rf"{both}: its clock jumps back at frame 40, from {from_s:.3f} s to {to_s:.3f} s; remux it \(ffmpeg [^\n]*$"
    for look in (video.check, video.index):
        with pytest.raises(InvalidClip, match=why) as caught:
            look(both)
        assert caught.value.path == str(both)


def test_as_many_frames_out_of_order_as_damaged_clips_have_are_borne():
    for wrong in ([50], [50] * 16, [*range(40, 50)], [99] * 60):
        stamps = Stamps("a.mp4", Fraction(1, 100))
        for pts in (*range(100), *wrong, None, *range(100, 200), *wrong[:16], 300):
            stamps.add(pts)


def test_a_clock_that_starts_again_for_more_frames_than_that_is_refused():
    stamps = Stamps("a.mp4", Fraction(1, 100))
    for pts in (*range(100), None, 50, 99, *range(60, 75)):
        stamps.add(pts)
    with pytest.raises(InvalidClip, match=r"at frame 101, from 0\.990 s to 0\.500 s"):
        stamps.add(75)


def test_packets_of_b_frames_are_in_order_by_their_dts():
    stamps = Stamps("a.mp4", Fraction(1, 100))
    for dts, pts in enumerate((0, 40, *range(1, 40))):
        stamps.add(dts, pts)


def test_packets_that_are_decoded_at_odd_times_and_shown_at_the_right_ones_are_borne():
    stamps = Stamps("a.mp4", Fraction(1, 100))
    for pts in range(40):
        stamps.add(-pts, pts)


def test_more_frames_than_the_limit_are_refused_in_one_line(clip_of):
    with pytest.raises(InvalidClip, match=r"has 24 frames, more than 10; cut it$"):
        video.index(clip_of("B-frames").path, limits=video.Limits(frames=10))
    with pytest.raises(InvalidClip, match=r"more than 10 frames; cut it$"):
        video.index(clip_of("MPEG-TS that starts at 1.4 s").path, limits=video.Limits(frames=10))


def test_a_picture_larger_than_the_limit_is_refused(clip_of):
    with pytest.raises(InvalidClip, match="96×64, more than 6143 pixels"):
        video.index(clip_of("B-frames").path, limits=video.Limits(pixels=96 * 64 - 1))


def _size(path):
    index = video.index(path)
    return index.width, index.height
