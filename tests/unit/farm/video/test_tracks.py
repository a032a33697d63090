"""The film's sound and subtitles: copied where they can be, encoded anew where not; what is left out is told."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from clips import make_clip
from films import film_of, packets_of, times_of

from farm import video
from farm.contract.spec import Codec
from farm.video import profiles
from farm.video.tracks import CopiedTrack


def _levels(film):
    """How loud each channel is, of 1."""
    packed = av.AudioResampler(format="flt")
    with av.open(str(film)) as container:
        frames = [piece for frame in container.decode(audio=0) for piece in packed.resample(frame)]
        channels = container.streams.audio[0].codec_context.layout.nb_channels
    return np.concatenate([frame.to_ndarray().reshape(-1, channels) for frame in frames]).std(axis=0)


def test_sound_that_the_container_holds_is_copied_bit_for_bit(clip_of, tmp_path):
    clip = clip_of("constant rate with sound")
    film, _, result = film_of(clip.path, tmp_path)
    assert packets_of(film, "audio") == packets_of(clip.path, "audio")
    assert result.notices == ()


def test_opus_and_flac_are_copied_into_mp4(tmp_path):
    for codec in ("libopus", "flac", "ac3"):
        clip = make_clip(tmp_path / f"{codec}.mkv", audio=codec)
        film, _, result = film_of(clip.path, tmp_path)
        assert [data for _, data in packets_of(film, "audio")] == [data for _, data in packets_of(clip.path, "audio")]
        assert result.notices == ()


@pytest.mark.parametrize(
    ("sound", "suffix", "codec", "becomes"),
    [
        ("pcm_s16le", "mov", Codec.H264, "aac"),
        ("flac", "mkv", Codec.PRORES, "pcm_s16le"),
        ("vorbis", "mkv", Codec.H264, "aac"),
    ],
)
def test_sound_that_the_container_can_not_hold_is_encoded_anew_with_a_notice(tmp_path, sound, suffix, codec, becomes):
    clip = make_clip(tmp_path / f"a.{suffix}", audio=sound)
    film, index, result = film_of(clip.path, tmp_path, codec)
    assert len(result.notices) == 1
    assert re.search(rf"sound track 1 becomes {becomes}: .* can't hold {sound}", result.notices[0])
    assert video.read_back(film, index) == ()


def test_sound_encoded_anew_stays_in_time(tmp_path):
    """A click at 0.5 s into pictures that start at 0.4 s is where it was."""
    clip = make_clip(tmp_path / "a.mkv", audio="vorbis", start=400, frames=30)
    film, index, _ = film_of(clip.path, tmp_path)
    sound = video.index(film).sound[0]
    assert abs(sound.start_us - index.sound[0].start_us) < 30_000
    assert abs(sound.stop_us - index.sound[0].stop_us) < 30_000
    assert times_of(film)[0] == Fraction(4, 10)


@pytest.mark.parametrize("codec", [Codec.H264, Codec.FFV1, Codec.PRORES])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1", "5.0"])
@pytest.mark.parametrize(("suffix", "pictures"), [("avi", "mpeg4"), ("mkv", "libx264"), ("mov", "libx264")])
def test_pcm_is_heard_whatever_its_container_calls_its_channels(tmp_path, suffix, pictures, layout, codec):
    """AVI and Matroska call stereo "2 channels", which is no layout to AAC's encoder."""
    clip = make_clip(tmp_path / f"a.{suffix}", codec=pictures, audio="pcm_s16le", layout=layout, frames=12)
    film, index, result = film_of(clip.path, tmp_path, codec, joins=(6,))
    assert video.read_back(film, index, left_out=result.left_out) == ()
    assert result.left_out == ()
    with av.open(str(film)) as container:
        found = container.streams.audio[0].codec_context.layout
    assert _levels(film)[:3].min() > 0.1  # the fourth is the LFE, which AAC keeps low
    if codec is Codec.H264:
        assert found.name == {"5.0": "stereo"}.get(layout, layout)
    else:
        assert found.nb_channels == av.AudioLayout(layout).nb_channels


