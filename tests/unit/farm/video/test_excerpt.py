"""A part of a clip: its frames are the clip's own, to the bit, and its film has the part's sound and titles."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from awkward import CLIPS, NAMES, REAL_CLIPS
from clips import make_clip, make_raw
from films import film_of, packets_of, times_ms, times_of

from farm import shots, video
from farm.contract.codec import from_json, to_json
from farm.contract.errors import InvalidClip
from farm.contract.excerpt import Excerpt
from farm.contract.spec import Codec
from farm.video import timeline


@pytest.fixture
def decoded_packets(monkeypatch) -> list[int | None]:
    """The PTS of each packet that indexing has decoded."""
    found, pictures_of = [], timeline.pictures_of

    def counted(packet):
        found.append(packet.pts)
        return pictures_of(packet)

    monkeypatch.setattr(timeline, "pictures_of", counted)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_the_frames_of_a_part_are_those_of_the_whole(clip_of, name):
    path = clip_of(name).path
    whole, at_ms = video.index(path), times_ms(path)
    images = list(video.decode(path, whole, 0, whole.frame_count))
    count = whole.frame_count
    for start, stop in {(0, 1), (count // 3, 2 * count // 3 + 1), (count // 2, count), (max(0, count - 2), count - 1)}:
        if start == stop:
            continue
        stop_ms = at_ms[stop] if stop < count else None
        index = video.index(path, excerpt=Excerpt(at_ms[start], stop_ms) if start or stop_ms else Excerpt(0, 10**6))
        assert index.pts == whole.pts[start:stop]
        assert index.durations == whole.durations[start:stop]
        assert index.film_pts[0] == 0
        assert index.part is not None
        assert from_json(video.FrameIndex, to_json(index)) == index
        for first in range(index.frame_count):  # wherever a chunk begins
            found = video.decode(path, index, first, min(index.frame_count, first + 2))
            for image, wanted in zip(found, images[start + first : start + first + 2], strict=False):
                assert (image == wanted).all()


@pytest.mark.parametrize("name", ["NTSC rate", "variable rate", "MPEG-TS that starts at 1.4 s"])
def test_parts_that_follow_each_other_have_each_frame_once(clip_of, name):
    path = clip_of(name).path
    whole = video.index(path)
    edges = [0, 1, 33, 34, 66, 67, 68, 201, 500, None]
    found = []
    for start_ms, stop_ms in pairwise(edges):
        with suppress(InvalidClip):  # between two frames
            found += video.index(path, excerpt=Excerpt(start_ms, stop_ms)).pts
    assert tuple(found) == whole.pts


def test_a_time_to_the_millisecond_is_that_of_the_frame_it_was_read_from(tmp_path):
    """At 29.97 frames a second frame 1 begins at 33.367 ms, frame 2 at 66.733."""
    clip = make_clip(tmp_path / "a.mp4", frames=4, fps=Fraction(30000, 1001), time_base=Fraction(1, 30000))
    assert video.index(clip.path, excerpt=Excerpt(33, 67)).pts == clip.pts[1:2]
    assert video.index(clip.path, excerpt=Excerpt(34, 68)).pts == clip.pts[2:3]


def test_a_part_of_a_clip_without_timestamps_is_counted(tmp_path):
    raw = make_raw(tmp_path / "a.h264", 12)
    whole = video.index(raw)
    images = list(video.decode(raw, whole, 0, 12))
    index = video.index(raw, excerpt=Excerpt(200, 320))
    assert (index.part.frames_before, index.frame_count) == (5, 3)
    for number in range(3):
        assert (next(video.decode(raw, index, number, number + 1)) == images[5 + number]).all()


LONG = 72
AMID = [name for name in NAMES if CLIPS[name][1].get("frames") != 1]


@pytest.mark.parametrize("name", AMID)
def test_what_comes_long_before_a_part_is_not_decoded(tmp_path, name, decoded_packets):
    """Each frame wanted is as it is when the whole clip is decoded, wherever among the keyframes the part begins."""
    suffix, how = CLIPS[name]
    path = make_clip(tmp_path / f"a.{suffix}", **{**how, "frames": LONG}).path
    whole, at_ms = video.index(path), times_ms(path)
    assert len(decoded_packets) >= LONG
    for start in (39, 40, 41, 47, 63):
        decoded_packets.clear()
        index = video.index(path, excerpt=Excerpt(at_ms[start], at_ms[start + 5]))
        assert index.pts == whole.pts[start : start + 5]
        assert index.checksums == whole.checksums[start : start + 5]
        assert (index.seekable, index.sound != ()) == (True, whole.sound != ())
        assert len(decoded_packets) < 5 + 8 * 4 + 8  # three GOPs before it, and what comes out of order
        for other in (index, replace(index, keyframe_pts=())):
            found = video.decode(path, other, 2, 4)
            wanted = video.decode(path, whole, start + 2, start + 4)
            assert all((a == b).all() for a, b in zip(found, wanted, strict=True))


@pytest.mark.parametrize(("codec", "suffix"), [("mpeg4", "mp4"), ("libx264", "nut"), ("libvpx-vp9", "nut")])
@pytest.mark.parametrize("lies", ["every packet", "some that are none"])
def test_a_container_that_calls_any_packet_a_keyframe_is_decoded_from_its_start(
    tmp_path, codec, suffix, lies, decoded_packets
):
    clip = make_clip(tmp_path / "a.mkv", frames=LONG, gop=LONG if lies == "every packet" else 36, codec=codec)
    path = tmp_path / f"lies.{suffix}"
    with av.open(str(clip.path)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is not None:
                packet.stream = stream
                packet.is_keyframe = packet.is_keyframe or lies == "every packet" or number % 5 == 0
                target.mux(packet)
    whole, at_ms = video.index(path), times_ms(path)
    decoded_packets.clear()
    index = video.index(path, excerpt=Excerpt(at_ms[60], at_ms[66]))
    assert index.checksums == whole.checksums[60:66]
    assert len(decoded_packets) > 60


def test_frames_without_times_amid_packets_that_have_some_are_counted(tmp_path, monkeypatch, decoded_packets):
    """As the decoder of some damaged clips gives them: what is found by counting needs all that comes before."""
    path = make_clip(tmp_path / "a.mp4", frames=LONG).path
    whole, pictures_of = video.index(path), timeline.pictures_of

    def without(packet):
        frames = pictures_of(packet)
        for frame in frames:
            frame.pts = None if frame.pts == whole.pts[50] else frame.pts
        return frames

    monkeypatch.setattr(timeline, "pictures_of", without)
    decoded_packets.clear()
    index = video.index(path, excerpt=Excerpt(1600, 2400))
    assert len(decoded_packets) > 60
    assert (index.seekable, index.part.frames_before, index.checksums) == (False, 40, whole.checksums[40:60])
    wanted = list(video.decode(path, whole, 45, 47))
    assert all((a == b).all() for a, b in zip(video.decode(path, index, 5, 7), wanted, strict=True))


@pytest.mark.parametrize("path", REAL_CLIPS, ids=lambda path: path.stem)
def test_a_part_of_a_real_clip_and_one_whose_seeks_go_wrong(path):
    whole, at_ms = video.index(path), times_ms(path)
    start = whole.frame_count // 2
    index = video.index(path, excerpt=Excerpt(at_ms[start], at_ms[start + 5]))
    assert index.checksums == whole.checksums[start : start + 5]
    size = video.frame_size(index.width, index.height, 96)
    wanted = list(video.decode(path, whole, start, start + 5, size))
    nowhere = replace(index, keyframe_pts=())  # so the only way is from the clip's start
    for one in (index, nowhere):
        assert all((a == b).all() for a, b in zip(video.decode(path, one, 0, 5, size), wanted, strict=True))


def test_cuts_are_counted_from_the_part_s_first_frame(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=48, cuts=(24,))
    detector = shots.CutDetector()
    video.index(clip.path, detector.add, excerpt=Excerpt(400))
    assert detector.cuts() == (14,)


@pytest.mark.parametrize(
    ("excerpt", "why"),
    [
        (Excerpt(960), "no frame from 0:00.96: its last one begins at 0:00.92; give another --from or --to"),
        (Excerpt(961, 2000), "no frame 0:00.961 to 0:02: its last one begins at 0:00.92; give another --from or --to"),
    ],
)
def test_a_part_beyond_the_clip_is_refused_at_the_submit(clip_of, excerpt, why):
    path = clip_of("B-frames").path
    for look in (video.check, video.index):
        with pytest.raises(InvalidClip) as caught:
            look(path, excerpt=excerpt)
        assert str(caught.value) == f"{path} has {why}"
    assert video.check(path, excerpt=Excerpt(920)).declared_frames == 24


def test_a_part_between_two_frames_is_refused_in_the_plan(clip_of):
    path = clip_of("B-frames").path
    with pytest.raises(InvalidClip, match=r"no frame 0:00\.041 to 0:00\.079: the next one begins at 0:00\.08;"):
        video.index(path, excerpt=Excerpt(41, 79))


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("sound", ["aac", "libopus", "flac", "pcm_s16le"])
@pytest.mark.parametrize("excerpt", [Excerpt(400, 1200), Excerpt(1000), Excerpt(0, 600)], ids=str)
def test_a_part_has_its_sound_in_time(tmp_path, codec, sound, excerpt):
    """A tone that is heard at once, without a gap, from the film's first frame to its end."""
    clip = make_clip(tmp_path / "a.mkv", frames=50, audio=sound, b_frames=2)
    film, index, result = film_of(clip.path, tmp_path, codec, excerpt=excerpt)
    assert video.read_back(film, index, left_out=result.left_out) == ()
    assert times_of(film)[0] == 0
    seconds = index.duration_s
    assert seconds == ((excerpt.stop_ms or 2000) - excerpt.start_ms) / 1000
    packets = packets_of(film, "audio")
    assert -0.05 < float(packets[0][0]) < 0.1
    assert seconds - 0.1 < float(packets[-1][0]) < seconds + 0.1  # an encoder ends with what it held back
    with av.open(str(film)) as container:
        assert abs(container.duration / 1e6 - seconds) < 0.15
        levels = [np.abs(frame.to_ndarray()).mean() for frame in container.decode(audio=0)]
    assert min(levels[3:-3]) > 0.5 * max(levels)


