"""The film has the clip's time, sound and subtitles, and the same frames make the same bytes."""

from __future__ import annotations

import io
import re
import struct
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from awkward import NAMES, REAL_CLIPS
from clips import make_clip, picture
from films import write_film

from farm import video
from farm.contract.errors import FilmMismatch, InvalidParameter
from farm.contract.plan import FrameRange
from farm.contract.spec import Codec, Output
from farm.video import profiles
from farm.video.tracks import CopiedTrack


def _film(clip_path, folder, codec=Codec.H264, size_wh=None, joins=(), **more):
    """The clip's own frames as a film, in segments that join at `joins`."""
    output = Output(codec=codec, **more)
    index = video.index(clip_path)
    size = size_wh or video.frame_size(index.width, index.height, None)
    film = folder / f"film{output.suffix}"
    result = write_film(
        film, video.decode(clip_path, index, 0, index.frame_count, size), index, clip_path, output, joins
    )
    return film, index, result


def _levels(film):
    """How loud each channel is, of 1."""
    packed = av.AudioResampler(format="flt")
    with av.open(str(film)) as container:
        frames = [piece for frame in container.decode(audio=0) for piece in packed.resample(frame)]
        channels = container.streams.audio[0].codec_context.layout.nb_channels
    return np.concatenate([frame.to_ndarray().reshape(-1, channels) for frame in frames]).std(axis=0)


def _times(path):
    index = video.index(path)
    return [pts * index.seconds_per_tick for pts in index.pts]


@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.PRORES])
@pytest.mark.parametrize("name", NAMES)
def test_every_frame_is_shown_when_the_clip_shows_it(clip_of, tmp_path, name, codec):
    clip = clip_of(name)
    film, index, result = _film(clip.path, tmp_path, codec)
    assert _times(film) == [pts * clip.time_base for pts in clip.pts]
    assert result.frame_count == len(clip.pts)
    assert video.read_back(film, index, (result.width, result.height)) == ()


@pytest.mark.parametrize("name", NAMES)
def test_matroska_holds_the_nearest_time_it_can(clip_of, tmp_path, name):
    clip = clip_of(name)
    film, index, _ = _film(clip.path, tmp_path, Codec.FFV1)
    wanted = [pts * clip.time_base for pts in clip.pts]
    assert all(abs(got - want) <= Fraction(1, 2000) for got, want in zip(_times(film), wanted, strict=True))
    assert video.read_back(film, index) == ()


@pytest.mark.parametrize("path", REAL_CLIPS, ids=lambda path: path.stem)
def test_real_clips_become_films(path, tmp_path):
    index = video.index(path)
    film, _, result = _film(path, tmp_path, size_wh=video.frame_size(index.width, index.height, 96))
    assert video.read_back(film, index, (result.width, result.height)) == ()
    assert result.notices == ()


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("joins", [(), (8,)])
def test_the_same_frames_make_the_same_bytes(clip_of, tmp_path, codec, joins):
    clip = clip_of("Matroska with opus and subtitles")
    once, again = tmp_path / "once", tmp_path / "again"
    once.mkdir()
    again.mkdir()
    films = [_film(clip.path, folder, codec, joins=joins)[0].read_bytes() for folder in (once, again)]
    assert films[0] == films[1]


def test_ffv1_is_lossless(clip_of, tmp_path):
    clip = clip_of("B-frames")
    film, index, _ = _film(clip.path, tmp_path, Codec.FFV1)
    before = video.decode(clip.path, index, 0, 24)
    after = video.decode(film, video.index(film), 0, 24)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_a_join_shows_signs_of_life_at_sound_and_may_be_ended_there(clip_of, tmp_path):
    """A short clip may have hours of it."""
    clip, beats = clip_of("constant rate with sound"), []
    index, output = video.index(clip.path), Output()
    frames = list(video.decode(clip.path, index, 0, index.frame_count))
    write_film(tmp_path / "film.mp4", frames, index, clip.path, output, on_beat=lambda: beats.append(None))
    assert len(beats) >= len(_packets(clip.path, "audio"))

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        write_film(tmp_path / "other.mp4", frames, index, clip.path, output, on_beat=stop)
    assert not (tmp_path / "other.mp4").exists()


@pytest.mark.parametrize("codec", list(Codec))
def test_the_frames_come_back_in_order(clip_of, tmp_path, codec):
    film, _, _ = _film(clip_of("variable rate").path, tmp_path, codec)
    for number, image in enumerate(video.decode(film, video.index(film), 0, 24)):
        error = {n: np.abs(image.astype(int) - picture(n)).mean() for n in (number - 3, number, number + 3) if n >= 0}
        assert min(error, key=error.get) == number


