"""A chunk's first frame is painted from nothing where its shot begins, else by a lead-in from the anchor before it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from chunk_bench import CHUNK, FRAMES, PARAMS, Bench

from farm.contract import keys
from farm.contract.messages import Stage
from farm.contract.params import Coherence
from farm.contract.plan import LEAD_FRAMES, Chunk
from farm.png import png_bytes, png_read
from worker.anchor import NEW_SIGHT, far_way, paint_anchor
from worker.engine import carry, carry_far
from worker.engine.fade import fade_frames, opening


@pytest.mark.parametrize("long_way", [(32, 44), (4, 6), (2, 10)])
def test_an_anchor_comes_by_a_lead_in_with_more_steps_after_a_long_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_way: tuple[int, int]
) -> None:
    monkeypatch.setattr("worker.anchor.LONG_WAY", long_way)
    far = {32: 0.0, 4: 1.0, 2: 0.5}[long_way[0]]
    bench = Bench(tmp_path)
    run = bench.run(Stage.ANCHOR, CHUNK)
    painter, contents = bench.studio.painter(run), list(bench.studio.clip(run).frames(0, CHUNK + 1))
    begin = max(1, CHUNK - LEAD_FRAMES)
    carried = carry_far(png_read(bench.store.get(keys.anchor(bench.job, 0))), contents[: begin + 1])
    steps, effort = 0, far * min(1.0, (1 - float(carried.mask.mean())) / NEW_SIGHT)
    assert (effort > 0) == (far > 0)
    for before, now in pairwise(contents[begin:]):
        led = painter.paint_lead(before, carried, effort)
        carried, steps = carry(led.frame, before, now), steps + led.steps
    anchor = painter.paint_anchor(contents[-1], carried, effort)
    assert bench.store.get(keys.anchor(bench.job, CHUNK)) == png_bytes(anchor.frame)
    again = paint_anchor(run, bench.studio).frames[0]
    assert again.adopted
    bench.store.delete([keys.anchor(bench.job, CHUNK)])
    assert paint_anchor(run, bench.studio).frames[0].steps == steps + anchor.steps > anchor.steps
    second = bench.plan.chunks[1]
    bench.paint(second.start)
    assert bench.frames(second) == bench.one_by_one(second, far=far)


@pytest.mark.parametrize(("frames", "far"), [(12, 0.0), (32, 0.0), (38, 0.5), (44, 1.0), (48, 1.0)])
def test_a_long_way_is_that_of_a_long_chunk(frames: int, far: float) -> None:
    assert far_way(Chunk(100, 100 + frames, 0)) == pytest.approx(far)


FADING = (0.0, 0.0, 0.2, 0.4, 0.6, 0.8, *(1.0,) * (FRAMES - 6))


def test_a_shot_that_fades_in_is_painted_first_where_it_is_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path, light=FADING)
    run = bench.run(Stage.ANCHOR, 0)
    painter, contents = bench.studio.painter(run), list(bench.studio.clip(run).frames(0, FRAMES))
    there = contents[FADING.index(1.0)]
    later = opening(contents[: fade_frames(iter(contents)) + 1])
    assert np.array_equal(later.content, there)
    painted = painter.paint_first(there)
    first = painter.paint_next(contents[0], later.carried(painted.frame))
    assert bench.store.get(keys.anchor(bench.job, 0)) == png_bytes(first.frame)
    bench.store.delete([keys.anchor(bench.job, 0)])
    assert paint_anchor(run, bench.studio).frames[0].steps == painted.steps + first.steps


def test_by_the_method_of_2015_every_frame_is_painted_by_itself_however_dark(tmp_path: Path) -> None:
    bench = Bench(tmp_path, params=replace(PARAMS, coherence=Coherence.LEGACY), light=FADING)
    run = bench.run(Stage.ANCHOR, 0)
    content = next(bench.studio.clip(run).frames(0, 1))
    assert bench.store.get(keys.anchor(bench.job, 0)) == png_bytes(bench.studio.painter(run).paint_still(content).frame)
