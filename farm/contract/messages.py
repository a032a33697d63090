"""Task messages and manifests: what travels through the queue, and what a done task leaves behind.

A message names work, it carries none: job, stage, name, attempt. The rest is read from the store.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar

MESSAGE_VERSION = 1
MANIFEST_VERSION = 1


class Stage(StrEnum):
    """A kind of task, in the order of a job's way."""

    PLAN = "plan"  # probe, index, cut                       queue media
    ANCHOR = "anchor"  # paint a chunk's first frame          queue stylize
    STYLIZE = "stylize"  # paint a chunk                      queue stylize
    BLEND = "blend"  # flow-blend a boundary                  queue blend
    SEGMENT = "segment"  # encode and measure a run of chunks queue media
    ASSEMBLE = "assemble"  # join the segments, report        queue media


class Queue(StrEnum):
    """The Celery queues."""

    COORDINATE = "coordinate"  # advance and sweep: short, control side
    MEDIA = "media"  # plan, segments and assemble: long, control side
    STYLIZE = "stylize"  # anchors and chunks: GPU
    BLEND = "blend"  # boundaries


class Priority(StrEnum):
    """Whose tasks go first, in every queue."""

    LOW = "low"  # when nobody else wants the workers
    NORMAL = "normal"
    HIGH = "high"  # before all others; what is running is not stopped for it


STAGE_QUEUE: dict[Stage, Queue] = {
    Stage.PLAN: Queue.MEDIA,
    Stage.ANCHOR: Queue.STYLIZE,
    Stage.STYLIZE: Queue.STYLIZE,
    Stage.BLEND: Queue.BLEND,
    Stage.SEGMENT: Queue.MEDIA,
    Stage.ASSEMBLE: Queue.MEDIA,
}


@dataclass(frozen=True, slots=True, order=True)
class TaskId:
    """A task inside its job: `stylize/00000048`.

    `start` is the name of the chunk, boundary or segment, 0 for plan and assemble.
    """

    stage: Stage
    start: int = 0

    def __str__(self) -> str:
        return f"{self.stage}/{self.start:08d}"

    @classmethod
    def parse(cls, text: str) -> TaskId:
        """The inverse of `str`; ValueError where it is none."""
        stage, _, start = text.partition("/")
        return cls(Stage(stage), int(start))


@dataclass(frozen=True, slots=True, order=True)
class StoredFrame:
    """A frame by the task that made it: `stylize/00000048/00000051`. A segment counts as its first frame."""

    maker: TaskId
    frame: int

    def __str__(self) -> str:
        return f"{self.maker}/{self.frame:08d}"

    @classmethod
    def parse(cls, text: str) -> StoredFrame:
        """The inverse of `str`; ValueError where it is none."""
        maker, _, frame = text.rpartition("/")
        return cls(TaskId.parse(maker), int(frame))


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """One attempt's message."""

    VERSION: ClassVar[int] = MESSAGE_VERSION

    job: str
    stage: Stage
    start: int
    attempt: int  # from 1
    version: int = MESSAGE_VERSION

    @property
    def task(self) -> TaskId:
        """The task this message is an attempt at."""
        return TaskId(self.stage, self.start)

    @property
    def name(self) -> str:
        """What the message is called in its queue: the same for every copy of it."""
        return f"{self.job}/{self.task}/{self.attempt}"


@dataclass(frozen=True, slots=True)
class FrameRecord:
    """One frame of a manifest."""

    frame: int
    sha256: str  # of the stored PNG, or a segment's record
    losses: dict[str, float] = field(default_factory=dict)  # last step's, weighted terms by name and `total`
    steps: int = 0
    adopted: bool = False  # another executor had written it before


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a done task leaves in the store, written last."""

    VERSION: ClassVar[int] = MANIFEST_VERSION

    job: str
    stage: Stage
    start: int
    attempt: int
    worker: str
    device: str
    started_s: float  # Unix time
    finished_s: float
    frames: tuple[FrameRecord, ...] = ()
    timings_s: dict[str, float] = field(default_factory=dict)  # seconds by span: decode, flow, paint, encode, put ...
    versions: dict[str, str] = field(default_factory=dict)
    peak_memory_bytes: int = 0  # of the worker's device; 0 where it is not known
    version: int = MANIFEST_VERSION

    @property
    def task(self) -> TaskId:
        """The task that is done."""
        return TaskId(self.stage, self.start)