@pytest.mark.parametrize("joins", [(), (6,)])
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC])
@pytest.mark.parametrize(
    ("suffix", "pictures", "sound"),
    [("avi", "mpeg4", "pcm_u8"), ("mov", "libx264", "pcm_s16le"), ("mov", "libx264", "pcm_mulaw")],
)
def test_telephone_sound_is_heard_in_time(tmp_path, suffix, pictures, sound, codec, joins):
    """AAC at 8 kHz begins 128 ms early, with what its decoder throws away."""
    clip = make_clip(tmp_path / f"a.{suffix}", codec=pictures, audio=sound, sound_hz=8000, layout="mono")
    film, index, result = film_of(clip.path, tmp_path, codec, joins=joins)
    assert result.notices == (f"sound track 1 becomes aac: mp4 can't hold {sound}",)
    assert video.read_back(film, index) == ()
    with av.open(str(film)) as container:
        assert container.streams.audio[0].rate == 8000
    assert _levels(film) > 0.1


def test_channels_without_a_layout_keep_their_places(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", audio="pcm_s16le", layout="5.1", heard=(1,), frames=25)
    film, _, _ = film_of(clip.path, tmp_path)
    assert [level > 0.1 for level in _levels(film)] == [False, True, False, False, False, False]


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_sound_that_can_not_be_encoded_is_left_out_with_a_notice_and_the_film_is_made(tmp_path, suffix):
    """Nobody knows where nine speakers stand."""
    clip = make_clip(tmp_path / f"a.{suffix}", audio="pcm_s16le", layout="9 channels")
    film, index, result = film_of(clip.path, tmp_path)
    (notice,) = result.notices
    assert notice.startswith("sound track 1 (pcm_s16le) is left out: no aac can be made of it (")
    assert result.left_out == index.sound
    assert video.read_back(film, index, left_out=result.left_out) == ()
    for left_out in ((), (video.Sound("another", 0, 1),)):
        (odd,) = video.read_back(film, index, left_out=left_out)
        assert odd.startswith("the film has 0 sound tracks, the clip 1")
    with av.open(str(film)) as container:
        assert [stream.type for stream in container.streams] == ["video"]


def test_of_two_sound_tracks_the_one_that_goes_is_kept_and_read_back(tmp_path):
    first = make_clip(tmp_path / "first.mkv", audio="pcm_s16le", layout="9 channels")
    second = make_clip(tmp_path / "second.mkv", audio="pcm_s16le", frames=20)
    both = tmp_path / "both.mkv"
    with av.open(str(first.path)) as one, av.open(str(second.path)) as two, av.open(str(both), "w") as out:
        streams = [(one, one.streams.video[0]), (one, one.streams.audio[0]), (two, two.streams.audio[0])]
        copies = [out.add_stream_from_template(stream) for _, stream in streams]
        for (container, stream), copy in zip(streams, copies, strict=True):
            container.seek(0)
            for packet in container.demux(stream):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
    film, index, result = film_of(both, tmp_path)
    assert [sound.stop_us // 100_000 for sound in index.sound] == [9, 7]
    assert result.left_out == index.sound[:1]
    assert ["left out" in notice for notice in result.notices] == [True, False]
    assert video.read_back(film, index, left_out=result.left_out) == ()
    assert len(video.index(film).sound) == 1


def test_sound_that_the_muxer_does_not_take_after_all_is_encoded_anew(tmp_path, monkeypatch):
    """MOV's muxer refuses Opus only when the header is written: too late, if it were the film's."""
    monkeypatch.setattr(profiles, "MOV", replace(profiles.MOV, sounds=profiles.MOV.sounds | {"opus"}))
    film, index, result = film_of(make_clip(tmp_path / "a.mkv", audio="libopus").path, tmp_path, Codec.PRORES)
    assert result.notices == ("sound track 1 becomes pcm_s16le: mov can't hold opus",)
    assert video.read_back(film, index) == ()


def test_text_subtitles_become_those_of_mp4(clip_of, tmp_path):
    film, _, result = film_of(clip_of("Matroska with opus and subtitles").path, tmp_path)
    with av.open(str(film)) as container:
        stream = container.streams.subtitles[0]
        packets = [packet for packet in container.demux(stream) if packet.size > 2]
        texts = [event.ass.split(b",", 8)[-1] for packet in packets for event in packet.decode()]
    assert [round(float(packet.pts * packet.time_base), 3) for packet in packets] == [0.1, 0.6]
    assert [re.sub(rb"\{[^}]*\}", b"", text) for text in texts] == [b"Hello", b"Good bye"]
    assert result.notices == ("subtitles track 2 becomes mov_text: mp4 can't hold subrip",)


def test_subtitles_are_copied_into_matroska(clip_of, tmp_path):
    clip = clip_of("Matroska with opus and subtitles")
    film, _, result = film_of(clip.path, tmp_path, Codec.FFV1)
    assert packets_of(film, "subtitle") == packets_of(clip.path, "subtitle")
    assert result.notices == ()


def test_two_subtitles_of_one_instant_are_both_kept(tmp_path):
    texts = [(0.1, 0.5, "Hello"), (0.1, 0.4, "What?"), (0.6, 0.8, "Good bye")]
    clip = make_clip(tmp_path / "a.mkv", subtitles=texts)
    film, _, result = film_of(clip.path, tmp_path, Codec.FFV1)
    assert [data.decode() for _, data in packets_of(film, "subtitle")] == [text for _, _, text in texts]
    assert result.notices == ()


def test_two_subtitles_of_one_instant_are_one_of_two_lines_in_mp4(tmp_path):
    """MP4 shows one at a time: the first would be there for no time at all."""
    texts = [(0.1, 0.5, "Hello"), (0.1, 0.4, "What?"), (0.6, 0.8, "Good bye")]
    film, _, _ = film_of(make_clip(tmp_path / "a.mkv", subtitles=texts).path, tmp_path)
    with av.open(str(film)) as container:
        found = [packet for packet in container.demux(subtitles=0) if packet.size > 2]
        shown = [(float(packet.pts * packet.time_base), packet.duration, bytes(packet)[2:]) for packet in found]
    assert shown == [(0.1, 400, b"Hello\nWhat?"), (0.6, 200, b"Good bye")]


def test_sound_packets_within_one_millisecond_are_all_kept(tmp_path):
    """As TrueHD's, of 40 samples: Matroska counts milliseconds."""
    clip = make_clip(tmp_path / "a.mkv", audio="pcm_s16le", packet_samples=40)
    film, index, result = film_of(clip.path, tmp_path, Codec.FFV1)
    assert len(packets_of(clip.path, "audio")) == 48_000 * 96 // 100 // 40
    assert packets_of(film, "audio") == packets_of(clip.path, "audio")
    assert result.notices == ()
    assert video.read_back(film, index) == ()


@pytest.mark.parametrize(
    ("codec", "notices"),
    [(Codec.H264, ("2 packets of sound or subtitles are left out: broken or out of order",)), (Codec.FFV1, ())],
)
def test_sound_packets_that_the_container_does_not_take_are_counted_in_a_notice(tmp_path, codec, notices):
    """MP4 takes no two of one instant."""
    clip, same = make_clip(tmp_path / "a.mkv", audio="aac"), tmp_path / "same.mkv"
    with av.open(str(clip.path)) as source, av.open(str(same), "w") as target:
        copies = [target.add_stream_from_template(stream) for stream in source.streams]
        sound = []
        for packet in source.demux():
            if packet.size:
                if packet.stream.type == "audio":
                    sound.append(packet.pts)
                    packet.pts = packet.dts = sound[{9: 8, 20: 19}.get(len(sound) - 1, -1)]
                packet.stream = copies[packet.stream.index]
                target.mux(packet)
    film, _, result = film_of(same, tmp_path, codec)
    assert result.notices == notices
    assert len(packets_of(film, "audio")) == len(sound) - (2 if notices else 0)


@pytest.mark.parametrize(("may_coincide", "kept"), [(False, [0, 3, 5, 6]), (True, [0, 1, 3, 5, 6])])
def test_what_a_copied_track_leaves_out_is_counted(may_coincide, kept):
    """The second at the first's instant, the third without a time, the fifth before the fourth."""
    stamps = (0, 0, None, 40, 30, 60, 80)
    with av.open(io.BytesIO(), "w", format="matroska") as film:
        track = CopiedTrack(film.add_stream("aac", rate=48_000), Fraction(0), may_coincide=may_coincide)
        found = []
        for place, stamp in enumerate(stamps):
            packet = av.Packet(bytes([place]))
            packet.time_base, packet.pts, packet.dts = Fraction(1, 1000), stamp, stamp
            found += track.feed(packet)
    assert [bytes(packet)[0] for packet in found] == kept
    assert track.lost == len(stamps) - len(kept)
