"""Clips whose motion is known, made by the code that makes them for the tests, and films judged by that motion."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from bench.clips import BenchClip, write
from bench.jobs import ROOT, manifests_of, plan_of
from bench.looks import source_frames
from farm.client import Job
from farm.frames import read_final_frames
from farm.measure import measure_film, seam_windows
from farm.measure.flow import Motion
from farm.measure.jobs import style_losses
from farm.measure.report import PictureReport

FRAMES = 96
"""Two chunks of the default length."""
PAN = BenchClip("pan", "a pan of 3 px a frame", "", 0, FRAMES, 18)
LAYERS = BenchClip("layers", "two layers, one before the other", "", 0, FRAMES, 18)
CLIPS = (PAN, LAYERS)


def size_wh(size_px: int) -> tuple[int, int]:
    """A synthetic clip is made at the size it is painted, so that its motion needs no scaling."""
    return size_px, 2 * round(size_px * 9 / 32)


def made(clip: BenchClip, frames: int, size_px: int, folder: Path) -> Path:
    """The clip's first frames as a file."""
    width, height = size_wh(size_px)
    return write(_scene(clip, frames, size_px).frames(), folder / f"{clip.name}_{width}x{height}_{frames}.mp4")


def motions(clip: BenchClip, frames: int, size_px: int) -> Iterator[Motion | None]:
    """The exact motion of each frame but the first."""
    found: Iterator[Motion | None] = _scene(clip, frames, size_px).motions()
    return found


def measure_exactly(job: Job, path: Path, known: Iterator[Motion | None], against: Job | None) -> PictureReport:
    """`measure_job`, judged by the known motion."""
    plan, store = plan_of(job), job.farm.store
    return measure_film(
        source_frames(job, path, range(plan.frame_count)),
        read_final_frames(store, job.name, plan),
        shots=plan.shots,
        boundaries=seam_windows(plan),
        style_losses=style_losses(manifests_of(job), plan),
        motions=known,
        reference=None if against is None else read_final_frames(store, against.name, plan_of(against)),
    )


def _scene(clip: BenchClip, frames: int, size_px: int) -> Any:
    tests = str(ROOT / "tests")
    if tests not in sys.path:
        sys.path.append(tests)  # they are no package
    import synthetic  # type: ignore[import-not-found, unused-ignore]

    make: Callable[..., Any] = getattr(synthetic, clip.name)
    return make(size_wh(size_px), frames)
