"""Segments join without a seam: one film, whose packets and pictures are as if it had been encoded in one go."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import Clip, make_clip, pictures
from films import write_film, write_segments

from farm import video
from farm.contract.errors import FilmMismatch
from farm.contract.plan import FrameRange
from farm.contract.spec import Codec, Output
from farm.video.clock import decode_times, film_times

FRAMES, JOINS = 75, (25, 52)
CLIPS: dict[str, dict[str, Any]] = {
    "constant rate": {},
    "variable rate": {"vfr": True, "b_frames": 2},
    "sound, and a first PTS that is not 0": {"start": 640, "audio": "aac", "b_frames": 2},
    "a clock that starts at two hours": {"start": 7200 * 12_800},
    "NTSC rate, odd size": {
        "fps": Fraction(30000, 1001), "time_base": Fraction(1, 30000), "size": (97, 63), "pix_fmt": "yuv444p",
    },
}  # fmt: skip
PEAK = 255.0


def written(folder: Path, clip: Clip, codec: Codec, joins: tuple[int, ...]) -> Path:
    index, output = video.index(clip.path), Output(codec)
    film = folder / f"film{output.suffix}"
    size = video.frame_size(index.width, index.height, None)
    write_film(film, pictures(FRAMES, size), index, clip.path, output, joins)
    video.read_back(film, index, size)
    return film


def shown(film: Path) -> tuple[list[int], int | None]:
    """When each frame is shown, and how long the film plays."""
    with av.open(str(film)) as container:
        length = container.duration
    return sorted(packet.pts for packet in packets(film)), length


def packets(film: Path) -> list[av.Packet[Any]]:
    with av.open(str(film)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def psnr_db(film: Path) -> list[float]:
    """Of each frame of a film of `pictures`, decoded without the farm's own code."""
    with av.open(str(film)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    size = images[0].shape[1], images[0].shape[0]
    errors = [np.mean((a.astype(float) - b) ** 2) for a, b in zip(images, pictures(FRAMES, size), strict=True)]
    return [10 * np.log10(PEAK**2 / max(error, 1e-9)) for error in errors]


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("name", CLIPS)
def test_a_film_of_three_segments_is_the_film_of_one(tmp_path: Path, name: str, codec: Codec) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=FRAMES, **CLIPS[name])
    whole, joined = (tmp_path / kind for kind in ("whole", "joined"))
    whole.mkdir()
    joined.mkdir()
    one, three = written(whole, clip, codec, ()), written(joined, clip, codec, JOINS)
    assert shown(one) == shown(three)
    found = packets(three)
    assert all(before.dts < after.dts for before, after in pairwise(found))
    assert all(packet.dts <= packet.pts for packet in found)
    assert {0, *JOINS} <= {place for place, packet in enumerate(found) if packet.is_keyframe}
    quality = psnr_db(three)
    assert min(quality) > min(psnr_db(one)) - 1.0
    around = [quality[frame] for join in JOINS for frame in (join - 1, join)]
    assert min(around) > np.mean(quality) - 2.0  # the joins are not where it is worst


@pytest.mark.parametrize("codec", [Codec.FFV1, Codec.PRORES])
def test_where_every_frame_is_a_key_frame_the_bytes_are_those_of_one_segment(tmp_path: Path, codec: Codec) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=FRAMES, audio="aac")
    whole, joined = (tmp_path / kind for kind in ("whole", "joined"))
    whole.mkdir()
    joined.mkdir()
    assert written(whole, clip, codec, ()).read_bytes() == written(joined, clip, codec, JOINS).read_bytes()


@pytest.mark.parametrize("codec", list(Codec))
def test_each_segment_stands_for_itself(tmp_path: Path, codec: Codec) -> None:
    """Its clock starts at 0, and it is decoded whole with nothing before it."""
    clip = make_clip(tmp_path / "clip.mp4", frames=FRAMES, vfr=True, start=1280)
    index = video.index(clip.path)
    files, _ = write_segments(tmp_path, pictures(FRAMES), index, Output(codec), JOINS)
    for file, (start, stop) in zip(files, pairwise((0, *JOINS, FRAMES)), strict=True):
        found = video.index(file)
        wanted = [(pts - clip.pts[start]) * clip.time_base for pts in clip.pts[start:stop]]
        off = [abs(pts * found.seconds_per_tick - want) for pts, want in zip(found.pts, wanted, strict=True)]
        assert max(off) <= (Fraction(1, 1000) if codec is Codec.FFV1 else 0)
        assert off[0] == found.pts[0] == 0
        with av.open(str(file)) as container:
            keys = [packet.is_keyframe for packet in container.demux(video=0) if packet.size]
        assert keys[0]


