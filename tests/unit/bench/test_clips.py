"""Cut clips hold the very pictures of the file they were cut from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from clips import make_clip

from bench import clips
from bench.clips import BIKES, cut, write
from farm.contract.errors import InvalidClip


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    made = make_clip(tmp_path / "source.mp4", frames=16)
    monkeypatch.setattr(clips, "sample_clip", lambda name: made.path)
    return made.path


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]


@pytest.mark.parametrize("frames", [[0, 1, 2, 3], [0, 3, 9]])
def test_a_cut_is_without_loss(source: Path, tmp_path: Path, frames: list[int]) -> None:
    shot = replace(BIKES, start=4, stop=16)
    found = pictures(cut(shot, frames, tmp_path))
    wanted = [pictures(source)[4 + frame] for frame in frames]
    assert len(found) == len(wanted)
    assert all(np.array_equal(*pair) for pair in zip(found, wanted, strict=True))


def test_a_cut_is_made_once(source: Path, tmp_path: Path) -> None:
    shot = replace(BIKES, start=0, stop=16)
    first = cut(shot, range(4), tmp_path)
    made_ns = first.stat().st_mtime_ns
    assert cut(shot, range(4), tmp_path) == first
    assert first.stat().st_mtime_ns == made_ns
    assert cut(shot, [0, 2], tmp_path) != first


def test_frames_a_clip_does_not_have_are_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidClip, match="has 2 of the 4 frames"):
        cut(replace(BIKES, start=14, stop=18), range(4), tmp_path)
    assert list(tmp_path.glob("bikes_0-3.mp4")) == []


def test_synthetic_frames_keep_their_look(tmp_path: Path) -> None:
    frames = [np.full((32, 48, 3), (40 * number, 100, 200), np.uint8) for number in range(4)]
    with av.open(str(write(frames, tmp_path / "flat.mp4"))) as container:
        found = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    for made, read in zip(frames, found, strict=True):
        assert np.abs(made.astype(int) - read).max() <= 3
