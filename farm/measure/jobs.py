"""A finished job measured: source, plan, manifests and final frames, read from the store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from farm import video
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import InvalidInput
from farm.contract.messages import Manifest, Stage
from farm.contract.plan import Plan
from farm.frames import read_final_frames
from farm.measure.clips import reference_frames
from farm.measure.film import OnFrame, measure_film, seam_windows
from farm.measure.report import PictureReport
from farm.media import MediaCache
from farm.motion import Frame
from farm.video import FrameIndex

if TYPE_CHECKING:
    from farm.client import Job

STYLE_LOSS = "style"


def measure_job(job: Job, *, against: Job | str | Path | None = None, on_frame: OnFrame | None = None) -> PictureReport:
    """Measure a job's final frames as they lie in the store, before any encoding.

    `against`: the same clip painted in one chunk per shot, a job or a film's file. WaitTimeout or JobFailed where a
    job has no film, InvalidInput where the two are not of one clip and size.
    """
    job.report()  # the client says best why there is no film
    store, spec = job.farm.store, job.spec
    plan = _plan(job)
    index = from_json(FrameIndex, store.get(keys.index(job.name)))
    source = MediaCache.from_settings(store, job.farm.settings).path(spec.source)
    return measure_film(
        video.decode(source, index, 0, plan.frame_count, (plan.width, plan.height)),
        read_final_frames(store, job.name, plan),
        shots=plan.shots,
        boundaries=seam_windows(plan),
        style_losses=style_losses(_manifests(job), plan),
        reference=_reference(job, plan, against),
        on_frame=on_frame,
    )


def style_losses(manifests: Iterable[Manifest], plan: Plan) -> dict[int, float]:
    """Style loss by frame, as the worker that painted the final frame reported it.

    A frame inside a blend's window has the blend's, if the blend painted; a chunk's first frame is its anchor.
    """
    by_stage: dict[Stage, dict[int, float]] = {stage: {} for stage in Stage}
    for manifest in manifests:
        for record in manifest.frames:
            if STYLE_LOSS in record.losses:
                by_stage[manifest.stage][record.frame] = record.losses[STYLE_LOSS]
    blended = {frame for boundary in plan.boundaries for frame in range(boundary.start, boundary.stop)}
    painted = by_stage[Stage.ANCHOR] | by_stage[Stage.STYLIZE]
    return {frame: loss for frame, loss in painted.items() if frame not in blended} | by_stage[Stage.BLEND]


def _plan(job: Job) -> Plan:
    return from_json(Plan, job.farm.store.get(keys.plan(job.name)))


def _manifests(job: Job) -> list[Manifest]:
    store = job.farm.store
    return [from_json(Manifest, store.get(key)) for key in store.list(keys.manifests(job.name))]


def _reference(job: Job, plan: Plan, against: Job | str | Path | None) -> Iterable[Frame] | None:
    if against is None:
        return None
    if isinstance(against, str | Path):
        return reference_frames(against, (plan.width, plan.height), plan.frame_count)
    against.report()
    other = _plan(against)
    if against.spec.source.sha256 != job.spec.source.sha256:
        raise InvalidInput(f"{against.name} was painted from another clip than {job.name}; give one of the same clip")
    if against.spec.excerpt != job.spec.excerpt:
        raise InvalidInput(f"{against.name} is another part of the clip than {job.name}; give one of the same part")
    if (other.width, other.height, other.frame_count) != (plan.width, plan.height, plan.frame_count):
        raise InvalidInput(
            f"{against.name} is {other.width}×{other.height} px, {job.name} is {plan.width}×{plan.height} px; "
            "give one of the same --size"
        )
    return read_final_frames(against.farm.store, against.name, other)