def test_sound_that_the_container_holds_is_copied_bit_for_bit(clip_of, tmp_path):
    clip = clip_of("constant rate with sound")
    film, _, result = _film(clip.path, tmp_path)
    assert _packets(film, "audio") == _packets(clip.path, "audio")
    assert result.notices == ()


def test_opus_and_flac_are_copied_into_mp4(tmp_path):
    for codec in ("libopus", "flac", "ac3"):
        clip = make_clip(tmp_path / f"{codec}.mkv", audio=codec)
        film, _, result = _film(clip.path, tmp_path)
        assert [data for _, data in _packets(film, "audio")] == [data for _, data in _packets(clip.path, "audio")]
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
    film, index, result = _film(clip.path, tmp_path, codec)
    assert len(result.notices) == 1
    assert re.search(rf"sound track 1 becomes {becomes}: .* can't hold {sound}", result.notices[0])
    assert video.read_back(film, index) == ()


def test_sound_encoded_anew_stays_in_time(tmp_path):
    """A click at 0.5 s into pictures that start at 0.4 s is where it was."""
    clip = make_clip(tmp_path / "a.mkv", audio="vorbis", start=400, frames=30)
    film, index, _ = _film(clip.path, tmp_path)
    sound = video.index(film).sound[0]
    assert abs(sound.start_us - index.sound[0].start_us) < 30_000
    assert abs(sound.stop_us - index.sound[0].stop_us) < 30_000
    assert _times(film)[0] == Fraction(4, 10)


@pytest.mark.parametrize("codec", [Codec.H264, Codec.FFV1, Codec.PRORES])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1", "7.1", "5.0"])
@pytest.mark.parametrize(("suffix", "pictures"), [("avi", "mpeg4"), ("mkv", "libx264"), ("mov", "libx264")])
def test_pcm_is_heard_whatever_its_container_calls_its_channels(tmp_path, suffix, pictures, layout, codec):
    """AVI and Matroska call stereo "2 channels", which is no layout to AAC's encoder."""
    clip = make_clip(tmp_path / f"a.{suffix}", codec=pictures, audio="pcm_s16le", layout=layout, frames=12)
    film, index, result = _film(clip.path, tmp_path, codec, joins=(6,))
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
    film, index, result = _film(clip.path, tmp_path, codec, joins=joins)
    assert result.notices == (f"sound track 1 becomes aac: mp4 can't hold {sound}",)
    assert video.read_back(film, index) == ()
    with av.open(str(film)) as container:
        assert container.streams.audio[0].rate == 8000
    assert _levels(film) > 0.1


def test_channels_without_a_layout_keep_their_places(tmp_path):
    clip = make_clip(tmp_path / "a.mkv", audio="pcm_s16le", layout="5.1", heard=(1,), frames=25)
    film, _, _ = _film(clip.path, tmp_path)
    assert [level > 0.1 for level in _levels(film)] == [False, True, False, False, False, False]


