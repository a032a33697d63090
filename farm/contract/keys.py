"""The store's key scheme. Only checked parts become keys: job names match `JOB_PATTERN`, frames are numbers."""

from __future__ import annotations

import re

from farm.contract.errors import JobNotFound
from farm.contract.messages import Stage, StoredFrame, TaskId
from farm.contract.spec import JOB_PATTERN, Media

_SHA256 = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,8})?")
_FOLDERS = {Stage.ANCHOR: "anchors", Stage.STYLIZE: "stylized", Stage.BLEND: "blended"}


def media(item: Media) -> str:
    """`media/<sha256><ext>`: a source or style, shared by all jobs."""
    if not _SHA256.fullmatch(item.sha256) or not _SUFFIX.fullmatch(item.suffix):
        raise ValueError(f"not a media name: {item.sha256}{item.suffix}")
    return f"media/{item.sha256}{item.suffix}"


def job_prefix(job: str) -> str:
    """`jobs/<job>/`; JobNotFound where `job` can't be a job's name."""
    if not JOB_PATTERN.fullmatch(job):
        raise JobNotFound(f"no job {job!r}; `farm list` shows the jobs", job=job)
    return f"jobs/{job}/"


def spec(job: str) -> str:
    """The job's spec."""
    return job_prefix(job) + "spec.json"


def plan(job: str) -> str:
    """The job's plan."""
    return job_prefix(job) + "plan.json"


def index(job: str) -> str:
    """The source's frame index: PTS of every decoded frame, time base, tags."""
    return job_prefix(job) + "index.json"


def colors(job: str, shot_start: int) -> str:
    """The colours of the shot that begins at a frame, where the job keeps or matches them; written once."""
    return _frame(job, "colors", shot_start).removesuffix(".png") + ".json"


def anchor(job: str, frame: int) -> str:
    """A painted anchor."""
    return _frame(job, "anchors", frame)


def stylized(job: str, frame: int) -> str:
    """A painted frame, written once."""
    return _frame(job, "stylized", frame)


def blended(job: str, frame: int) -> str:
    """A frame that a blend changed."""
    return _frame(job, "blended", frame)


def segment(job: str, start: int) -> str:
    """What is known of an encoded segment: its film's SHA-256, its frames' figures."""
    return _frame(job, "segments", start).removesuffix(".png") + ".json"


def segment_film(job: str, start: int, suffix: str) -> str:
    """An encoded segment; `suffix` is the film's, e.g. `.mp4`. It lies beside what is known of it."""
    return segment(job, start).removesuffix(".json") + suffix


def segments(job: str) -> str:
    """The prefix of all segments."""
    return job_prefix(job) + "segments/"


def frame(job: str, stored: StoredFrame) -> str:
    """A frame where the task that made it put it; of a segment, what is known of it."""
    if stored.maker.stage is Stage.SEGMENT:
        return segment(job, stored.frame)
    return _frame(job, _FOLDERS[stored.maker.stage], stored.frame)


def manifests(job: str) -> str:
    """The prefix of all manifests."""
    return job_prefix(job) + "manifests/"


def manifest(job: str, task: TaskId) -> str:
    """A task's manifest."""
    return f"{manifests(job)}{task}.json"


def task_of_manifest(key: str) -> TaskId:
    """The task a manifest's key names."""
    stage, name = key.removesuffix(".json").rsplit("/", 2)[-2:]
    return TaskId.parse(f"{stage}/{name}")


def logs(job: str) -> str:
    """The prefix of all attempts' log lines."""
    return job_prefix(job) + "logs/"


def log(job: str, task: TaskId, attempt: int, token: str) -> str:
    """One executor's log lines of one attempt; an attempt given back has several."""
    fence = token.partition(":")[0]
    return f"{logs(job)}{task}/{attempt:03d}-{int(fence):06d}.log"


def task_of_log(key: str) -> TaskId:
    """The task a log's key names."""
    stage, name = key.rsplit("/", 3)[-3:-1]
    return TaskId.parse(f"{stage}/{name}")


def output(job: str, name: str) -> str:
    """An output: `film.mp4`, `poster.png`, `contact.png`, `measure.png`, `report.json`, `result.json`."""
    if not re.fullmatch(r"[a-z]+\.[a-z0-9]+", name):
        raise ValueError(f"not an output's name: {name}")
    return f"{job_prefix(job)}output/{name}"


def _frame(job: str, kind: str, frame: int) -> str:
    if not 0 <= frame < 10**8:
        raise ValueError(f"frame {frame} is outside 0 … 99999999")
    return f"{job_prefix(job)}{kind}/{frame:08d}.png"
