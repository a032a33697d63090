"""Jobs measured from what the store has of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import synthetic
from painted_job import STYLE_LOSS, memory_farm, paint_job

from farm.contract.errors import InvalidInput, WaitTimeout
from farm.contract.messages import FrameRecord, Manifest, Stage
from farm.contract.params import Coherence
from farm.measure import measure_job, style_losses
from farm.plan import make_plan

CLIP = synthetic.pan((96, 64), 24, 2.0)
JOB = "clip-0123456789"


def manifest(stage: Stage, start: int, styles: dict[int, float | None]) -> Manifest:
    records = tuple(
        FrameRecord(frame, "0" * 64, {} if style is None else {"style": style}) for frame, style in styles.items()
    )
    return Manifest(JOB, stage, start, 1, "worker", "CPU", 0.0, 1.0, records)


def test_a_job_is_measured_with_its_plan_and_its_workers_losses(tmp_path: Path) -> None:
    painted = paint_job(memory_farm(tmp_path), CLIP, tmp_path)
    painted.finish()
    report = measure_job(painted.job)
    assert (report.frame_count, report.width, report.height, report.judge) == (24, 96, 64, "lucas-kanade")
    assert [(seam.start, seam.stop) for seam in report.seams] == [(8, 12), (16, 20)]
    assert report.frames.style[7] == STYLE_LOSS
    assert report.frames.style[8] is None  # blended, and the blend painted nothing
    assert report.error is not None
    assert report.error.max < 0.02


def test_a_seam_shows_against_the_same_clip_painted_in_one(tmp_path: Path) -> None:
    farm = memory_farm(tmp_path)
    seamed = paint_job(farm, CLIP, tmp_path, levels={8: 25}, name="seamed")
    whole = paint_job(farm, CLIP, tmp_path, chunk_frames=24, name="seamed")
    for each in (seamed, whole):
        each.finish()
    report = measure_job(seamed.job, against=whole.job)
    first, second = report.seams
    assert first.error_excess_max is not None
    assert first.error_excess_max > 5
    assert (second.error_excess_mean, second.error_excess_max) == (1, 1)


def test_a_job_without_a_film_says_what_it_is_doing(tmp_path: Path) -> None:
    painted = paint_job(memory_farm(tmp_path), CLIP, tmp_path)
    with pytest.raises(WaitTimeout, match="is not done, it is submitted"):
        measure_job(painted.job)


def test_a_job_of_another_clip_is_no_reference(tmp_path: Path) -> None:
    farm = memory_farm(tmp_path)
    one, other = paint_job(farm, CLIP, tmp_path), paint_job(farm, synthetic.pan((96, 64), 24, 3.0), tmp_path)
    one.finish()
    other.finish()
    with pytest.raises(InvalidInput, match="was painted from another clip"):
        measure_job(one.job, against=other.job)


def test_a_film_of_another_length_is_no_reference(tmp_path: Path) -> None:
    painted = paint_job(memory_farm(tmp_path), CLIP, tmp_path)
    painted.finish()
    short = synthetic.pan((96, 64), 12).write(tmp_path / "short.mp4")
    with pytest.raises(InvalidInput, match=r"short.mp4 has 12 frames, the film has 24"):
        measure_job(painted.job, against=short.path)


def test_a_frames_style_loss_is_that_of_the_task_that_made_the_final_frame() -> None:
    plan = make_plan(8, (64, 48), (), 4, 2, "x")
    painted = [
        manifest(Stage.ANCHOR, 0, {0: 1.0}),
        manifest(Stage.ANCHOR, 4, {4: 2.0}),
        manifest(Stage.STYLIZE, 0, {0: None, 1: 3.0, 2: None, 3: 5.0}),
        manifest(Stage.STYLIZE, 4, {4: None, 5: 6.0, 6: 7.0, 7: 8.0}),
    ]
    assert style_losses(painted, plan) == {0: 1.0, 1: 3.0, 3: 5.0, 6: 7.0, 7: 8.0}
    settled = [*painted, manifest(Stage.BLEND, 4, {4: 9.0, 5: None})]
    assert style_losses(settled, plan)[4] == 9.0
    apart = make_plan(8, (64, 48), (), 4, 2, "x", Coherence.OFF)
    assert style_losses(painted, apart)[4] == 2.0
