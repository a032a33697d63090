"""The plan task: index the clip, find its cuts, cut shots in chunks."""

from __future__ import annotations

import logging

from farm import sandbox, video
from farm.contract import keys
from farm.contract.codec import to_json
from farm.executor import Outcome, Run
from farm.media import MediaCache
from farm.plan import make_plan
from farm.settings import Settings

log = logging.getLogger(__name__)


def plan_job(run: Run, media: MediaCache, settings: Settings) -> Outcome:
    """Write `index.json` and `plan.json`. The clip is decoded once, for its times and its cuts together, in a child."""
    spec = run.spec
    with run.span("fetch"):
        clip = media.path(spec.source, on_bytes=lambda *_: run.check())
    with run.span("index"):
        looked = sandbox.index_clip(clip, settings, on_wait=run.check, excerpt=spec.excerpt)
    index = looked.index
    size_wh = video.painted_size(spec.name, (index.width, index.height), spec.size_px, settings.max_pixels)
    params = spec.params
    plan = make_plan(
        index.frame_count,
        size_wh,
        looked.cuts,
        spec.chunk_frames,
        params.blend_frames,
        index.sha256,
        params.coherence,
        looked.motion,
    )
    run.store.put_once(keys.index(run.job), to_json(index), "application/json")
    run.store.put_once(keys.plan(run.job), to_json(plan), "application/json")
    log.info(
        "%d frames, %d shots, %d chunks", plan.frame_count, len(plan.shots), len(plan.chunks), extra={"job": run.job}
    )
    return Outcome()
