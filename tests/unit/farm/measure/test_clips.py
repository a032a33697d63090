"""Two files measured: any painted film beside its clip."""

from __future__ import annotations

from pathlib import Path

import pytest
import synthetic
from clips import make_clip

from farm.contract.errors import InvalidClip, InvalidInput
from farm.measure import measure_clips

SIZE = (96, 64)


def test_cuts_are_found_in_the_source_and_the_film_sets_the_size(tmp_path: Path) -> None:
    clip = synthetic.cut((192, 128), 32)
    clip.write(tmp_path / "clip.mp4")
    small = (frame[::2, ::2] for frame in clip.frames())
    make_clip(tmp_path / "film.mp4", frames=32, size=SIZE, pictures_from=small)
    counted: list[int] = []
    report = measure_clips(tmp_path / "clip.mp4", tmp_path / "film.mp4", on_frame=counted.append)
    assert [(shot.start, shot.stop) for shot in report.shots] == [(0, 16), (16, 32)]
    assert (report.width, report.height, report.judge, report.seams) == (*SIZE, "lucas-kanade", ())
    assert report.frames.error[16] is None
    assert counted == list(range(1, 33))


def test_a_film_of_a_part_is_held_against_that_part(tmp_path: Path) -> None:
    clip = synthetic.cut(SIZE, 32)
    source = clip.write(tmp_path / "clip.mkv", codec="ffv1").path
    part = [clip.picture(number) for number in range(5, 25)]
    film = make_clip(tmp_path / "film.mkv", frames=20, size=SIZE, codec="ffv1", pictures_from=iter(part)).path
    report = measure_clips(source, film, from_s="0:00.2", to_s=1.0)
    whole = measure_clips(source, source)
    assert [(shot.start, shot.stop) for shot in report.shots] == [(0, 11), (11, 20)]
    assert report.frames.error[1:] == whole.frames.error[6:25]
    with pytest.raises(InvalidInput, match=r"film.mkv has 20 frames, .*clip.mkv has 27; .* by --from and --to"):
        measure_clips(source, film, from_s=0.2)


def test_a_film_of_another_length_is_refused(tmp_path: Path) -> None:
    clip = synthetic.pan(SIZE, 6).write(tmp_path / "clip.mp4")
    film = synthetic.pan(SIZE, 5).write(tmp_path / "film.mp4")
    with pytest.raises(InvalidInput, match=r"film.mp4 has 5 frames, .*clip.mp4 has 6"):
        measure_clips(clip.path, film.path)


def test_a_reference_of_another_size_is_refused(tmp_path: Path) -> None:
    clip = synthetic.pan(SIZE, 6).write(tmp_path / "clip.mp4")
    other = synthetic.pan((64, 48), 6).write(tmp_path / "other.mp4")
    with pytest.raises(InvalidInput, match="64×48 px and the film 96×64 px"):
        measure_clips(clip.path, clip.path, against=other.path)


def test_what_is_no_film_is_refused(tmp_path: Path) -> None:
    clip = synthetic.pan(SIZE, 6).write(tmp_path / "clip.mp4")
    (tmp_path / "film.mp4").write_text("no film")
    with pytest.raises(InvalidClip, match="is not a video"):
        measure_clips(clip.path, tmp_path / "film.mp4")
