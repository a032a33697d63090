"""A job painted for real, on one core and in memory, whose stored frames are harmed on its way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from clips import make_clip, picture
from harms import Harm, alter, lose, truncate

from farm import video
from farm.contract import keys
from farm.contract.codec import from_json, sha256_hex, to_json
from farm.contract.messages import Manifest, Priority, Stage, StoredFrame, TaskId, TaskMessage
from farm.contract.params import Params
from farm.contract.plan import Plan
from farm.contract.spec import Media, Spec, Style
from farm.contract.states import JobState, TaskState
from farm.coordinator.advance import Coordinator
from farm.coordinator.graph import PLAN_TASK
from farm.executor import Executor, Outcome, Run
from farm.frames import FinalFrames, read_final_frames, read_manifest
from farm.ledger import JobRecord
from farm.plan import make_plan
from farm.png import png_bytes
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore
from worker.anchor import paint_anchor
from worker.boundary import blend_boundary
from worker.chunk import paint_chunk
from worker.device import choose_device
from worker.studio import Studio

FRAMES, SIZE = 12, (48, 32)
PARAMS = Params(steps=2, steps_anchor=2, steps_next=2, steps_settle=1, pyramid=1, blend_frames=2)


@dataclass
class Farm:
    """A coordinator and one worker, a step at a time; `done` counts the messages worked on by task."""

    folder: Path
    store: MemoryStore = field(default_factory=MemoryStore)
    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    queue: list[TaskMessage] = field(default_factory=list)
    done: list[TaskId] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = Settings(home=self.folder, cache_dir=self.folder, device="cpu", threads=1)
        self.coordinator = Coordinator(settings, self.store, self.ledger, self._publish, lambda _queue: ())
        self.executor = Executor(settings, self.store, self.ledger, "worker", lambda _message: None, is_worker=True)
        self.studio = Studio(settings, self.store, choose_device(settings))
        self.job, self.plan = self._submit()

    def _publish(self, message: TaskMessage, _priority: Priority) -> None:
        self.queue.append(message)

    def _submit(self) -> tuple[str, Plan]:
        clip = make_clip(self.folder / "clip.mp4", frames=FRAMES, size=SIZE).path
        source, style = self._put(clip.read_bytes(), ".mp4"), self._put(png_bytes(picture(0, (64, 48), 1)), ".png")
        spec = Spec("clip", source, (Style(style, "noise"),), size_px=48, params=PARAMS)
        index = video.index(clip)
        plan = make_plan(FRAMES, SIZE, (), 4, PARAMS.blend_frames, index.sha256, PARAMS.coherence)
        planned = Manifest(spec.job, Stage.PLAN, 0, 1, "coordinator", "cpu", 0.0, 1.0)
        for key, value in (
            (keys.spec(spec.job), spec), (keys.index(spec.job), index), (keys.plan(spec.job), plan),
            (keys.manifest(spec.job, PLAN_TASK), planned),
        ):  # fmt: skip
            self.store.put_once(key, to_json(value))
        self.ledger.create_job(JobRecord(spec.job))
        return spec.job, plan

    def _put(self, data: bytes, suffix: str) -> Media:
        media = Media(sha256_hex(data), suffix, len(data))
        self.store.put_once(keys.media(media), data)
        return media

    def work(self, until: Callable[[], bool] = lambda: False) -> Farm:
        """Advance and work in turn, until nothing is queued or `until` says so."""
        for _ in range(100):
            self.coordinator.advance(self.job)
            if until() or not self.queue:
                return self
            message = self.queue.pop(0)
            self.done.append(message.task)
            assert self.executor.execute(message, lambda run: self._works[run.message.stage](run, self.studio))
        raise AssertionError(f"without end: {self.done[-9:]}")

    @property
    def _works(self) -> dict[Stage, Callable[[Run, Studio], Outcome]]:
        return {
            Stage.ANCHOR: paint_anchor,
            Stage.STYLIZE: paint_chunk,
            Stage.BLEND: blend_boundary,
            Stage.SEGMENT: self._read_all,
            Stage.ASSEMBLE: lambda _run, _studio: Outcome(),
        }

    def _read_all(self, run: Run, _studio: Studio) -> Outcome:
        """What a segment's task does with the stored frames; it encodes no film here."""
        assert len(list(read_final_frames(run.store, run.job, run.plan))) == FRAMES
        return Outcome()

    def harm(self, stage: Stage, start: int, frame: int, how: Harm) -> str:
        key = keys.frame(self.job, StoredFrame(TaskId(stage, start), frame))
        how(self.store, key)
        return key

    def is_done(self, *tasks: TaskId) -> bool:
        known = self.ledger.tasks(self.job)
        return all(task in known and known[task].state is TaskState.SUCCEEDED for task in tasks)

    @property
    def frames(self) -> dict[str, bytes]:
        objects = self.store.objects.items()
        return {key: data for key, (data, _) in objects if key.startswith("jobs/") and key.endswith(".png")}

    @property
    def state(self) -> tuple[JobState, str]:
        record = self.ledger.job(self.job)
        assert record is not None
        return record.state, record.error

    def check(self, reference: dict[str, bytes]) -> None:
        """It is done, with the undisturbed run's frames, each named by a manifest; no attempt more than one each."""
        assert self.state == (JobState.SUCCEEDED, "")
        assert self.frames == reference
        for key in self.store.list(keys.manifests(self.job)):
            manifest = from_json(Manifest, self.store.get(key))
            for record in manifest.frames:
                data = self.store.get(keys.frame(self.job, StoredFrame(manifest.task, record.frame)))
                assert record.sha256 == sha256_hex(data)
        tasks = self.ledger.tasks(self.job).values()
        assert {(item.attempt, item.error, item.damaged, item.failed_on) for item in tasks} <= {
            (1, "", (), ()), (0, "", (), ()),
        }  # fmt: skip
        assert self.ledger.health("worker").failed == ()


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return Farm(tmp_path)


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    undisturbed = Farm(tmp_path_factory.mktemp("undisturbed")).work()
    assert undisturbed.state == (JobState.SUCCEEDED, "")
    return undisturbed.frames