def test_decode_times_increase_and_come_in_time_whatever_the_rate() -> None:
    pts = (0, 10, 11, 50, 51, 52, 90)
    for late in range(4):
        dts = decode_times(pts, late)
        assert len(dts) == len(pts)
        assert all(before < after for before, after in pairwise(dts))
        assert dts[late:] == pts[: len(pts) - late]


def test_a_run_of_frames_has_the_times_it_has_in_the_film(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mkv", frames=FRAMES, fps=Fraction(30000, 1001), vfr=True)
    index = video.index(clip.path)
    whole = film_times(index, Fraction(1, 1000))
    for start, stop in pairwise((0, *JOINS, FRAMES)):
        part = film_times(index, Fraction(1, 1000), FrameRange(start, stop))
        assert (part.pts, part.durations) == (whole.pts[start:stop], whole.durations[start:stop])


@pytest.fixture
def parts(tmp_path: Path) -> tuple[Clip, video.FrameIndex, list[Path]]:
    clip = make_clip(tmp_path / "clip.mp4", frames=FRAMES)
    index = video.index(clip.path)
    return clip, index, write_segments(tmp_path, pictures(FRAMES), index, Output(), JOINS)[0]


def join(folder: Path, clip: Clip, index: video.FrameIndex, files: list[Path]) -> None:
    video.join_segments(folder / "film.mp4", files, index=index, source=clip.path, output=Output(), reorder_frames=2)


def test_a_film_with_a_segment_missing_or_too_many_is_refused_and_leaves_nothing(
    tmp_path: Path, parts: tuple[Clip, video.FrameIndex, list[Path]]
) -> None:
    clip, index, files = parts
    for wrong, why in (
        (files[:2], "segments of 52 frames for a film of 75"),
        ([*files, files[0]], "more frames in the segments than the film's 75"),
        ([], "no segments"),
    ):
        with pytest.raises(FilmMismatch, match=why):
            join(tmp_path, clip, index, wrong)
    assert not list(tmp_path.glob("film*"))


def test_segments_of_other_settings_are_refused(
    tmp_path: Path, parts: tuple[Clip, video.FrameIndex, list[Path]]
) -> None:
    clip, index, files = parts
    other = tmp_path / "other"
    other.mkdir()
    size = (48, 32)
    narrow, _ = write_segments(other, pictures(FRAMES, size), index, Output(), JOINS)
    with pytest.raises(FilmMismatch, match=r"the segment at frame 25 is .* they can't be joined"):
        join(tmp_path, clip, index, [files[0], *narrow[1:]])


@pytest.mark.parametrize("codec", list(Codec))
def test_a_segment_is_held_against_what_it_should_be(tmp_path: Path, codec: Codec) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=FRAMES, vfr=True)
    index, output = video.index(clip.path), Output(codec)
    files, _ = write_segments(tmp_path, pictures(FRAMES), index, output, JOINS)
    with pytest.raises(FilmMismatch, match="25 frames, not 27"):
        video.check_segment(files[0], index, FrameRange(25, 52), output, (96, 64))
    with pytest.raises(FilmMismatch, match=r"frame \d+ is shown at"):
        video.check_segment(files[0], index, FrameRange(1, 26), output, (96, 64))
    with pytest.raises(FilmMismatch, match="96×64, not 64×64"):
        video.check_segment(files[0], index, FrameRange(0, 25), output, (64, 64))
    files[1].write_bytes(files[1].read_bytes()[:-2000])
    with pytest.raises(FilmMismatch):
        video.check_segment(files[1], index, FrameRange(25, 52), output, (96, 64))
