"""A film of three segments: encoded, measured and joined as one, and made again where the store did not keep it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import synthetic
from harms import lose, truncate
from painted_job import PaintedJob, memory_farm, paint_job

from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.errors import JobCanceled
from farm.contract.messages import Manifest, Priority, Stage, TaskId, TaskMessage
from farm.contract.spec import Codec
from farm.contract.states import JobState, TaskState
from farm.coordinator.advance import Coordinator
from farm.coordinator.assembly import SLOW_DISK_BYTES_S, assemble_job
from farm.coordinator.encoding import encode_job_segment
from farm.coordinator.graph import ASSEMBLE_TASK, PLAN_TASK
from farm.coordinator.picture import summary
from farm.executor import Executor, Run
from farm.frames import read_final_frames
from farm.measure import measure_job
from farm.media import MediaCache
from farm.segments import segments
from farm.testing import MemoryStore
from farm.video import encoder, readback
from farm.video.profiles import Profile

FRAMES = 110
STARTS = FIRST, AT_CUT, INSIDE = 0, 39, 81
"""Where segments begin: the second at a cut, the third inside a shot."""
CLIP = replace(synthetic.pan((96, 64), FRAMES, 2.0), cuts=(AT_CUT,))


@pytest.fixture(scope="module", autouse=True)
def _short_segments() -> Iterator[None]:
    """A third of their length: what is told of them here holds for any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("farm.segments.SEGMENT_FRAMES", 32)
        patch.setattr("farm.segments.LAST_FRAMES", 16)
        yield


def paint(folder: Path, codec: Codec = Codec.H264) -> PaintedJob:
    painted = paint_job(memory_farm(folder), CLIP, folder, chunk_frames=16, codec=codec, levels={INSIDE: 25})
    assert tuple(segment.start for segment in segments(painted.plan)) == STARTS
    return painted


@pytest.fixture
def painted(tmp_path: Path) -> PaintedJob:
    return paint(tmp_path)


@dataclass
class Bench:
    """A coordinator and one executor, a step at a time, for a job that is painted."""

    painted: PaintedJob
    folder: Path
    queue: list[TaskMessage] = field(default_factory=list)
    done: list[TaskId] = field(default_factory=list)
    before: Callable[[TaskId], object] = lambda _task: None
    after: Callable[[TaskId], object] = lambda _task: None

    def __post_init__(self) -> None:
        farm = self.painted.farm
        self.store, self.ledger, self.job = farm.store, farm.ledger, self.painted.job.name
        self.media = MediaCache(self.store, self.folder / "coordinator")
        self.coordinator = Coordinator(farm.settings, self.store, self.ledger, self._publish, lambda _queue: ())
        self.executor = Executor(farm.settings, self.store, self.ledger, "coordinator", lambda _message: None)
        for task in (PLAN_TASK, *(TaskId(Stage.ANCHOR, chunk.start) for chunk in self.painted.plan.chunks)):
            manifest = Manifest(self.job, task.stage, task.start, 1, "worker", "cpu", 0.0, 1.0)
            self.store.put(keys.manifest(self.job, task), to_json(manifest))

    def _publish(self, message: TaskMessage, _priority: Priority) -> None:
        self.queue.append(message)

    def step(self) -> None:
        message = self.queue.pop(0)
        self.before(message.task)
        work = encode_job_segment if message.stage is Stage.SEGMENT else assemble_job
        assert self.executor.execute(message, lambda run: work(run, self.media, self.painted.work))
        self.done.append(message.task)
        self.after(message.task)

    def work(self) -> Bench:
        self.coordinator.advance(self.job)
        while self.queue:
            self.step()
            self.coordinator.advance(self.job)
        return self

    @property
    def state(self) -> tuple[JobState, str]:
        record = self.ledger.job(self.job)
        assert record is not None
        return record.state, record.error

    @property
    def film(self) -> bytes:
        return self.store.get(keys.output(self.job, "film" + self.painted.job.spec.output.suffix))

    def segment_keys(self) -> list[str]:
        return list(self.store.list(keys.segments(self.job)))