FIRST_CHUNKS = (TaskId(Stage.STYLIZE, 0), TaskId(Stage.STYLIZE, 4))


def test_frames_harmed_between_stylize_and_blend_are_painted_again_and_no_others(
    farm: Farm, reference: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    farm.work(until=lambda: farm.is_done(*FIRST_CHUNKS))
    harmed = [
        farm.harm(Stage.STYLIZE, 0, 2, truncate),
        farm.harm(Stage.STYLIZE, 0, 3, alter),
        farm.harm(Stage.STYLIZE, 4, 5, lose),
    ]
    written: list[str] = []
    put_once = farm.store.put_once

    def noted(key: str, data: bytes, content_type: str = "") -> object:
        result = put_once(key, data, content_type)
        if result.written and "/stylized/" in key:
            written.append(key)
        return result

    monkeypatch.setattr(farm.store, "put_once", noted)
    farm.work()
    farm.check(reference)
    assert sorted(key for key in written if key < keys.stylized(farm.job, 8)) == harmed


def test_an_anchor_that_is_altered_is_painted_again_before_what_needs_it(
    farm: Farm, reference: dict[str, bytes]
) -> None:
    anchor = TaskId(Stage.ANCHOR, 4)
    farm.work(until=lambda: farm.is_done(anchor))
    farm.harm(Stage.ANCHOR, 4, 4, alter)
    farm.work()
    farm.check(reference)
    assert farm.done.count(anchor) == 2


def test_frames_harmed_before_their_segment_is_encoded_are_made_again_by_whoever_made_them(
    farm: Farm, reference: dict[str, bytes]
) -> None:
    farm.work(until=lambda: any(message.stage is Stage.SEGMENT for message in farm.queue))
    farm.harm(Stage.STYLIZE, 0, 0, truncate)
    farm.harm(Stage.BLEND, 4, 4, alter)
    farm.harm(Stage.STYLIZE, 8, 11, lose)
    before = len(farm.done)
    farm.work()
    farm.check(reference)
    again = set(farm.done[before:])
    made = {TaskId(Stage.STYLIZE, 0), TaskId(Stage.BLEND, 4), TaskId(Stage.STYLIZE, 8)}
    assert again == made | {TaskId(Stage.SEGMENT), TaskId(Stage.ASSEMBLE)}


def test_a_chunk_that_finds_its_own_stored_frame_damaged_is_rid_of_it(farm: Farm, reference: dict[str, bytes]) -> None:
    farm.work(until=lambda: farm.is_done(TaskId(Stage.ANCHOR, 0)))
    farm.store.put(keys.stylized(farm.job, 2), b"no picture")
    farm.work()
    farm.check(reference)


def test_a_lost_manifest_is_written_again(farm: Farm, reference: dict[str, bytes]) -> None:
    farm.work(until=lambda: farm.is_done(*FIRST_CHUNKS))
    farm.store.delete([keys.manifest(farm.job, FIRST_CHUNKS[0])])
    farm.work()
    farm.check(reference)
    assert farm.done.count(FIRST_CHUNKS[0]) == 2


def test_a_frame_that_is_damaged_again_and_again_fails_the_job_and_a_retry_finishes_it(
    farm: Farm, reference: dict[str, bytes]
) -> None:
    key = keys.stylized(farm.job, 3)

    def spoil() -> bool:
        if farm.is_done(*FIRST_CHUNKS) and key in farm.store.objects:
            truncate(farm.store, key)
        return False

    farm.work(until=spoil)
    state, error = farm.state
    assert state is JobState.FAILED
    assert "blend at frame 4: frame 3 of stylize/00000000 can't be used" in error
    assert error.endswith("found so 3 times")
    assert farm.done.count(TaskId(Stage.BLEND, 4)) == 3
    farm.ledger.move_task(farm.job, TaskId(Stage.BLEND, 4), TaskState.WAITING, attempt=0, error="")
    farm.ledger.move_job(farm.job, JobState.SUBMITTED, error="")
    farm.work()
    farm.check(reference)


def test_where_two_paintings_agree_the_blend_leaves_the_painted_frame_and_its_losses(
    farm: Farm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.engine.blend.AGREES", 1e6)
    monkeypatch.setattr("worker.engine.blend.DISAGREES", 2e6)
    farm.work()
    final = FinalFrames(farm.job, farm.plan)
    for boundary in farm.plan.boundaries:
        anchor, painted, blended = (
            read_manifest(farm.store, farm.job, TaskId(stage, boundary.start)).frames
            for stage in (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)
        )
        losses = {record.frame: record.losses for record in (*painted, *anchor)}
        assert all(losses[record.frame] for record in blended)
        for record in blended:
            assert farm.store.get(final.key(record.frame)) == farm.store.get(keys.stylized(farm.job, record.frame))
            assert (record.steps, record.losses) == (0, losses[record.frame])
