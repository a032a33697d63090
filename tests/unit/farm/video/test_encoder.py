"""The film has the clip's time and colours, and the same frames make the same bytes."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import av
import numpy as np
import pytest
from awkward import NAMES, REAL_CLIPS
from clips import make_clip, picture
from films import film_of, packets_of, times_of, write_film

from farm import video
from farm.contract.errors import FilmMismatch, InvalidParameter
from farm.contract.plan import FrameRange
from farm.contract.spec import Codec, Output


@pytest.mark.parametrize("codec", [Codec.H264, Codec.HEVC, Codec.PRORES])
@pytest.mark.parametrize("name", NAMES)
def test_every_frame_is_shown_when_the_clip_shows_it(clip_of, tmp_path, name, codec):
    clip = clip_of(name)
    film, index, result = film_of(clip.path, tmp_path, codec)
    assert times_of(film) == [pts * clip.time_base for pts in clip.pts]
    assert result.frame_count == len(clip.pts)
    assert video.read_back(film, index, (result.width, result.height)) == ()


@pytest.mark.parametrize("name", NAMES)
def test_matroska_holds_the_nearest_time_it_can(clip_of, tmp_path, name):
    clip = clip_of(name)
    film, index, _ = film_of(clip.path, tmp_path, Codec.FFV1)
    wanted = [pts * clip.time_base for pts in clip.pts]
    assert all(abs(got - want) <= Fraction(1, 2000) for got, want in zip(times_of(film), wanted, strict=True))
    assert video.read_back(film, index) == ()


@pytest.mark.parametrize("path", REAL_CLIPS, ids=lambda path: path.stem)
def test_real_clips_become_films(path, tmp_path):
    index = video.index(path)
    film, _, result = film_of(path, tmp_path, size_wh=video.frame_size(index.width, index.height, 96))
    assert video.read_back(film, index, (result.width, result.height)) == ()
    assert result.notices == ()


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("joins", [(), (8,)])
def test_the_same_frames_make_the_same_bytes(clip_of, tmp_path, codec, joins):
    clip = clip_of("Matroska with opus and subtitles")
    once, again = tmp_path / "once", tmp_path / "again"
    once.mkdir()
    again.mkdir()
    films = [film_of(clip.path, folder, codec, joins=joins)[0].read_bytes() for folder in (once, again)]
    assert films[0] == films[1]


def test_ffv1_is_lossless(clip_of, tmp_path):
    clip = clip_of("B-frames")
    film, index, _ = film_of(clip.path, tmp_path, Codec.FFV1)
    before = video.decode(clip.path, index, 0, 24)
    after = video.decode(film, video.index(film), 0, 24)
    assert all((a == b).all() for a, b in zip(before, after, strict=True))


def test_a_join_shows_signs_of_life_at_sound_and_may_be_ended_there(clip_of, tmp_path):
    """A short clip may have hours of it."""
    clip, beats = clip_of("constant rate with sound"), []
    index, output = video.index(clip.path), Output()
    frames = list(video.decode(clip.path, index, 0, index.frame_count))
    write_film(tmp_path / "film.mp4", frames, index, clip.path, output, on_beat=lambda: beats.append(None))
    assert len(beats) >= len(packets_of(clip.path, "audio"))

    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        write_film(tmp_path / "other.mp4", frames, index, clip.path, output, on_beat=stop)
    assert not (tmp_path / "other.mp4").exists()


@pytest.mark.parametrize("codec", list(Codec))
def test_the_frames_come_back_in_order(clip_of, tmp_path, codec):
    film, _, _ = film_of(clip_of("variable rate").path, tmp_path, codec)
    for number, image in enumerate(video.decode(film, video.index(film), 0, 24)):
        error = {n: np.abs(image.astype(int) - picture(n)).mean() for n in (number - 3, number, number + 3) if n >= 0}
        assert min(error, key=error.get) == number


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
    film, _, result = film_of(clip.path, tmp_path, codec)
    color = video.index(film).color
    assert (color.primaries, color.transfer, color.matrix, color.range) == wanted
    assert ["HDR" in notice for notice in result.notices] == ([True] if tags[0] == 9 else [])


@pytest.mark.parametrize("codec", [Codec.H264, Codec.PRORES, Codec.FFV1])
def test_plain_colours_come_back(tmp_path, codec):
    colours = [(200, 40, 40), (40, 200, 40), (40, 40, 200), (230, 230, 230)]
    images = [np.full((64, 96, 3), colour, np.uint8) for colour in colours]
    clip = make_clip(tmp_path / "a.mp4", frames=4)
    index = video.index(clip.path)
    output = Output(codec=codec, crf=4) if codec is Codec.H264 else Output(codec=codec)
    film = tmp_path / f"film{output.suffix}"
    write_film(film, images, index, clip.path, output)
    for image, wanted in zip(video.decode(film, video.index(film), 0, 4), images, strict=True):
        assert np.abs(image.astype(int) - wanted).max() <= 5


def test_mp4_starts_with_its_index(clip_of, tmp_path):
    film, _, _ = film_of(clip_of("constant rate with sound").path, tmp_path)
    assert _boxes(film.read_bytes())[:2] == ["ftyp", "moov"]


def test_hevc_is_tagged_for_apple_players(clip_of, tmp_path):
    film, _, _ = film_of(clip_of("B-frames").path, tmp_path, Codec.HEVC)
    with av.open(str(film)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_a_lower_crf_is_a_largerfilm_of(clip_of, tmp_path):
    clip = clip_of("B-frames")
    large = film_of(clip.path, tmp_path, crf=4)[2].size_bytes
    assert large > film_of(clip.path, tmp_path, crf=40)[2].size_bytes


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
    film, index, _ = film_of(clip_of("constant rate with sound").path, tmp_path)
    with pytest.raises(FilmMismatch, match="frame 2 is shown at"):
        video.read_back(film, video.index(clip_of("variable rate").path))
    with pytest.raises(FilmMismatch, match="24 frames, the clip 1"):
        video.read_back(film, video.index(clip_of("single frame").path))
    with pytest.raises(FilmMismatch, match="it is 96×64, not 98×64"):
        video.read_back(film, index, (98, 64))


def test_read_back_tells_of_sound_that_is_not_the_clips_and_the_film_stands(clip_of, tmp_path):
    film, index, _ = film_of(clip_of("constant rate with sound").path, tmp_path)
    assert video.read_back(film, replace(index, sound=())) == ("the film has 1 sound tracks, the clip 0",)
    (sound,) = index.sound
    for off_us, told in ((90_000, 0), (110_000, 2)):
        moved = replace(sound, start_us=sound.start_us + off_us, stop_us=sound.stop_us - off_us)
        assert len(video.read_back(film, replace(index, sound=(moved,)))) == told
    late = replace(sound, start_us=1_000_000)
    (odd,) = video.read_back(film, replace(index, sound=(late,)))
    assert odd == f"sound track 0 starts at {sound.start_us / 1e6:.3f} s, in the clip at 1.000 s"


def test_read_back_notices_a_film_cut_short(clip_of, tmp_path):
    film, index, _ = film_of(clip_of("B-frames").path, tmp_path)
    film.write_bytes(film.read_bytes()[:-2000])
    with pytest.raises(FilmMismatch):
        video.read_back(film, index)


def test_this_build_writes_every_codec():
    assert video.codecs() == dict.fromkeys(Codec, True)


def _boxes(data):
    names, at = [], 0
    while at < len(data):
        size, name = struct.unpack_from(">I4s", data, at)
        names.append(name.decode())
        at += size
    assert all(a != b for a, b in pairwise(names))
    return names
