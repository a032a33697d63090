"""A private farm for one measurement, and what its tasks' manifests say of their time."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.jobs import ROOT, manifests_of, settings_for
from farm.client import Farm, Job
from farm.contract.messages import Manifest, Stage
from farm.contract.params import Params
from farm.stack import private_stack

STYLE = "swirl"
NULL = Params(steps=1, steps_anchor=1, steps_next=0, steps_settle=0, pyramid=1)
"""As little painting as the parameters allow: no feature of its own, so nothing can be mistaken for a film."""
PAINTING = ("paint", "warp")
"""Spans of a chunk that are the painter's own."""
JOB_LIMIT_S = 1800.0


@contextmanager
def trial_farm(threads: int, **options: Sequence[str]) -> Iterator[Farm]:
    """A farm of one worker with `threads` threads, whose files are gone after."""
    (ROOT / "out").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / "out") as folder:
        home = Path(folder)
        with private_stack(home, settings=settings_for(home, threads), workers=1, **options) as info:
            yield Farm.from_settings(info.settings)


def painted(farm: Farm, clip: Path, size_px: int, chunk_frames: int, params: Params) -> Job:
    """A job of its own, whatever was painted before, once it has ended."""
    job = farm.submit(clip, STYLE, size_px=size_px, chunk_frames=chunk_frames, params=params, again=True)
    job.wait(timeout_s=JOB_LIMIT_S)
    return job


def chunks_of(job: Job) -> list[Manifest]:
    """The manifests of its chunks."""
    return [item for item in manifests_of(job) if item.stage is Stage.STYLIZE]


def took_s(manifest: Manifest) -> float:
    """Seconds of a task."""
    return manifest.finished_s - manifest.started_s


def painting_s(manifest: Manifest) -> float:
    """Seconds of a task in which its painter was at work."""
    return sum(manifest.timings_s.get(name, 0.0) for name in PAINTING)


def spans_ms(manifests: Sequence[Manifest]) -> dict[str, float]:
    """Every span's milliseconds a frame, by name."""
    frames = sum(len(item.frames) for item in manifests)
    names = sorted({name for item in manifests for name in item.timings_s})
    return {name: 1000 * sum(item.timings_s.get(name, 0.0) for item in manifests) / frames for name in names}
