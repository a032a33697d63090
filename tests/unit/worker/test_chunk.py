"""A chunk's frames are those of its recursion, one after another, whatever runs beside the painter or goes wrong."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import make_clip, picture, pictures

from farm import video
from farm.contract import keys
from farm.contract.codec import sha256_hex, to_json
from farm.contract.errors import FrameDamaged, JobCanceled, StoreUnavailable
from farm.contract.messages import Manifest, Stage, TaskId, TaskMessage
from farm.contract.params import Coherence, Params
from farm.contract.plan import LEAD_FRAMES, Chunk
from farm.contract.spec import Media, Spec, Style
from farm.executor import Outcome, Run
from farm.plan import make_plan
from farm.png import png_bytes, png_read
from farm.settings import Settings
from farm.store import PutResult
from farm.testing import MemoryLedger, MemoryStore
from worker.boundary import blend_boundary
from worker.chunk import NEW_SIGHT, _far, paint_anchor, paint_chunk
from worker.device import choose_device
from worker.engine import Carried, Frame, Machine, carry, carry_far
from worker.engine.approach import approach, departing
from worker.engine.bare import came_lately
from worker.engine.blend import blend_weight
from worker.engine.fade import fade_frames, opening
from worker.engine.flow import motion_between
from worker.engine.pixels import Mask
from worker.studio import Studio

FRAMES, CHUNK, SIZE = 12, 6, (48, 32)
PARAMS = Params(steps=2, steps_anchor=2, steps_next=3, pyramid=1)
MIDDLE = 3
LIMIT_S = 60.0


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


@pytest.fixture(scope="module")
def painted_once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, list[dict[int, bytes]]]:
    bench = Bench(tmp_path_factory.mktemp("bench"))
    return bench, [bench.one_by_one(chunk) for chunk in bench.plan.chunks]


@pytest.fixture
def bench(painted_once: tuple[Bench, Any]) -> Bench:
    """Without a frame of a chunk."""
    bench = painted_once[0]
    bench.store.delete(list(bench.store.list(keys.stylized(bench.job, 0)[: -len("00000000.png")])))
    bench.store.before_put = lambda _key, _number: None
    return bench


@pytest.fixture
def reference(painted_once: tuple[Any, list[dict[int, bytes]]]) -> list[dict[int, bytes]]:
    return painted_once[1]


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def in_painter() -> bool:
    return threading.current_thread() is threading.main_thread()


class Checks:
    """Counts how often the painter asks whether to stop; other threads can wait until it has so often."""

    def __init__(self) -> None:
        self.count = 0
        self._changed = threading.Condition()

    def __call__(self) -> None:
        if in_painter():
            with self._changed:
                self.count += 1
                self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self.count >= count, LIMIT_S), f"{self.count} of {count} checks"


def checks_until(bench: Bench, number: int) -> int:
    """So often the painter asks until that frame of chunk 0 is painted: before and after each, and at every step."""
    return sum(bench.steps[each] + 2 for each in range(1, number + 1))


@pytest.mark.parametrize("long_way", [(32, 44), (4, 6), (2, 10)])
def test_an_anchor_comes_by_a_lead_in_with_more_steps_after_a_long_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, long_way: tuple[int, int]
) -> None:
    monkeypatch.setattr("worker.chunk.LONG_WAY", long_way)
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
    assert _far(Chunk(100, 100 + frames, 0)) == pytest.approx(far)


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


def test_by_the_method_of_2015_every_frame_is_painted_by_itself_however_dark(tmp_path: Path) -> None:
    bench = Bench(tmp_path, params=replace(PARAMS, coherence=Coherence.LEGACY), light=FADING)
    run = bench.run(Stage.ANCHOR, 0)
    content = next(bench.studio.clip(run).frames(0, 1))
    assert bench.store.get(keys.anchor(bench.job, 0)) == png_bytes(bench.studio.painter(run).paint_still(content).frame)


@pytest.mark.parametrize("which", [0, 1])
def test_a_chunk_is_byte_for_byte_what_painting_frame_by_frame_gives(
    bench: Bench, reference: list[dict[int, bytes]], which: int
) -> None:
    chunk = bench.plan.chunks[which]
    outcome, run = bench.paint(chunk.start)
    assert bench.frames(chunk) == reference[which]
    assert [record.frame for record in outcome.frames] == list(range(chunk.start, chunk.stop))
    assert [record.sha256 for record in outcome.frames] == [sha256_hex(data) for data in reference[which].values()]
    assert bench.store.sent == list(range(chunk.start, chunk.stop))
    assert bench.ledger.progressed == [(number, True) for number in range(1, CHUNK + 1)]
    assert {"decode", "flow", "warp", "paint", "wait", "png", "put"} <= set(run.timings_s)
    assert "get" not in run.timings_s  # what was just painted need not be read


@pytest.mark.parametrize("which", [0, 1])
def test_motion_looked_for_by_several_threads_gives_the_same_frames(
    bench: Bench, reference: list[dict[int, bytes]], which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.studio, "machine", Machine(threads=4))
    chunk = bench.plan.chunks[which]
    bench.store.put_once(keys.stylized(bench.job, chunk.start + 2), reference[which][chunk.start + 2])  # by others
    bench.paint(chunk.start)
    assert bench.frames(chunk) == reference[which]


def test_a_stop_while_several_threads_look_for_motion_leaves_none_of_them(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bench.studio, "machine", Machine(threads=3))
    checks = Checks()

    def check() -> None:
        checks()
        if checks.count == 3:
            raise JobCanceled("stop")

    with pytest.raises(JobCanceled):
        bench.paint(check=check)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("spread")]


def test_a_long_chunk_nears_the_next_anchor_at_its_end_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.chunk.APPROACH_FRAMES", 3)
    bench.paint()
    chunk = bench.plan.chunks[0]
    assert bench.frames(chunk) == bench.one_by_one(chunk, nearing=3)


def test_a_next_anchor_that_is_lost_ends_the_chunk_where_it_is_needed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.chunk.APPROACH_FRAMES", 3)
    key = keys.anchor(bench.job, CHUNK)
    anchor = bench.store.get(key)
    bench.store.delete([key])
    with pytest.raises(FrameDamaged):
        bench.paint()
    bench.store.put(key, anchor)
    assert list(bench.frames(bench.plan.chunks[0])) == list(range(CHUNK - 3))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("approach")]


def test_a_frame_travels_while_the_next_one_is_painted(bench: Bench, reference: list[dict[int, bytes]]) -> None:
    checks = Checks()

    def wait_for_the_painter(_key: str, number: int) -> None:
        if number > 0:
            checks.wait_for(checks_until(bench, number) + (2 if number < CHUNK - 1 else 0))  # a step of the next frame

    bench.store.before_put = wait_for_the_painter
    bench.paint(check=checks)
    assert bench.frames(bench.plan.chunks[0]) == reference[0]
    assert checks.count == checks_until(bench, CHUNK - 1)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_where_another_executor_was_first_the_chunk_goes_on_from_its_frame(bench: Bench, steps: int) -> None:
    """It is found out after that many steps of the next frame, whose painting is thrown away."""
    chunk, other, checks = bench.plan.chunks[0], png_bytes(picture(5, SIZE, 2)), Checks()

    def overtake(key: str, number: int) -> None:
        if number == MIDDLE:
            bench.store.put(key, other)
            checks.wait_for(checks_until(bench, number) + 1 + steps)

    bench.store.before_put = overtake
    outcome, run = bench.paint(check=checks)
    bench.store.before_put = lambda _key, _number: None
    wanted = bench.one_by_one(chunk, {MIDDLE: other})
    assert bench.frames(chunk) == wanted
    assert [record.adopted for record in outcome.frames] == [number == MIDDLE for number in range(CHUNK)]
    assert [record.sha256 for record in outcome.frames] == [sha256_hex(data) for data in wanted.values()]
    assert bench.store.sent == list(range(CHUNK)), "a painting that was thrown away was sent"
    assert "adopt" in run.timings_s


def test_another_executors_frame_with_the_same_pixels_costs_no_second_painting(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    checks = Checks()
    bench.store.before_put = lambda key, number: bench.store.put(key, reference[0][number])
    outcome, _ = bench.paint(check=checks)
    assert checks.count == checks_until(bench, CHUNK - 1)
    assert all(record.adopted for record in outcome.frames)


def test_an_upload_that_fails_ends_the_chunk_and_nothing_after_it_is_stored(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    def fail(_key: str, number: int) -> None:
        if number == MIDDLE:
            raise StoreUnavailable("the store is full")

    bench.store.before_put = fail
    with pytest.raises(StoreUnavailable, match="full"):
        bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == {number: reference[0][number] for number in range(MIDDLE)}
    assert bench.ledger.progressed == [(number, True) for number in range(1, MIDDLE + 1)]
    bench.store.before_put = lambda _key, _number: None
    outcome, _ = bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == reference[0]
    assert [record.adopted for record in outcome.frames] == [number < MIDDLE for number in range(CHUNK)]


def test_a_cancel_stops_at_the_next_step_and_what_is_stored_is_right(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    sent, steps_after = threading.Event(), [0]

    def note(_key: str, number: int) -> None:
        if number == MIDDLE:
            sent.set()

    def check() -> None:
        if sent.is_set():
            steps_after[0] += in_painter()
            raise JobCanceled("canceled")

    bench.store.before_put = note
    with pytest.raises(JobCanceled):
        bench.paint(check=check)
    assert steps_after[0] <= 1
    # What was under way when the cancel came is stored; what was painted from it is not.
    assert bench.frames(bench.plan.chunks[0]) == {number: reference[0][number] for number in range(MIDDLE + 1)}
    bench.store.before_put = lambda _key, _number: None
    bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == reference[0]


def test_holes_alone_are_painted(bench: Bench, reference: list[dict[int, bytes]]) -> None:
    bench.paint()
    bench.store.delete([keys.stylized(bench.job, number) for number in (1, 2, 4)])
    outcome, run = bench.paint()
    assert bench.frames(bench.plan.chunks[0]) == reference[0]
    assert bench.store.sent == [0, 1, 2, 4]  # the first is the anchor's copy
    assert [record.frame for record in outcome.frames if not record.adopted] == [1, 2, 4]
    assert bench.ledger.progressed == [(number, True) for number in range(1, CHUNK + 1)]
    assert "get" in run.timings_s


def test_a_stored_frame_that_is_damaged_ends_the_chunk_after_the_frames_before_it(
    bench: Bench, reference: list[dict[int, bytes]]
) -> None:
    bench.store.put(keys.stylized(bench.job, MIDDLE), b"no picture")
    with pytest.raises(FrameDamaged) as caught:
        bench.paint()
    assert caught.value.frame == MIDDLE
    stored = bench.frames(bench.plan.chunks[0])
    assert {number: stored[number] for number in range(MIDDLE)} == {n: reference[0][n] for n in range(MIDDLE)}
    assert set(stored) == set(range(MIDDLE + 1))
