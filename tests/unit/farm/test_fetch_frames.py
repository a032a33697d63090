"""The frames of a film, as they were painted, for whoever goes on with them elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from painted_job import PaintedJob, memory_farm, paint_job
from synthetic import pan

from farm.contract.errors import FrameDamaged, ObjectNotFound, WaitTimeout
from farm.frames import FinalFrames


@pytest.fixture
def painted(tmp_path: Path) -> PaintedJob:
    return paint_job(memory_farm(tmp_path), pan((64, 48), 20), tmp_path)


def test_frames_come_as_they_are_stored_under_their_numbers(painted: PaintedJob, tmp_path: Path) -> None:
    painted.finish()
    told: list[tuple[int, int]] = []
    folder = painted.job.fetch_frames(tmp_path / "new" / "frames", lambda *done: told.append(done))
    final = FinalFrames(painted.job.name, painted.plan)
    assert [path.name for path in sorted(folder.iterdir())] == [f"{number:06d}.png" for number in range(20)]
    for number in range(20):
        assert (folder / f"{number:06d}.png").read_bytes() == painted.farm.store.get(final.key(number))
    assert told == [(number + 1, 20) for number in range(20)]


def test_frames_of_a_job_that_is_not_done_are_not_there_yet(painted: PaintedJob, tmp_path: Path) -> None:
    with pytest.raises(WaitTimeout, match="is not done"):
        painted.job.fetch_frames(tmp_path / "frames")
    assert not (tmp_path / "frames").exists()


def test_frames_that_were_removed_are_said_to_be(painted: PaintedJob, tmp_path: Path) -> None:
    painted.finish()
    final = FinalFrames(painted.job.name, painted.plan)
    painted.farm.store.delete([final.key(number) for number in range(20)])
    with pytest.raises(ObjectNotFound, match="were removed"):
        painted.job.fetch_frames(tmp_path / "frames")


def test_a_frame_that_was_changed_is_not_handed_out(painted: PaintedJob, tmp_path: Path) -> None:
    painted.finish()
    painted.farm.store.put(FinalFrames(painted.job.name, painted.plan).key(7), b"no picture")
    with pytest.raises(FrameDamaged, match="frame 7 "):
        painted.job.fetch_frames(tmp_path / "frames")
