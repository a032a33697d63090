"""What a blend mixes, and how much of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from chunk_bench import Bench

from farm.contract.messages import Stage
from worker.boundary import blend_boundary
from worker.engine import Carried, Frame
from worker.engine.blend import blend_weight
from worker.engine.pixels import Mask


def test_after_a_chunk_of_one_frame_only_what_disagrees_is_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There are no two frames in a row before the boundary that could tell how far paintings usually are apart."""
    bench = Bench(tmp_path, cuts=(3,), chunk_frames=2, blend_frames=6)
    assert [(chunk.start, chunk.stop) for chunk in bench.plan.chunks[:2]] == [(0, 1), (1, 3)]
    for chunk in bench.plan.chunks[:2]:
        bench.leave(Stage.STYLIZE, chunk.start, bench.paint(chunk.start)[0])
    usual: list[float] = []

    def noting(carried: Carried, painted: Frame, weight: float, apart: float) -> Mask:
        usual.append(apart)
        return blend_weight(carried, painted, weight, apart)

    monkeypatch.setattr("worker.boundary.blend_weight", noting)
    assert len(blend_boundary(bench.run(Stage.BLEND, 1), bench.studio).frames) == 2
    assert usual[0] == usual[1] > 0
