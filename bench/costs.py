"""What the simulated farm's parts cost: frozen figures, measured where a machine could be had, assumed where not.

`bench/results/costs.json` holds the measured ones (`python -m bench overhead` and `bench/gpu.py` write them); the rest
are the defaults here. Every table says which.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

MEASURED = Path(__file__).parent / "results" / "costs.json"


@dataclass(frozen=True, slots=True)
class Costs:
    """Seconds, bytes and counts; the defaults are a 1080p film on H100s with the default backbone, and a cloud's S3."""

    # one GPU
    first_s: float = 4.0  # a shot's first frame, coarse to fine
    anchor_s: float = 1.5  # an anchor with its lead-in, without the carrying
    frame_s: float = 0.3  # a frame that follows a painted one: decode, flow, paint, PNG
    carry_frame_s: float = 0.17  # a frame of an anchor's way, decoded and its flow composed: 1.4 s of a core, by 8
    approach_frames: int = 24  # of a chunk, that are painted towards the next anchor
    departure_s: float = 0.4  # more steps of the frames right after an anchor: 52 of the finest level in all
    settle_frame_s: float = 0.1  # a frame of a blend window
    task_s: float = 0.1  # a task's own overhead: claim, spec, manifest, log
    plan_chunk_s: float = 5e-6  # for each chunk of the plan, which a worker reads once
    straggle_sigma: float = 0.1  # spread of the logarithm of a task's time

    # the coordinator
    coordinators: int = 3  # pool processes
    advance_s: float = 2e-3  # a look at what needs a task that ended, with Celery's messages; 0.35 ms without
    advance_task_s: float = 5e-6  # a look at the whole job, when it begins: for each of its tasks

    # Redis: one thread
    redis_op_s: float = 2e-5
    redis_task_ops: int = 20  # of one attempt, without its frames
    redis_frame_ops: int = 1  # progress
    redis_advance_ops: int = 8  # of a look at what needs a task
    redis_advance_task_s: float = 5e-7  # Redis' share of a look at the whole job, for each of its tasks
    redis_idle_ops_s: float = 0.5  # heartbeats and lease renewals of one worker, a second

    # the store
    worker_bytes_s: float = 1.25e9  # one machine's line
    store_bytes_s: float = 2.5e10  # all of them together
    frame_bytes: int = 4_500_000  # one painted frame as PNG
    frame_reads: int = 1  # how often a worker reads back what it wrote
    source_bytes: int = 7_200_000_000  # the clip; every machine fetches it once
    machine_gpus: int = 8  # that share a machine's copy of the clip

    # assembly
    encode_frame_s: float = 0.2  # read, decode, encode, measure one frame, and decode it again
    encoders: int = 16  # segments encoded side by side: pool processes of coordinators
    join_frame_s: float = 5e-5  # copy a frame's packet into the film, and read it back


def load(path: Path = MEASURED) -> tuple[Costs, tuple[str, ...]]:
    """The costs with every measured one in place, and the names of those."""
    measured = json.loads(path.read_text()) if path.is_file() else {}
    return with_measured(measured), tuple(sorted(measured))


def with_measured(measured: Mapping[str, float]) -> Costs:
    """The defaults with these in place; ValueError for a name that is no cost."""
    unknown = measured.keys() - {item.name for item in fields(Costs)}
    if unknown:
        raise ValueError(f"{', '.join(sorted(unknown))}: no such cost; `bench.costs.Costs` lists them")
    return replace(Costs(), **measured)


def keep(measured: Mapping[str, float], path: Path = MEASURED) -> None:
    """Note measured costs beside those noted before."""
    with_measured(measured)
    before = json.loads(path.read_text()) if path.is_file() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**before, **measured}, indent=1, sort_keys=True) + "\n")


FREE = Costs(
    first_s=0, anchor_s=0, frame_s=0, carry_frame_s=0, approach_frames=24, departure_s=0, settle_frame_s=0,
    task_s=0, plan_chunk_s=0, straggle_sigma=0,
    coordinators=1, advance_s=0, advance_task_s=0,
    redis_op_s=0, redis_task_ops=0, redis_frame_ops=0, redis_advance_ops=0, redis_advance_task_s=0,
    redis_idle_ops_s=0,
    frame_bytes=0, frame_reads=0, source_bytes=0, encode_frame_s=0, join_frame_s=0,
)  # fmt: skip
"""A farm in which nothing costs anything: what a test or a comparison begins with."""
