"""A job that is painted but for its film: what a store holds when segments are encoded. In memory, made in no time."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from synthetic import SyntheticClip

from farm import video
from farm.client import Farm
from farm.contract import keys
from farm.contract.codec import sha256_hex, to_json
from farm.contract.messages import FrameRecord, Manifest, Stage, TaskId, TaskMessage
from farm.contract.params import Params
from farm.contract.plan import Plan
from farm.contract.spec import Codec, Media, Output, Spec, Style
from farm.coordinator.assembly import assemble_job
from farm.coordinator.encoding import encode_job_segment
from farm.coordinator.folders import WorkFolders
from farm.coordinator.graph import ASSEMBLE_TASK
from farm.executor import Run
from farm.frames import FinalFrames
from farm.job import Job
from farm.ledger import JobRecord
from farm.media import MediaCache
from farm.plan import make_plan
from farm.png import png_bytes
from farm.segments import segments
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore

STYLE_LOSS = 0.25


@dataclass(frozen=True)
class PaintedJob:
    """A job, the farm it is in, and its final frames: a darker copy of the clip, with levels added by frame."""

    farm: Farm
    job: Job
    plan: Plan

    @property
    def work(self) -> WorkFolders:
        """Where films lie on their way."""
        return WorkFolders(self.farm.settings.cache_dir)

    def run(self, task: TaskId = ASSEMBLE_TASK) -> Run:
        """One of the job's tasks, as an executor runs it."""
        message = TaskMessage(self.job.name, task.stage, task.start, 1)
        return Run(message, self.farm.store, self.farm.ledger, lambda: None)

    def encode(self, media: MediaCache, *starts: int) -> None:
        """Make the segments that begin at `starts` (none: all)."""
        for start in starts or [segment.start for segment in segments(self.plan)]:
            run = self.run(TaskId(Stage.SEGMENT, start))
            outcome = encode_job_segment(run, media, self.work)
            manifest = Manifest(self.job.name, Stage.SEGMENT, start, 1, "coordinator", "cpu", 1.0, 2.0, outcome.frames)
            self.farm.store.put(keys.manifest(self.job.name, manifest.task), to_json(manifest))

    def assemble(self, media: MediaCache) -> dict[str, Any]:
        """Join the segments; the job's report."""
        assemble_job(self.run(), media, self.work)
        return dict(json.loads(self.farm.store.get(keys.output(self.job.name, "report.json"))))

    def finish(self) -> None:
        """Give the job a film, as far as others look."""
        self.farm.store.put(keys.output(self.job.name, "report.json"), b"{}")


class QuietFarm(Farm):
    """No coordinator hears of its jobs."""

    def advance(self, job: str) -> None:
        assert self.ledger.job(job) is not None


def memory_farm(folder: Path) -> Farm:
    """A farm without services."""
    return Farm(Settings(home=folder, cache_dir=folder / "cache"), MemoryStore(), MemoryLedger())


@lru_cache(maxsize=16)
def _encoded(clip: SyntheticClip, suffix: str, written: tuple[tuple[str, Any], ...]) -> bytes:
    """The clip as a file. Encoded once: the same job has the same clip to the byte, whatever encoders promise."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        clip.write(path, **dict(written))
        return path.read_bytes()


def paint_job(
    farm: Farm,
    clip: SyntheticClip,
    folder: Path,
    *,
    chunk_frames: int = 8,
    blend_frames: int = 3,
    levels: dict[int, int] | None = None,
    name: str = "clip",
    codec: Codec = Codec.H264,
    suffix: str = ".mp4",
    **written: Any,
) -> PaintedJob:
    """Put a job's clip, plan, frames and manifests into the farm's store; `levels` are added to single frames.

    `written`: how the clip is, in `make_clip`'s words.
    """
    path, data = folder / f"{name}{suffix}", _encoded(clip, suffix, tuple(written.items()))
    path.write_bytes(data)
    source = Media(hashlib.sha256(data).hexdigest(), suffix, len(data))
    params = Params(blend_frames=blend_frames)
    style = Style(Media("0" * 64, ".png", 1), "swirl")
    spec = Spec(name, source, (style,), chunk_frames=chunk_frames, params=params, output=Output(codec))
    index = video.index(path)
    plan = make_plan(index.frame_count, clip.size, clip.cuts, chunk_frames, blend_frames, index.sha256)
    store, final = farm.store, FinalFrames(spec.job, plan)
    store.put(keys.media(source), data)
    for key, value in ((keys.spec, spec), (keys.plan, plan), (keys.index, index)):
        store.put(key(spec.job), to_json(value))
    sha256 = {}
    for number, frame in enumerate(clip.frames()):
        painted = np.round(frame * 0.8).astype(np.uint8) + np.uint8((levels or {}).get(number, 0))
        png = png_bytes(painted)
        sha256[number] = sha256_hex(png)
        store.put(final.key(number), png)
    for stage, items in ((Stage.STYLIZE, plan.chunks), (Stage.BLEND, plan.boundaries)):
        losses = {"style": STYLE_LOSS} if stage is Stage.STYLIZE else {}
        for item in items:
            records = tuple(FrameRecord(n, sha256[n], losses) for n in range(item.start, item.stop))
            manifest = Manifest(spec.job, stage, item.start, 1, "worker", "CPU", 1.0, 2.0, records)
            store.put(keys.manifest(spec.job, manifest.task), to_json(manifest))
    farm.ledger.create_job(JobRecord(spec.job, created_s=1.0))
    return PaintedJob(farm, Job(farm, spec.job), plan)
