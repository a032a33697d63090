"""A job of two chunks in a store in memory, and the worker that paints it; its frames as they are by definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from clips import make_clip, picture, pictures

from farm import video
from farm.contract import keys
from farm.contract.codec import sha256_hex, to_json
from farm.contract.messages import Manifest, Stage, TaskId, TaskMessage
from farm.contract.params import Params
from farm.contract.plan import Chunk
from farm.contract.spec import Media, Spec, Style
from farm.executor import Outcome, Run
from farm.plan import make_plan
from farm.png import png_bytes, png_read
from farm.settings import Settings
from farm.store import PutResult
from farm.testing import MemoryLedger, MemoryStore
from worker.anchor import paint_anchor
from worker.chunk import paint_chunk
from worker.device import choose_device
from worker.engine import carry
from worker.engine.approach import approach, departing
from worker.engine.bare import came_lately
from worker.engine.flow import motion_between
from worker.studio import Studio

FRAMES, CHUNK, SIZE = 12, 6, (48, 32)
PARAMS = Params(steps=2, steps_anchor=2, steps_next=3, pyramid=1)


class Store(MemoryStore):
    """Notes what is sent of the chunks' frames; `before_put` is called with the number of each."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[int] = []
        self.before_put: Callable[[str, int], None] = lambda _key, _number: None

    def put_once(self, key: str, data: bytes, content_type: str = "") -> PutResult:
        if "/stylized/" in key:
            number = int(Path(key).stem)
            self.before_put(key, number)
            self.sent.append(number)
        return super().put_once(key, data, content_type)


class Ledger(MemoryLedger):
    """Notes the progress, and whether so many frames were stored."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__()
        self.store = store
        self.progressed: list[tuple[int, bool]] = []

    def progress(self, job: str, task: TaskId, frames: int) -> None:
        there = all(keys.stylized(job, task.start + number) in self.store.objects for number in range(frames))
        self.progressed.append((frames, there))


@dataclass
class Bench:
    """A job of two chunks whose anchors are painted, and a worker. `light`: how bright each of its frames is."""

    folder: Path
    params: Params = PARAMS
    light: tuple[float, ...] = (1.0,) * FRAMES
    cuts: tuple[int, ...] = ()
    chunk_frames: int = CHUNK
    blend_frames: int = 0
    store: Store = field(default_factory=Store)
    steps: dict[int, int] = field(default_factory=dict)  # that each frame takes

    def __post_init__(self) -> None:
        lit = (
            np.rint(image * level).astype(np.uint8)
            for image, level in zip(pictures(FRAMES, SIZE), self.light, strict=True)
        )
        clip = make_clip(self.folder / "clip.mp4", frames=FRAMES, size=SIZE, pictures_from=lit).path
        source, style = self._put(clip.read_bytes(), ".mp4"), self._put(png_bytes(picture(0, (64, 48), 1)), ".png")
        spec = Spec("clip", source, (Style(style, "noise"),), size_px=48, params=self.params)
        index = video.index(clip)
        self.job, self.plan = (
            spec.job,
            make_plan(
                FRAMES, SIZE, self.cuts, self.chunk_frames, self.blend_frames, index.sha256, self.params.coherence
            ),
        )
        for key, value in (
            (keys.spec(self.job), spec),
            (keys.index(self.job), index),
            (keys.plan(self.job), self.plan),
        ):
            self.store.put_once(key, to_json(value))
        settings = Settings(home=self.folder, cache_dir=self.folder, device="cpu", threads=1)
        self.studio = Studio(settings, self.store, choose_device(settings))
        for chunk in self.plan.chunks:
            self.leave(Stage.ANCHOR, chunk.start, paint_anchor(self.run(Stage.ANCHOR, chunk.start), self.studio))

    def leave(self, stage: Stage, start: int, done: Outcome) -> None:
        """What became of a task, for those that go on from it."""
        manifest = Manifest(self.job, stage, start, 1, "worker", "cpu", 0.0, 1.0, done.frames)
        self.store.put_once(keys.manifest(self.job, manifest.task), to_json(manifest))

    def _put(self, data: bytes, suffix: str) -> Media:
        media = Media(sha256_hex(data), suffix, len(data))
        self.store.put_once(keys.media(media), data)
        return media

    def run(self, stage: Stage, start: int, check: Callable[[], None] = lambda: None) -> Run:
        self.ledger = Ledger(self.store)
        return Run(TaskMessage(self.job, stage, start, 1), self.store, self.ledger, check)

    def paint(self, start: int = 0, check: Callable[[], None] = lambda: None) -> tuple[Outcome, Run]:
        self.store.sent.clear()
        run = self.run(Stage.STYLIZE, start, check)
        return paint_chunk(run, self.studio), run

    def frames(self, chunk: Chunk) -> dict[int, bytes]:
        """The chunk's stored frames by number."""
        there = {number: keys.stylized(self.job, number) for number in range(chunk.start, chunk.stop)}
        return {number: self.store.get(key) for number, key in there.items() if key in self.store.objects}

    def one_by_one(
        self, chunk: Chunk, stored: dict[int, bytes] | None = None, nearing: int = CHUNK - 1, far: float = 0.0
    ) -> dict[int, bytes]:
        """What its frames are by definition: each painted from the stored one before it. `stored`: by others."""
        run = self.run(Stage.STYLIZE, chunk.start)
        painter, anchors = self.studio.painter(run), [self.store.get(keys.anchor(self.job, n)) for n in (0, CHUNK)]
        clip = self.studio.clip(run)
        contents = list(clip.frames(chunk.start, chunk.stop))
        first = chunk.start == 0
        way = approach(png_read(anchors[1]), list(clip.frames(CHUNK - nearing, CHUNK + 1))) if first else None
        frames, bare = {chunk.start: anchors[chunk.start // CHUNK]}, list[float]()
        for number, (before, now) in enumerate(pairwise(contents), start=chunk.start + 1):
            carried = carry(png_read(frames[number - 1]), before, now)
            carried = (
                way.towards(carried, chunk.stop - number) if way else departing(carried, number - chunk.start, far)
            )
            painted = painter.paint_next(now, replace(carried, lately=came_lately(bare)))
            bare.append(motion_between(before, now).bare)
            self.steps.setdefault(number, painted.steps)
            frames[number] = (stored or {}).get(number, png_bytes(painted.frame))
        return frames