def images(data: bytes, path: Path) -> list[np.ndarray]:
    """A film's frames, decoded without the farm's own code."""
    path.write_bytes(data)
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.mark.parametrize("codec", list(Codec))
def test_every_frame_of_the_film_is_its_painting(tmp_path: Path, codec: Codec) -> None:
    bench = Bench(paint(tmp_path, codec), tmp_path).work()
    assert bench.state == (JobState.SUCCEEDED, "")
    assert bench.done == [*(TaskId(Stage.SEGMENT, start) for start in STARTS), ASSEMBLE_TASK]
    shown = images(bench.film, tmp_path / "shown")
    paintings = list(read_final_frames(bench.store, bench.job, bench.painted.plan))
    assert len(shown) == len(paintings) == FRAMES
    errors = [float(np.mean((a.astype(float) - b) ** 2)) for a, b in zip(shown, paintings, strict=True)]
    if codec is Codec.FFV1:
        assert max(errors) == 0
    psnr_db = [10 * np.log10(255**2 / max(error, 1e-9)) for error in errors]
    around = [psnr_db[start + step] for start in STARTS[1:] for step in (-1, 0, 1)]
    assert min(around) > np.median(psnr_db) - 2.0


def test_the_figures_are_those_of_measuring_in_one_go(painted: PaintedJob, tmp_path: Path) -> None:
    bench = Bench(painted, tmp_path).work()
    report = json.loads(bench.store.get(keys.output(bench.job, "report.json")))
    measured = summary(measure_job(painted.job))
    assert report["picture"] == json.loads(json.dumps(measured))
    error = report["picture"]["frames"]["error"]
    assert error[AT_CUT] is None  # at the cut
    assert error[INSIDE] > 5 * error[INSIDE - 1]  # the step over a join, which is brighter by 25 levels
    assert report["stages"]["segment"]["tasks"] == 3
    assert report["stages"]["segment"]["frames"] == FRAMES
    assert {"encode", "read_back", "put"} <= report["stages"]["segment"]["spans_s"].keys()


def test_a_film_is_made_also_where_its_sound_can_not_be(tmp_path: Path) -> None:
    clip = synthetic.pan((96, 64), 12, 2.0)
    painted = paint_job(memory_farm(tmp_path), clip, tmp_path, suffix=".mkv", audio="pcm_s16le", layout="9 channels")
    bench = Bench(painted, tmp_path).work()
    assert bench.state == (JobState.SUCCEEDED, "")
    film = json.loads(bench.store.get(keys.output(bench.job, "report.json")))["film"]
    assert film["sound_tracks"] == 0
    assert ["left out" in notice for notice in film["notices"]] == [True]


def test_a_film_is_made_also_where_its_sound_is_out_of_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = synthetic.pan((96, 64), 12, 2.0)
    bench = Bench(paint_job(memory_farm(tmp_path), clip, tmp_path, suffix=".mkv", audio="pcm_s16le"), tmp_path)
    monkeypatch.setattr(readback, "_sound_slack_us", lambda _streams: -1)
    bench.work()
    assert bench.state == (JobState.SUCCEEDED, "")
    notices = json.loads(bench.store.get(keys.output(bench.job, "report.json")))["film"]["notices"]
    assert [notice[:13] for notice in notices] == ["sound track 1", "sound track 0", "sound track 0"]