@pytest.mark.parametrize("suffix", ["mkv", "mov"])
def test_sound_that_can_not_be_encoded_is_left_out_with_a_notice_and_the_film_is_made(tmp_path, suffix):
    """Nobody knows where nine speakers stand."""
    clip = make_clip(tmp_path / f"a.{suffix}", audio="pcm_s16le", layout="9 channels")
    film, index, result = _film(clip.path, tmp_path)
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
    film, index, result = _film(both, tmp_path)
    assert [sound.stop_us // 100_000 for sound in index.sound] == [9, 7]
    assert result.left_out == index.sound[:1]
    assert ["left out" in notice for notice in result.notices] == [True, False]
    assert video.read_back(film, index, left_out=result.left_out) == ()
    assert len(video.index(film).sound) == 1


def test_sound_that_the_muxer_does_not_take_after_all_is_encoded_anew(tmp_path, monkeypatch):
    """MOV's muxer refuses Opus only when the header is written: too late, if it were the film's."""
    monkeypatch.setattr(profiles, "MOV", replace(profiles.MOV, sounds=profiles.MOV.sounds | {"opus"}))
    film, index, result = _film(make_clip(tmp_path / "a.mkv", audio="libopus").path, tmp_path, Codec.PRORES)
    assert result.notices == ("sound track 1 becomes pcm_s16le: mov can't hold opus",)
    assert video.read_back(film, index) == ()


def test_text_subtitles_become_those_of_mp4(clip_of, tmp_path):
    film, _, result = _film(clip_of("Matroska with opus and subtitles").path, tmp_path)
    with av.open(str(film)) as container:
        stream = container.streams.subtitles[0]
        packets = [packet for packet in container.demux(stream) if packet.size > 2]
        texts = [event.ass.split(b",", 8)[-1] for packet in packets for event in packet.decode()]
    assert [round(float(packet.pts * packet.time_base), 3) for packet in packets] == [0.1, 0.6]
    assert [re.sub(rb"\{[^}]*\}", b"", text) for text in texts] == [b"Hello", b"Good bye"]
    assert result.notices == ("subtitles track 2 becomes mov_text: mp4 can't hold subrip",)


def test_subtitles_are_copied_into_matroska(clip_of, tmp_path):
    clip = clip_of("Matroska with opus and subtitles")
    film, _, result = _film(clip.path, tmp_path, Codec.FFV1)
    assert _packets(film, "subtitle") == _packets(clip.path, "subtitle")
    assert result.notices == ()


def test_two_subtitles_of_one_instant_are_both_kept(tmp_path):
    texts = [(0.1, 0.5, "Hello"), (0.1, 0.4, "What?"), (0.6, 0.8, "Good bye")]
    clip = make_clip(tmp_path / "a.mkv", subtitles=texts)
    film, _, result = _film(clip.path, tmp_path, Codec.FFV1)
    assert [data.decode() for _, data in _packets(film, "subtitle")] == [text for _, _, text in texts]
    assert result.notices == ()


def test_two_subtitles_of_one_instant_are_one_of_two_lines_in_mp4(tmp_path):
    """MP4 shows one at a time: the first would be there for no time at all."""
    texts = [(0.1, 0.5, "Hello"), (0.1, 0.4, "What?"), (0.6, 0.8, "Good bye")]
    film, _, _ = _film(make_clip(tmp_path / "a.mkv", subtitles=texts).path, tmp_path)
    with av.open(str(film)) as container:
        found = [packet for packet in container.demux(subtitles=0) if packet.size > 2]
        shown = [(float(packet.pts * packet.time_base), packet.duration, bytes(packet)[2:]) for packet in found]
    assert shown == [(0.1, 400, b"Hello\nWhat?"), (0.6, 200, b"Good bye")]


def test_sound_packets_within_one_millisecond_are_all_kept(tmp_path):
    """As TrueHD's, of 40 samples: Matroska counts milliseconds."""
    clip = make_clip(tmp_path / "a.mkv", audio="pcm_s16le", packet_samples=40)
    film, index, result = _film(clip.path, tmp_path, Codec.FFV1)
    assert len(_packets(clip.path, "audio")) == 48_000 * 96 // 100 // 40
    assert _packets(film, "audio") == _packets(clip.path, "audio")
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
    film, _, result = _film(same, tmp_path, codec)
    assert result.notices == notices
    assert len(_packets(film, "audio")) == len(sound) - (2 if notices else 0)


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


@pytest.mark.parametrize(
    ("tags", "wanted"),
    [
        ((1, 1, 1, 1), (1, 1, 1, 1)),
        ((1, 1, 1, 2), (1, 1, 1, 1)),  # films are limited range
        ((5, 6, 5, 1), (5, 6, 5, 1)),
        ((2, 2, 2, 0), (6, 6, 6, 1)),  # small and silent: BT.601, as players guess
        ((9, 16, 9, 1), (1, 1, 1, 1)),  # HDR is narrowed
    ],
)
@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.PRORES])
def test_the_film_says_its_colours(tmp_path, tags, wanted, codec):
    clip = make_clip(tmp_path / "a.mkv", frames=2, codec="ffv1", pix_fmt="yuv444p", color=tags)
    film, _, result = _film(clip.path, tmp_path, codec)
    color = video.index(film).color
    assert (color.primaries, color.transfer, color.matrix, color.range) == wanted
    assert ["HDR" in notice for notice in result.notices] == ([True] if tags[0] == 9 else [])


@pytest.mark.parametrize("codec", [Codec.H264, Codec.PRORES, Codec.FFV1])
def test_plain_colours_come_back(tmp_path, codec):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 230, 230)]
    images = [np.full((64, 96, 3), colour, np.uint8) for colour in colours]
    clip = make_clip(tmp_path / "a.mp4", frames=4)
    index = video.index(clip.path)
    film = tmp_path / f"film{Output(codec=codec).suffix}"
    write_film(film, images, index, clip.path, Output(codec=codec, crf=4))
    for image, wanted in zip(video.decode(film, video.index(film), 0, 4), images, strict=True):
        assert np.abs(image.astype(int) - wanted).max() <= 5


