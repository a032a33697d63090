"""Every way of coherence through a real farm: a film each, and what the ways have in common and what not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from acceptance.conftest import QUICK
from clips import make_clip

from farm.client import Farm, Job
from farm.contract import keys
from farm.contract.params import Coherence
from farm.video import probe

pytestmark = pytest.mark.timeout(240)
FRAMES, CUT_AT = 16, 8


def start(farm: Farm, clip: Path, coherence: Coherence, chunk_frames: int) -> Job:
    params = replace(QUICK, coherence=coherence)
    return farm.submit(clip, "swirl", params=params, size_px=64, chunk_frames=chunk_frames)


def frames_of(job: Job, kind: str = "stylized") -> dict[int, bytes]:
    prefix = keys.job_prefix(job.name) + kind + "/"
    return {int(key.removeprefix(prefix)[:8]): job.farm.store.get(key) for key in job.farm.store.list(prefix)}


def test_every_coherence_makes_a_film(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "modes.mp4", frames=FRAMES, cuts=(CUT_AT,)).path
    jobs = {coherence: start(farm, clip, coherence, 4) for coherence in Coherence}
    other = start(farm, clip, Coherence.SEQUENTIAL, 3)
    for job in (*jobs.values(), other):
        job.wait(timeout_s=120)
        assert probe(job.fetch(tmp_path / f"{job.name}.mp4")).width == 64
        assert job.report()["film"]["frames"] == FRAMES
    painted = {coherence: frames_of(job) for coherence, job in jobs.items()}
    assert all(sorted(frames) == list(range(FRAMES)) for frames in painted.values())
    # One chunk a shot: how long chunks may be changes nothing, but names another job.
    assert other.name != jobs[Coherence.SEQUENTIAL].name
    assert frames_of(other) == painted[Coherence.SEQUENTIAL]
    # A cut starts a fresh painting: its first frame knows no other frame, so every way paints it alike; but in the
    # method of 2015 it is a still, and not painted on to the look of the frames that follow.
    ways = [frames for coherence, frames in painted.items() if coherence is not Coherence.LEGACY]
    for first in (0, CUT_AT):
        assert len({frames[first] for frames in ways}) == 1
        assert painted[Coherence.LEGACY][first] != ways[0][first]
    # A chunk's first frame inside a shot is what tells them apart.
    alone, carried = painted[Coherence.OFF][4], painted[Coherence.ANCHORS][4]
    assert alone != carried != painted[Coherence.SEQUENTIAL][4]
    assert painted[Coherence.LEGACY][5] != painted[Coherence.OFF][5]
    assert painted[Coherence.BLEND] == painted[Coherence.ANCHORS]
    assert {coherence: sorted(frames_of(job, "blended")) for coherence, job in jobs.items()} == {
        **{coherence: [] for coherence in Coherence},
        Coherence.BLEND: [4, 5, 6, 12, 13, 14],
    }
