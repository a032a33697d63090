"""What a worker keeps between tasks: the colours of a shot, agreed on through the store."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip

from farm import styles, video
from farm.contract import keys
from farm.contract.codec import from_json, sha256_hex, to_json
from farm.contract.messages import Stage, TaskMessage
from farm.contract.params import Color, Params
from farm.contract.spec import Media, Spec, Style
from farm.executor import Run
from farm.plan import make_plan
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore
from worker import studio
from worker.device import Device, choose_device
from worker.engine import ColorStatistics, Frame, color_statistics
from worker.studio import Studio

CUT = 9


class Bench:
    """A store with one job of two shots, and workers beside it."""

    def __init__(self, folder: Path, params: Params) -> None:
        self.folder = folder
        self.store = MemoryStore()
        clip = make_clip(folder / "clip.mp4", frames=20).path
        source, style = self._put(clip.read_bytes(), ".mp4"), self._put(styles.png("ember", 64, 48), ".png")
        self.spec = Spec("clip", source, (Style(style, "ember"),), size_px=64, params=params)
        index = video.index(clip)
        self.plan = make_plan(20, (64, 48), (CUT,), 5, 2, index.sha256, params.coherence)
        self.store.put_once(keys.spec(self.spec.job), to_json(self.spec))
        self.store.put_once(keys.index(self.spec.job), to_json(index))
        self.store.put_once(keys.plan(self.spec.job), to_json(self.plan))

    def _put(self, data: bytes, suffix: str) -> Media:
        media = Media(sha256_hex(data), suffix, len(data))
        self.store.put_once(keys.media(media), data)
        return media

    def studio(self, name: str) -> Studio:
        settings = Settings(home=self.folder, cache_dir=self.folder / name, device="cpu", threads=1)
        device: Device = choose_device(settings)
        return Studio(settings, self.store, device)

    def run(self, start: int) -> Run:
        message = TaskMessage(self.spec.job, Stage.STYLIZE, start, 1)
        return Run(message, self.store, MemoryLedger(), lambda: None)

    def stored(self) -> list[str]:
        return sorted(self.store.list(keys.job_prefix(self.spec.job) + "colors/"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path, Params(color=Color.MATCH, steps=40))


def test_the_colours_of_a_shot_are_looked_at_once_for_all_workers(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    def look(frames: Iterable[Frame]) -> ColorStatistics:
        looks.append(1)
        return color_statistics(frames)

    monkeypatch.setattr(studio, "color_statistics", look)
    one, two = bench.studio("one"), bench.studio("two")
    first = one.painter(bench.run(0))
    written = bench.store.get(keys.colors(bench.spec.job, 0))
    assert one.painter(bench.run(5)) is first  # another chunk of the same shot
    two.painter(bench.run(5))
    assert len(looks) == 1
    assert bench.store.get(keys.colors(bench.spec.job, 0)) == written
    assert one.painter(bench.run(CUT)) is not first
    assert len(looks) == 2
    assert bench.stored() == [keys.colors(bench.spec.job, 0), keys.colors(bench.spec.job, CUT)]


def test_colours_in_the_store_are_used_as_they_are(bench: Bench) -> None:
    dark = ColorStatistics((0.1, 0.1, 0.1), ((0.001, 0, 0), (0, 0.001, 0), (0, 0, 0.001)))
    bench.store.put_once(keys.colors(bench.spec.job, 0), to_json(dark))
    painted = bench.studio("one").painter(bench.run(0)).paint_first(np.full((48, 64, 3), 25, np.uint8))
    assert painted.frame.mean() < 60  # `ember` itself is far brighter
    assert styles.paint("ember", 64, 48).mean() > 90


def test_colours_are_those_of_the_clips_frames(bench: Bench) -> None:
    studio = bench.studio("one")
    studio.painter(bench.run(0))
    found = from_json(ColorStatistics, bench.store.get(keys.colors(bench.spec.job, 0)))
    frames = np.stack(list(studio.clip(bench.run(0)).frames(0, CUT)))
    np.testing.assert_allclose(found.mean, frames.reshape(-1, 3).mean(axis=0) / 255, atol=0.03)


def test_a_job_in_the_styles_colours_looks_at_none(tmp_path: Path) -> None:
    bench = Bench(tmp_path, Params())
    bench.studio("one").painter(bench.run(0))
    assert bench.stored() == []