def test_mp4_starts_with_its_index(clip_of, tmp_path):
    film, _, _ = _film(clip_of("constant rate with sound").path, tmp_path)
    assert _boxes(film.read_bytes())[:2] == ["ftyp", "moov"]


def test_hevc_is_tagged_for_apple_players(clip_of, tmp_path):
    film, _, _ = _film(clip_of("B-frames").path, tmp_path, Codec.HEVC)
    with av.open(str(film)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_lower_crf_is_a_larger_film(clip_of, tmp_path):
    clip = clip_of("B-frames")
    large = _film(clip.path, tmp_path, crf=4)[2].size_bytes
    assert large > _film(clip.path, tmp_path, crf=40)[2].size_bytes


def test_metadata_is_written(clip_of, tmp_path):
    clip = clip_of("single frame")
    index = video.index(clip.path)
    frames = video.decode(clip.path, index, 0, 1)
    film = tmp_path / "film.mp4"
    write_film(film, frames, index, clip.path, Output(), metadata={"title": "Dünen"})
    with av.open(str(film)) as container:
        assert container.metadata["title"] == "Dünen"
        assert "encoder" not in container.metadata


@pytest.mark.parametrize("count", [0, 23, 25])
def test_a_segment_of_other_length_is_refused_and_leaves_nothing(clip_of, tmp_path, count):
    clip = clip_of("B-frames")
    frames = (picture(number) for number in range(count))
    whole, index = FrameRange(0, 24), video.index(clip.path)
    with pytest.raises(FilmMismatch):
        video.encode_segment(tmp_path / "part.mp4", frames, index=index, segment=whole, output=Output())
    assert list(tmp_path.iterdir()) == []


def test_odd_frames_are_refused(clip_of, tmp_path):
    clip = clip_of("B-frames")
    with pytest.raises(InvalidParameter, match="95×64"):
        video.encode_segment(
            tmp_path / "part.mp4",
            iter([picture(0)[:, 1:]]),
            index=video.index(clip.path),
            segment=FrameRange(0, 24),
            output=Output(),
        )


def test_frames_stream_through(clip_of, tmp_path):
    """The encoder asks for a frame when it has written the last: it hears of frame n before n + 1 is made."""
    clip, order = clip_of("B-frames"), []

    def frames():
        for number in range(24):
            order.append(("made", number + 1))
            yield picture(number)

    video.encode_segment(
        tmp_path / "part.mp4",
        frames(),
        index=video.index(clip.path),
        segment=FrameRange(0, 24),
        output=Output(),
        on_frame=lambda count: order.append(("written", count)),
    )
    assert order == [(what, n) for n in range(1, 25) for what in ("made", "written")]


def test_read_back_notices_a_film_of_another_clip(clip_of, tmp_path):
    film, index, _ = _film(clip_of("constant rate with sound").path, tmp_path)
    with pytest.raises(FilmMismatch, match="frame 2 is shown at"):
        video.read_back(film, video.index(clip_of("variable rate").path))
    with pytest.raises(FilmMismatch, match="24 frames, the clip 1"):
        video.read_back(film, video.index(clip_of("single frame").path))
    with pytest.raises(FilmMismatch, match="it is 96×64, not 98×64"):
        video.read_back(film, index, (98, 64))


def test_read_back_tells_of_sound_that_is_not_the_clips_and_the_film_stands(clip_of, tmp_path):
    film, index, _ = _film(clip_of("constant rate with sound").path, tmp_path)
    assert video.read_back(film, replace(index, sound=())) == ("the film has 1 sound tracks, the clip 0",)
    (sound,) = index.sound
    for off_us, told in ((90_000, 0), (110_000, 2)):
        moved = replace(sound, start_us=sound.start_us + off_us, stop_us=sound.stop_us - off_us)
        assert len(video.read_back(film, replace(index, sound=(moved,)))) == told
    late = replace(sound, start_us=1_000_000)
    (odd,) = video.read_back(film, replace(index, sound=(late,)))
    assert odd == f"sound track 0 starts at {sound.start_us / 1e6:.3f} s, in the clip at 1.000 s"


def test_read_back_notices_a_film_cut_short(clip_of, tmp_path):
    film, index, _ = _film(clip_of("B-frames").path, tmp_path)
    film.write_bytes(film.read_bytes()[:-2000])
    with pytest.raises(FilmMismatch):
        video.read_back(film, index)


def test_this_build_writes_every_codec():
    assert video.codecs() == dict.fromkeys(Codec, True)


def _packets(path, kind):
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size]


def _boxes(data):
    names, at = [], 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        names.append(name.decode())
        at += size
    assert all(a != b for a, b in pairwise(names))
    return names
