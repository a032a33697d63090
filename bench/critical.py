"""The critical path of a simulated run: which part of the farm the last task's end was waiting for, second by second.

Walked backwards from the task that ended last. A task that was waited for by its *result* is charged to its own kind
(a chain of work that more machines do not shorten); one that was waited for because it held the *GPU* is charged to
the GPUs (work that more machines would share). Pure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from farm.contract.messages import Stage, TaskId


class Part(StrEnum):
    """What can hold up a film."""

    GPUS = "GPUs"  # all busy: as it should be
    CHUNKS = "chunks"  # one chunk's frames, one after another
    ANCHORS = "anchors"  # a shot's anchors, one after another
    BOUNDARIES = "boundaries"  # a shot's blends, one after another
    STRAGGLERS = "stragglers"  # what tasks took beyond what they should
    START = "task overhead"  # claim, spec, plan, manifest
    SOURCE = "S3: the source"  # every worker's download of the clip
    STORE = "S3: the frames"  # painted frames that painting did not hide
    COORDINATOR = "coordinator"  # from a task being ready to its message
    REDIS = "Redis"


STAGE_PART = {Stage.ANCHOR: Part.ANCHORS, Stage.STYLIZE: Part.CHUNKS, Stage.BLEND: Part.BOUNDARIES}


@dataclass(slots=True)
class Trace:
    """One task's times in a run, seconds from its start."""

    needs: tuple[TaskId, ...]
    ready_s: float = 0.0  # all it needs is done
    queued_s: float = 0.0  # a coordinator saw that
    queue_redis_s: float = 0.0  # of which that look spent in Redis
    started_s: float = 0.0
    finished_s: float = 0.0
    before: TaskId | None = None  # its worker's task before this one
    work_s: float = 0.0  # on the GPU, as planned
    spent_s: dict[Part, float] = field(default_factory=lambda: defaultdict(float))  # all else between start and end


def shares(traces: Mapping[TaskId, Trace]) -> dict[Part, float]:
    """Seconds of the critical path by part; their sum is the end of the last task."""
    found: dict[Part, float] = defaultdict(float)
    task: TaskId | None = max(traces, key=lambda name: traces[name].finished_s)
    for_its_gpu = False
    while task is not None:
        trace = traces[task]
        found[Part.GPUS if for_its_gpu else STAGE_PART[task.stage]] += trace.work_s
        for part, seconds in trace.spent_s.items():
            found[part] += seconds
        for_its_gpu = trace.before is not None and trace.started_s > trace.queued_s
        if for_its_gpu:
            task = trace.before
            continue
        found[Part.GPUS] += trace.started_s - trace.queued_s
        redis_s = min(trace.queue_redis_s, trace.queued_s - trace.ready_s)
        found[Part.REDIS] += redis_s
        found[Part.COORDINATOR] += trace.queued_s - trace.ready_s - redis_s
        task = max(trace.needs, key=lambda name: traces[name].finished_s, default=None)
    return dict(found)


def bottleneck(found: Mapping[Part, float]) -> Part:
    """What bends the curve: the part with the longest share, besides the GPUs' own work."""
    return max((part for part in Part if part is not Part.GPUS), key=lambda part: found.get(part, 0.0))
