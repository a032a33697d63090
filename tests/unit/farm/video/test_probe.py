"""What a clip is, and every bad clip refused in one line."""

from __future__ import annotations

from fractions import Fraction

import av
import cv2
import pytest
from awkward import NAMES, REAL_CLIPS
from clips import make_clip, picture
from films import write_film

from farm import video
from farm.contract.errors import InvalidClip
from farm.contract.spec import Output


@pytest.mark.parametrize("name", NAMES)
def test_whole_clips_pass(clip_of, name):
    path = clip_of(name).path
    info, index = video.check(path), video.index(path)
    assert (info.width, info.height) == (index.width, index.height)
    assert info.time_base == index.time_base


@pytest.mark.parametrize("path", REAL_CLIPS, ids=lambda path: path.stem)
def test_real_clips_pass(path):
    assert video.check(path).declared_frames == video.index(path).frame_count


def test_a_clip_is_described(clip_of):
    info = video.probe(clip_of("constant rate with sound").path)
    assert (info.codec, info.declared_frames, info.duration_s, info.average_rate) == ("h264", 24, 0.96, (25, 1))
    assert [(track.codec, track.channels, track.rate_hz) for track in info.audio] == [("aac", 2, 48_000)]


def test_a_turn_is_told_clockwise(clip_of):
    assert video.probe(clip_of("turned").path).rotation_deg == 270  # made with 90 counter-clockwise


def test_a_small_clip_of_wide_pixels_is_refused_unless_it_is_painted_smaller(tmp_path):
    path = make_clip(tmp_path / "a.mp4", frames=2, size=(2048, 16), pixel_aspect=Fraction(16)).path
    with pytest.raises(InvalidClip, match=r"a.mp4 would be painted at 32768×16, .*; give --size 8192 or less$"):
        video.check(path)
    assert video.check(path, 8192).width == 32_768


def test_an_mp4_cut_in_its_pictures_is_refused_with_the_frames_it_has(clip_of, tmp_path):
    """With the index in front (faststart), a download that stopped half-way opens like a whole file."""
    clip = clip_of("B-frames")
    index = video.index(clip.path)
    film = tmp_path / "film.mp4"
    write_film(film, video.decode(clip.path, index, 0, 24), index, clip.path, Output())
    film.write_bytes(film.read_bytes()[:-300])
    with pytest.raises(InvalidClip, match=r"film.mp4 is cut short: \d+ of 24 frames are there; export or download it"):
        video.check(film)


def test_an_mp4_without_its_index_is_refused(clip_of, tmp_path):
    whole = clip_of("constant rate with sound").path.read_bytes()
    (tmp_path / "a.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InvalidClip, match=r"a.mp4 is cut short: its index \(the moov box\) is missing"):
        video.check(tmp_path / "a.mp4")


def test_a_matroska_file_cut_short_is_refused(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", frames=100)
    clip.path.write_bytes(clip.path.read_bytes()[: clip.path.stat().st_size // 2])
    with pytest.raises(InvalidClip, match=r"is cut short: \d\.\d of 4\.0 s are there"):
        video.check(clip.path)


def test_an_avi_cut_short_is_refused(tmp_path):
    clip = make_clip(tmp_path / "a.avi", codec="mpeg4", frames=60)
    clip.path.write_bytes(clip.path.read_bytes()[: clip.path.stat().st_size // 2])
    with pytest.raises(InvalidClip, match="is cut short"):
        video.check(clip.path)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("empty.mp4", b"", r"empty.mp4 is empty \(0 bytes\)"),
        ("text.mp4", b"not a video at all\n" * 40, "text.mp4 is not a video: it looks like text"),
        ("noise.mp4", bytes(range(256)) * 30, "noise.mp4 is not a video: no container"),
        ("list.m3u8", b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:///etc/passwd\n", "is not a video"),
        ("list.ffconcat", b"ffconcat version 1.0\nfile a.mp4\n", "is not a video"),
        ("list.mpd", b'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"></MPD>', "is not a video"),
        ("still.gif", b"GIF89a" + bytes(40), r"still.gif is a still image \(GIF\)"),
        ("still.mp4", b"\0\0\0\x20ftypavif" + bytes(40), r"is a still image \(AVIF\)"),
    ],
)
def test_what_is_no_clip_is_refused_in_one_line(tmp_path, name, content, why):
    (tmp_path / name).write_bytes(content)
    for look in (video.probe, video.check, video.index):
        with pytest.raises(InvalidClip, match=why) as caught:
            look(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert caught.value.path == str(tmp_path / name)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tiff", ".webp"])
def test_images_are_called_images_whatever_their_name(tmp_path, suffix):
    image = tmp_path / f"a{suffix}"
    assert cv2.imwrite(str(image), picture(0))
    image.rename(tmp_path / "a.mp4")
    with pytest.raises(InvalidClip, match="is a still image"):
        video.probe(tmp_path / "a.mp4")


def test_a_missing_file_a_folder_and_an_address_are_refused(tmp_path):
    with pytest.raises(InvalidClip, match="does not exist"):
        video.probe(tmp_path / "none.mp4")
    with pytest.raises(InvalidClip, match="is not a file"):
        video.probe(tmp_path)
    for address in ("http://127.0.0.1/a.mp4", "rtmp://127.0.0.1/a"):
        with pytest.raises(InvalidClip, match="is an address"):
            video.probe(address)
    for protocol in ("concat:a.mp4|b.mp4", "subfile,,start,0,end,9,,:a.mp4", "data:video/mp4;base64,AA"):
        with pytest.raises(InvalidClip, match="does not exist"):
            video.probe(protocol)


def test_sound_without_pictures_is_refused(clip_of, tmp_path):
    only = tmp_path / "a.mp4"
    with av.open(str(clip_of("constant rate with sound").path)) as source, av.open(str(only), "w") as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(audio=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    with pytest.raises(InvalidClip, match="has no video in it, only sound"):
        video.probe(only)


def test_a_clip_longer_than_the_limit_is_refused(clip_of):
    with pytest.raises(InvalidClip, match=r"is 1 s long, more than 0 s; cut it"):
        video.probe(clip_of("B-frames").path, limits=video.Limits(duration_s=0.4))


def test_a_file_one_may_not_read_is_refused(clip_of, tmp_path, monkeypatch):
    import pathlib

    def refuse(*_args, **_kwargs):
        raise PermissionError(13, "Permission denied")

    path = clip_of("B-frames").path
    monkeypatch.setattr(pathlib.Path, "open", refuse)
    with pytest.raises(InvalidClip, match="can't be read: Permission denied; check its permissions"):
        video.probe(path)
