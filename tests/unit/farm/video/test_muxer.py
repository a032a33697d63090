"""Segments join without a seam: one film, whose packets and pictures are as if it had been encoded in one go."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from clips import Clip, make_clip, pictures
from films import write_film, write_segments
from hypothesis import given
from hypothesis import strategies as st

from farm import video
from farm.contract.errors import FilmMismatch
from farm.contract.plan import FrameRange
from farm.contract.spec import Codec, Output
from farm.video.clock import decode_times, film_times, time_notices
from farm.video.color import ColorTags

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
    assert video.read_back(film, index, size) == ()
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


CROWDED = (0, 1, 2, 3000, 3001, 6045, 6046, 6135, 9000, 12_000)
"""In 1/90000 s: runs of frames that fall into one millisecond, and one that the run before it takes the place of."""


@pytest.mark.parametrize("codec", list(Codec))
@pytest.mark.parametrize("joins", [(), (4, 7)])
def test_frames_that_fall_into_one_tick_of_the_container_are_shown_one_after_the_other(
    tmp_path: Path, joins: tuple[int, ...], codec: Codec
) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=CROWDED, time_base=Fraction(1, 90_000))
    index, output = video.index(clip.path), Output(codec)
    assert index.pts == CROWDED
    film = tmp_path / f"film{output.suffix}"
    info = write_film(film, pictures(len(CROWDED)), index, clip.path, output, joins)
    assert video.read_back(film, index, (96, 64)) == ()
    found = video.index(film)
    times = [pts * found.seconds_per_tick for pts in found.pts]
    if codec is not Codec.FFV1:
        assert times == [Fraction(pts, 90_000) for pts in CROWDED]
        assert info.notices == ()
        return
    assert times == [Fraction(ms, 1000) for ms in (0, 1, 2, 33, 34, 67, 68, 69, 100, 133)]
    assert [notice.split(":")[0] for notice in info.notices] == [
        "times are rounded to 1/1000 s",
        "frames are shown up to 0.002 s late",
    ]


def test_frames_moved_by_a_tick_at_the_most_need_no_second_notice(tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=(0, 3000, 3001, 6000), time_base=Fraction(1, 90_000))
    index = video.index(clip.path)
    assert film_times(index, Fraction(1, 1000)).pts == (0, 33, 34, 67)
    assert len(time_notices(index, Fraction(1, 1000))) == 1


@given(
    gaps=st.lists(st.integers(1, 200), min_size=1, max_size=60),
    rate=st.sampled_from([90_000, 12_800, 1500, 1000, 600, 24]),
    data=st.data(),
)
def test_a_containers_times_are_the_nearest_that_are_free(gaps: list[int], rate: int, data: st.DataObject) -> None:
    pts = tuple(accumulate(gaps))
    index, base = index_of(pts, rate), Fraction(1, 1000)
    whole = film_times(index, base)
    wanted, before = [], -(10**9)
    for at in pts:
        before = max(round(Fraction(at * 1000, rate)), before + 1)
        wanted.append(before)
    assert whole.pts == tuple(wanted)
    assert min(whole.durations) >= 1
    start = data.draw(st.integers(0, len(pts) - 1))
    stop = data.draw(st.integers(start + 1, len(pts)))
    part = film_times(index, base, FrameRange(start, stop))
    assert (part.pts, part.durations) == (whole.pts[start:stop], whole.durations[start:stop])


def index_of(pts: tuple[int, ...], rate: int) -> video.FrameIndex:
    """The index of a clip whose frames are shown at `pts`, in 1/rate s."""
    return video.FrameIndex(
        time_base=(1, rate), pts=pts, last_duration=1, checksums=(0,) * len(pts), keyframe_pts=pts[:1], seekable=True,
        width=96, height=64, coded_width=96, coded_height=64, pixel_aspect=(1, 1), orientation=video.Orientation(),
        color=ColorTags(1, 1, 1, 1), average_rate=(25, 1), sound=(),
    )  # fmt: skip


@pytest.mark.parametrize(("moved", "to_ms"), [(3, 32), (4, 35), (5, 66), (8, 101)])
def test_read_back_takes_no_other_tick_than_the_nearest_that_is_free(tmp_path: Path, moved: int, to_ms: int) -> None:
    clip = make_clip(tmp_path / "clip.mp4", pts=CROWDED, time_base=Fraction(1, 90_000))
    index = video.index(clip.path)
    meant = film_times(index, Fraction(1, 1000)).pts
    wrong = index_of((*meant[:moved], to_ms, *meant[moved + 1 :]), 1000)
    wrong = replace(wrong, last_duration=33)
    film = tmp_path / "film.mkv"
    write_film(film, pictures(len(CROWDED)), wrong, clip.path, Output(Codec.FFV1))
    with pytest.raises(FilmMismatch, match=f"frame {moved} is shown at {to_ms / 1000:.6f} s"):
        video.read_back(film, index)


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


def test_who_joins_hears_when_the_film_is_rewritten_to_be_closed(
    tmp_path: Path, parts: tuple[Clip, video.FrameIndex, list[Path]]
) -> None:
    clip, index, files = parts
    film, heard = tmp_path / "film.mp4", []

    @contextmanager
    def closing(size_bytes: int) -> Iterator[None]:
        part = film.with_name(film.name + ".part")
        before = part.read_bytes()
        yield
        heard.append((size_bytes, b"moov" in before, b"moov" in part.read_bytes()))

    how = {"index": index, "source": clip.path, "output": Output(), "reorder_frames": 2}
    video.join_segments(film, files, **how, closing=closing)
    ((size_bytes, *index_there),) = heard
    assert index_there == [False, True]
    assert 0 < size_bytes <= film.stat().st_size


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
