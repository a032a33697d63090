"""The job's report: what was made, by whom, how long it took. Pure: from spec, plan and manifests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from farm.contract.codec import to_plain
from farm.contract.messages import FrameRecord, Manifest, Stage
from farm.contract.plan import Plan
from farm.contract.spec import Spec
from farm.video import FilmInfo, FrameIndex

REPORT_VERSION = 1


def build_report(
    spec: Spec,
    plan: Plan,
    index: FrameIndex,
    film: FilmInfo,
    manifests: Sequence[Manifest],
    assemble_s: dict[str, float],
    picture: dict[str, Any],
) -> dict[str, Any]:
    """The report as plain JSON values; times in seconds. `picture`: the film's figures."""
    painted = [item for item in manifests if item.stage in (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)]
    began_s = min((item.started_s for item in manifests), default=0.0)
    ended_s = max((item.finished_s for item in painted), default=0.0)
    wall_s = max(0.0, ended_s - began_s)
    return {
        "version": REPORT_VERSION,
        "job": spec.job,
        "name": spec.name,
        "excerpt": None if spec.excerpt is None else to_plain(spec.excerpt),
        "style": spec.style_name,
        "styles": [{"name": style.name, "weight": style.weight} for style in spec.styles],
        "params": to_plain(spec.params),
        "weights_sha256": spec.weights_sha256,
        "film": {
            "frames": film.frame_count,
            "width": film.width,
            "height": film.height,
            "size_bytes": film.size_bytes,
            "codec": str(spec.output.codec),
            "crf": spec.output.crf,
            "duration_s": index.duration_s,
            "sound_tracks": len(index.sound) - len(film.left_out),
            "notices": list(film.notices),
        },
        "plan": {
            "shots": len(plan.shots),
            "cuts": [shot.start for shot in plan.shots[1:]],
            "chunks": [[chunk.start, chunk.stop] for chunk in plan.chunks],
            "boundaries": [[boundary.start, boundary.stop] for boundary in plan.boundaries],
        },
        "painting": {
            "wall_s": round(wall_s, 3),
            "frames_per_s": round(plan.frame_count / wall_s, 4) if wall_s else None,
            "attempts_beyond_first": sum(item.attempt - 1 for item in manifests),
        },
        "stages": {str(stage): _stage(stage, plan, manifests) for stage in Stage if stage is not Stage.ASSEMBLE},
        "assemble_s": {name: round(value, 3) for name, value in assemble_s.items()},
        "workers": _workers(painted),
        "picture": picture,
        "losses": {str(stage): _losses(stage, painted) for stage in (Stage.ANCHOR, Stage.STYLIZE)},
    }


def _stage(stage: Stage, plan: Plan, manifests: Sequence[Manifest]) -> dict[str, Any]:
    """Spans of threads beside the painter (of a chunk: all but `paint`, `warp`, `wait`) overlap its own."""
    own = [item for item in manifests if item.stage is stage]
    spans: defaultdict[str, float] = defaultdict(float)
    for item in own:
        for name, value in item.timings_s.items():
            spans[name] += value
    task_s = sum(item.finished_s - item.started_s for item in own)
    return {
        "tasks": len(own),
        "frames": plan.frame_count if stage is Stage.SEGMENT else sum(len(item.frames) for item in own),
        "task_s": round(task_s, 3),
        "painter_busy": round(spans["paint"] / task_s, 4) if "paint" in spans and task_s else None,
        "spans_s": {name: round(value, 3) for name, value in sorted(spans.items())},
    }


def _workers(painted: Sequence[Manifest]) -> dict[str, Any]:
    by_name: defaultdict[str, list[Manifest]] = defaultdict(list)
    for item in painted:
        by_name[item.worker].append(item)
    return {
        name: {
            "device": own[0].device,
            "tasks": len(own),
            "frames": sum(len(item.frames) for item in own),
            "busy_s": round(sum(item.finished_s - item.started_s for item in own), 3),
            "peak_memory_bytes": max(item.peak_memory_bytes for item in own),
            "versions": own[0].versions,
        }
        for name, own in sorted(by_name.items())
    }


def _losses(stage: Stage, painted: Sequence[Manifest]) -> dict[str, float]:
    """Mean of each term over the frames of a stage."""
    records: list[FrameRecord] = [record for item in painted if item.stage is stage for record in item.frames]
    names = sorted({name for record in records for name in record.losses})
    return {name: fmean(record.losses[name] for record in records if name in record.losses) for name in names}
