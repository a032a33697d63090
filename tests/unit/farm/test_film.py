"""A film in another codec, made from the frames of a job by whoever wants it."""

from __future__ import annotations

import shutil
from pathlib import Path

import av
import numpy as np
import pytest
import synthetic
from painted_job import PaintedJob, memory_farm, paint_job

from farm.contract.errors import FrameDamaged, InvalidInput, ObjectNotFound, WaitTimeout
from farm.contract.spec import Codec, Output
from farm.frames import FinalFrames

FRAMES = 40
CLIP = synthetic.pan((96, 64), FRAMES, 2.0)


@pytest.fixture
def painted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PaintedJob:
    """A finished job of two segments, with sound."""
    monkeypatch.setattr("farm.segments.SEGMENT_FRAMES", 16)
    monkeypatch.setattr("farm.segments.LAST_FRAMES", 8)
    job = paint_job(memory_farm(tmp_path), CLIP, tmp_path, chunk_frames=8, audio="aac")
    job.finish()
    return job


def pictures(path: Path) -> tuple[list[np.ndarray], int]:
    """A film's frames, and its tracks of sound."""
    with av.open(str(path)) as film:
        return [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)], len(film.streams.audio)


@pytest.mark.parametrize("codec", [Codec.FFV1, Codec.PRORES, Codec.HEVC])
def test_a_film_is_made_anew_from_its_frames_in_any_codec(painted: PaintedJob, tmp_path: Path, codec: Codec) -> None:
    told: list[tuple[int, int]] = []
    output = Output(codec, 12) if codec is Codec.HEVC else Output(codec)
    film = tmp_path / "new" / f"film{output.suffix}"
    info = painted.job.encode(film, output, lambda *done: told.append(done))
    assert (info.frame_count, info.notices) == (FRAMES, ())
    found, sounds = pictures(film)
    assert sounds == 1
    wanted = [np.round(frame * 0.8).astype(np.uint8) for frame in CLIP.frames()]
    assert len(found) == FRAMES
    assert max(np.abs(one.astype(int) - other).mean() for one, other in zip(found, wanted, strict=True)) < 4
    assert told[-1] == (FRAMES, FRAMES)
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert [path.name for path in film.parent.iterdir()] == [film.name]


def test_the_clips_way_to_this_machine_is_told_and_then_it_is_here(painted: PaintedJob, tmp_path: Path) -> None:
    shutil.rmtree(painted.farm.settings.cache_dir, ignore_errors=True)
    told: list[tuple[int, int]] = []
    for _ in range(2):
        painted.job.encode(tmp_path / "film.mkv", Output(Codec.FFV1), on_source=lambda *done: told.append(done))
    size_bytes = painted.job.spec.source.size_bytes
    assert told[-1] == (size_bytes, size_bytes)
    assert told.count((size_bytes, size_bytes)) == 1


def test_the_film_in_the_store_stays_as_it_is(painted: PaintedJob, tmp_path: Path) -> None:
    before = set(painted.farm.store.list(""))
    painted.job.encode(tmp_path / "film.mkv", Output(Codec.FFV1))
    assert set(painted.farm.store.list("")) == before


def test_a_film_that_can_not_be_made_leaves_what_was_there(painted: PaintedJob, tmp_path: Path) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(b"an older film")
    painted.farm.store.put(FinalFrames(painted.job.name, painted.plan).key(7), b"no picture")
    with pytest.raises(FrameDamaged, match="frame 7 "):
        painted.job.encode(film, Output(Codec.FFV1))
    assert film.read_bytes() == b"an older film"
    assert not list(tmp_path.glob(".farm-film-*"))


def test_where_there_is_nothing_to_make_it_from_the_cure_is_named(painted: PaintedJob, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"a film in ffv1 is a \.mkv file"):
        painted.job.encode(tmp_path / "film.mp4", Output(Codec.FFV1))
    final = FinalFrames(painted.job.name, painted.plan)
    painted.farm.store.delete([final.key(number) for number in range(FRAMES)])
    with pytest.raises(ObjectNotFound, match="were removed"):
        painted.job.encode(tmp_path / "film.mkv", Output(Codec.FFV1))


def test_a_job_that_is_not_done_has_no_film_in_any_codec(tmp_path: Path) -> None:
    painted = paint_job(memory_farm(tmp_path), synthetic.pan((64, 48), 8), tmp_path)
    with pytest.raises(WaitTimeout, match="is not done"):
        painted.job.encode(tmp_path / "film.mkv", Output(Codec.FFV1))