def test_sound_is_that_of_the_part(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", frames=50, audio="aac")
    film, _, _ = film_of(clip.path, tmp_path, excerpt=Excerpt(520, 1480))
    own = {data: at_s for at_s, data in packets_of(clip.path, "audio")}
    shifts = {round(own[data] - at_s, 2) for at_s, data in packets_of(film, "audio")}
    assert shifts == {Fraction(52, 100)}


def test_a_part_that_the_sound_does_not_reach_is_silent(tmp_path):
    for codec in Codec:
        clip = make_clip(tmp_path / "a.mkv", frames=50, audio="aac", audio_start_s=1.0)
        film, index, result = film_of(clip.path, tmp_path, codec, excerpt=Excerpt(0, 400))
        assert index.sound == ()
        assert video.read_back(film, index, left_out=result.left_out) == ()
        assert video.index(film).frame_count == 10


@pytest.mark.parametrize("codec", [Codec.H264, Codec.FFV1])
def test_titles_begin_and_end_with_the_part(tmp_path, codec):
    texts = [
        (0.1, 0.3, "before"),
        (0.2, 0.8, "over its beginning"),
        (1.0, 1.2, "in it"),
        (1.4, 2.0, "over its end"),
        (1.9, 2.0, "after"),
    ]
    clip = make_clip(tmp_path / "a.mkv", frames=50, subtitles=texts)
    film, _, _ = film_of(clip.path, tmp_path, codec, excerpt=Excerpt(400, 1600))
    with av.open(str(film)) as container:
        base = container.streams.subtitles[0].time_base
        found = [
            (round(float(packet.pts * base), 3), round(float((packet.pts + packet.duration) * base), 3), bytes(packet))
            for packet in container.demux(subtitles=0)
            if packet.size > 2  # MP4 fills what is between with empty ones
        ]
    assert [(begin, end) for begin, end, _ in found] == [(0.0, 0.4), (0.6, 0.8), (1.0, 1.2)]
    for (_, _, data), text in zip(found, ("over its beginning", "in it", "over its end"), strict=True):
        assert text.encode() in data


def test_what_is_said_of_a_clock_that_starts_late_is_not_said_of_a_part(tmp_path):
    clip = make_clip(tmp_path / "a.mp4", frames=24, start=7200 * 12_800)
    _, _, whole = film_of(clip.path, tmp_path)
    (tmp_path / "part").mkdir()
    _, _, part = film_of(clip.path, tmp_path / "part", excerpt=Excerpt(200, 600))
    assert len(whole.notices) == 1
    assert part.notices == ()


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "avi"])
def test_sound_long_after_a_part_is_not_read(tmp_path, monkeypatch, suffix):
    """The film is the same, byte for byte."""
    path = make_clip(tmp_path / f"a.{suffix}", frames=500, audio="aac" if suffix != "avi" else "mp3").path
    excerpt, read, films = Excerpt(2000, 2400), {}, {}
    for far in (False, True):
        (tmp_path / str(far)).mkdir()
        if far:
            monkeypatch.setattr(timeline, "INTERLEAVED_US", 10**12)
        film, index, info = film_of(path, tmp_path / str(far), excerpt=excerpt)
        beats = []
        assert video.index(path, excerpt=excerpt, on_beat=lambda beats=beats: beats.append(1)) == index
        read[far], films[far] = len(beats), (index, info.notices, film.read_bytes())
    assert films[False] == films[True]
    assert read[False] < 0.85 * read[True]


def test_titles_at_a_files_end_are_those_of_a_part_before_it(tmp_path, monkeypatch):
    """Matroska may have them there: sound alone does not say that what comes later is not in the part."""
    monkeypatch.setattr(timeline, "INTERLEAVED_US", 0)
    mixed = make_clip(tmp_path / "a.mkv", frames=400, audio="libopus", subtitles=[(2.1, 2.3, "here"), (3.0, 3.2, "no")])
    path = tmp_path / "late titles.mkv"
    with av.open(str(mixed.path)) as source, av.open(str(path), "w") as target:
        streams = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        read = [packet for packet in source.demux() if packet.dts is not None]
        for packet in sorted(read, key=lambda packet: packet.stream.type == "subtitle"):
            packet.stream = streams[packet.stream.index]
            target.mux_one(packet)
    film, _, _ = film_of(path, tmp_path, Codec.FFV1, excerpt=Excerpt(2000, 2400))
    assert [(float(at), data) for at, data in packets_of(film, "subtitle")] == [
        (pytest.approx(0.1, abs=0.002), b"here")
    ]