def test_a_film_is_given_time_to_be_closed_by_its_size(
    painted: PaintedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, limits_s, slow = Bench(painted, tmp_path), [], Run.slow

    def heard(run: Run, limit_s: float) -> AbstractContextManager[None]:
        limits_s.append(limit_s)
        return slow(run, limit_s)

    monkeypatch.setattr(Run, "slow", heard)
    bench.work()
    (limit_s,) = limits_s
    assert 0 < limit_s * SLOW_DISK_BYTES_S <= len(bench.film)  # FFmpeg still has in hand the most of so small a one


def test_a_finished_film_does_not_need_its_segments(painted: PaintedJob, tmp_path: Path) -> None:
    bench = Bench(painted, tmp_path)
    stored: list[list[str]] = []
    bench.after = lambda _task: stored.append(bench.segment_keys())
    bench.work()
    assert [len(found) for found in stored] == [2, 4, 6, 6]
    assert bench.segment_keys() == []
    bench.ledger.move_task(bench.job, ASSEMBLE_TASK, TaskState.SUCCEEDED)
    bench.coordinator.advance(bench.job)
    assert bench.state == (JobState.SUCCEEDED, "")


def test_a_film_that_is_canceled_as_it_is_done_keeps_its_segments(painted: PaintedJob, tmp_path: Path) -> None:
    bench = Bench(painted, tmp_path)
    bench.coordinator.advance(bench.job)
    while bench.queue:
        bench.step()
        if bench.done[-1] != ASSEMBLE_TASK:
            bench.coordinator.advance(bench.job)
    seen = bench.ledger.job(bench.job)
    assert seen is not None
    assert seen.state is JobState.ASSEMBLING
    bench.ledger.move_job(bench.job, JobState.CANCELING)
    bench.coordinator._assemble(seen)  # it had looked before the cancel came
    assert len(bench.segment_keys()) == 6


def test_segments_of_two_releases_are_encoded_anew_by_the_one_that_joins_them(
    painted: PaintedJob, tmp_path: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, ours = Bench(painted, tmp_path), encoder.profile

    def of_another_release(*args: Any) -> Profile:
        how = ours(*args)
        return replace(how, options={**how.options, "refs": "2"})

    def before(task: TaskId) -> None:
        monkeypatch.setattr(encoder, "profile", of_another_release if task.start == AT_CUT else ours)

    bench.before = before
    bench.work()
    assert bench.state == (JobState.SUCCEEDED, "")
    assert bench.film == undisturbed
    assert bench.done == [*(TaskId(Stage.SEGMENT, start) for start in STARTS), ASSEMBLE_TASK]


@pytest.mark.parametrize("harm", [truncate, lambda store, key: store.put(key, b"{}")])
def test_a_damaged_note_of_a_task_is_no_reason_to_lose_the_film(
    painted: PaintedJob, tmp_path: Path, harm: Callable[[MemoryStore, str], None]
) -> None:
    bench = Bench(painted, tmp_path)
    key = keys.manifest(bench.job, TaskId(Stage.ANCHOR, painted.plan.chunks[1].start))
    bench.before = lambda task: task == ASSEMBLE_TASK and harm(bench.store, key)
    bench.work()
    assert bench.state == (JobState.SUCCEEDED, "")
    report = painted.job.report()
    assert report["film"]["notices"] == ["the report lacks 1 of the tasks: what they noted is damaged"]
    assert report["stages"]["anchor"]["tasks"] == len(painted.plan.chunks) - 1


def segment_key(bench: Bench, suffix: str) -> str:
    return keys.segment_film(bench.job, AT_CUT, suffix)


def altered(store: MemoryStore, key: str) -> None:
    """Whole, and with metadata that agree: only the manifest tells, or the record."""
    other = key.replace(f"{AT_CUT:08}", f"{FIRST:08}")
    store.put(key, store.get(other))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("undisturbed")
    return Bench(paint(folder), folder).work().film


@pytest.mark.parametrize("harm", [lose, truncate, altered])
@pytest.mark.parametrize("suffix", [".mp4", ".json"])
def test_a_damaged_segment_is_made_again_and_no_other(
    painted: PaintedJob, tmp_path: Path, undisturbed: bytes, harm: Callable[[MemoryStore, str], None], suffix: str
) -> None:
    bench, left = Bench(painted, tmp_path), [TaskId(Stage.SEGMENT, INSIDE)]

    def harm_once(task: TaskId) -> None:
        if task in left:
            left.remove(task)
            harm(bench.store, segment_key(bench, suffix))

    bench.after = harm_once
    bench.work()
    assert bench.state == (JobState.SUCCEEDED, "")
    again = [TaskId(Stage.SEGMENT, AT_CUT), ASSEMBLE_TASK]
    assert bench.done == [*(TaskId(Stage.SEGMENT, start) for start in STARTS), ASSEMBLE_TASK, *again]
    assert bench.film == undisturbed
    tasks = bench.ledger.tasks(bench.job).values()
    assert not any(item.error or item.damaged or item.attempt > 1 for item in tasks)


def test_films_and_segments_lie_in_the_cache_folder_and_not_where_the_system_keeps_small_files(
    painted: PaintedJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    bench, harms = Bench(painted, tmp_path), [lambda: truncate(bench.store, segment_key(bench, ".mp4"))]
    bench.before = lambda task: task == ASSEMBLE_TASK and harms and harms.pop()()  # a repair fetches one, too
    bench.work()
    assert bench.state == (JobState.SUCCEEDED, "")
    assert bench.done.count(TaskId(Stage.SEGMENT, AT_CUT)) == 2
    work = painted.farm.settings.cache_dir / "work"
    assert [path.name for path in work.iterdir()] == ["turn.lock"]


def test_a_segment_whose_manifest_is_lost_is_made_again(painted: PaintedJob, tmp_path: Path) -> None:
    bench, task = Bench(painted, tmp_path), TaskId(Stage.SEGMENT, AT_CUT)
    left = [TaskId(Stage.SEGMENT, INSIDE)]
    bench.after = lambda done: done in left and (left.clear(), bench.store.delete([keys.manifest(bench.job, task)]))
    bench.work()
    assert bench.state == (JobState.SUCCEEDED, "")
    assert bench.done.count(task) == 2


def test_a_segment_that_is_damaged_again_and_again_fails_the_job(painted: PaintedJob, tmp_path: Path) -> None:
    bench = Bench(painted, tmp_path)
    bench.before = lambda task: task == ASSEMBLE_TASK and truncate(bench.store, segment_key(bench, ".mp4"))
    bench.work()
    state, error = bench.state
    assert state is JobState.FAILED
    assert error.startswith(f"assemble: segment/{AT_CUT:08} can't be used (")
    assert error.endswith("found so 3 times")


def test_the_same_frames_make_the_same_segment_and_a_second_executor_adopts_it(
    painted: PaintedJob, tmp_path: Path
) -> None:
    bench = Bench(painted, tmp_path)
    painted.encode(bench.media, AT_CUT)
    first = {key: bench.store.get(key) for key in bench.segment_keys()}
    manifest = bench.store.get(keys.manifest(bench.job, TaskId(Stage.SEGMENT, AT_CUT)))
    painted.encode(bench.media, AT_CUT)
    assert {key: bench.store.get(key) for key in bench.segment_keys()} == first
    assert bench.store.get(keys.manifest(bench.job, TaskId(Stage.SEGMENT, AT_CUT))) == manifest
    bench.store.delete(first)
    painted.encode(bench.media, AT_CUT)
    assert {key: bench.store.get(key) for key in bench.segment_keys()} == first


def test_what_an_attempt_left_that_does_not_go_together_is_made_anew(painted: PaintedJob, tmp_path: Path) -> None:
    """Without a manifest yet: another release, or another machine's codec, wrote the film."""
    bench = Bench(painted, tmp_path)
    bench.store.put(segment_key(bench, ".mp4"), b"another film")
    bench.work()
    assert bench.state == (JobState.SUCCEEDED, "")
    assert bench.done.count(TaskId(Stage.SEGMENT, AT_CUT)) == 2


def test_a_cancel_ends_a_segment_and_nothing_is_stored(painted: PaintedJob, tmp_path: Path) -> None:
    media = MediaCache(painted.farm.store, tmp_path / "coordinator")
    beats = 0

    def check() -> None:
        nonlocal beats
        beats += 1
        if beats > 20:
            raise JobCanceled("it was canceled")

    message = TaskMessage(painted.job.name, Stage.SEGMENT, AT_CUT, 1)
    with pytest.raises(JobCanceled):
        encode_job_segment(Run(message, painted.farm.store, painted.farm.ledger, check), media, painted.work)
    assert not list(painted.farm.store.list(keys.segments(painted.job.name)))


def test_a_segment_is_queued_while_later_chunks_are_unpainted(painted: PaintedJob, tmp_path: Path) -> None:
    bench = Bench(painted, tmp_path)
    unpainted = [chunk.start for chunk in painted.plan.chunks if chunk.start >= AT_CUT]
    bench.store.delete([keys.manifest(bench.job, TaskId(Stage.STYLIZE, start)) for start in unpainted])
    bench.coordinator.advance(bench.job)
    queued = {message.task for message in bench.queue}
    assert TaskId(Stage.SEGMENT, 0) in queued
    assert {task.stage for task in queued} == {Stage.SEGMENT, Stage.STYLIZE}
    assert not queued & {TaskId(Stage.SEGMENT, AT_CUT), TaskId(Stage.SEGMENT, INSIDE), ASSEMBLE_TASK}
    bench.queue[:] = [message for message in bench.queue if message.stage is Stage.SEGMENT]
    bench.step()
    bench.coordinator.advance(bench.job, TaskId(Stage.SEGMENT, 0))
    assert bench.state == (JobState.RENDERING, "")
    record = from_json(Manifest, bench.store.get(keys.manifest(bench.job, TaskId(Stage.SEGMENT, 0))))
    assert [item.frame for item in record.frames] == [0]
