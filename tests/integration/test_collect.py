"""`farm gc` with both stores: what it takes, and above all what it leaves."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from clips import make_clip

from farm.cli.gc import seconds_of
from farm.client import Farm
from farm.collect import Collector, Garbage, Kind, in_use
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.errors import InvalidParameter, WaitTimeout
from farm.contract.messages import Manifest, Stage, TaskId, TaskMessage
from farm.contract.params import Params
from farm.contract.spec import Media, Output, Spec, Style
from farm.contract.states import JOB_ENDED, JobState, TaskState
from farm.ledger import JobRecord
from farm.png import png_bytes
from farm.redis_ledger import RedisLedger
from farm.settings import Settings
from farm.store import Store
from farm.testing import MemoryLedger, MemoryStore

DAY_S = 86400.0


class Bench:
    """A store with jobs in it."""

    def __init__(self, store: Store) -> None:
        self.store, self.ledger = store, MemoryLedger()

    def media(self, name: str) -> Media:
        data = name.encode()
        media = Media(hashlib.sha256(data).hexdigest(), ".png", len(data))
        self.store.put_once(keys.media(media), data)
        return media

    def job(self, name: str, state: JobState, ended_s: float) -> str:
        """A job whose every stage left something, ended so long ago."""
        source, style = self.media(f"{name} clip"), self.media("style of all")
        spec = Spec(name, source, (Style(style, "swirl"),), None, 48, Params(), Output(), weights_sha256="ab")
        job = spec.job
        self.store.put_once(keys.spec(job), to_json(spec))
        self.store.put_once(keys.plan(job), b"{}")
        segment = (keys.segment(job, 0), keys.segment_film(job, 0, ".mp4"))
        for key in (keys.anchor(job, 0), keys.stylized(job, 0), keys.stylized(job, 1), keys.blended(job, 1), *segment):
            self.store.put_once(key, b"frame")
        for task in (TaskId(Stage.PLAN), TaskId(Stage.ANCHOR), TaskId(Stage.STYLIZE)):
            manifest = Manifest(job, task.stage, task.start, 1, "one", "cpu", 0.0, 1.0)
            self.store.put_once(keys.manifest(job, task), to_json(manifest))
            self.ledger.move_task(job, task, TaskState.SUCCEEDED)
            self.store.put(keys.log(job, task, 1, "1:one"), b"hello")
        if state is JobState.SUCCEEDED:
            self.store.put(keys.output(job, "result.json"), b"{}")
        self.ledger.create_job(JobRecord(job, state, created_s=1.0, finished_s=time.time() - ended_s))
        return job

    def stored(self) -> set[str]:
        return set(self.store.list(""))

    def collect(self, older_than_s: float = 0.0, **how: bool) -> list[Garbage]:
        return Collector(self.store, self.ledger, older_than_s, **how).collect()


@pytest.fixture(params=["s3", "memory"])
def bench(request: pytest.FixtureRequest) -> Bench:
    return Bench(MemoryStore() if request.param == "memory" else request.getfixturevalue("s3_store"))


@pytest.mark.parametrize("state", [JobState.FAILED, JobState.CANCELED])
def test_of_a_job_that_came_to_nothing_spec_plan_and_media_stay(bench: Bench, state: JobState) -> None:
    job = bench.job("old", state, 8 * DAY_S)
    before = bench.stored()
    assert bench.collect(7 * DAY_S) == [Garbage(Kind.UNFINISHED, job, 11)]
    prefix = keys.job_prefix(job)
    left = {key.removeprefix(prefix) for key in bench.stored() if key.startswith(prefix)}
    assert left == {"spec.json", "plan.json", "manifests/plan/00000000.json"}
    assert {key for key in before if key.startswith("media/")} <= bench.stored()
    assert bench.ledger.tasks(job) == {}
    assert bench.collect(7 * DAY_S) == []


def test_a_dry_run_says_the_same_and_removes_nothing(bench: Bench) -> None:
    job = bench.job("old", JobState.FAILED, 8 * DAY_S)
    before = bench.stored()
    found = bench.collect(7 * DAY_S, dry_run=True)
    assert (found, bench.stored()) == ([Garbage(Kind.UNFINISHED, job, 11)], before)
    assert bench.ledger.task(job, TaskId(Stage.ANCHOR)).state is TaskState.SUCCEEDED
    assert bench.collect(7 * DAY_S) == found


def test_what_is_live_young_done_or_unknown_is_never_touched(bench: Bench) -> None:
    for state in (JobState.RENDERING, JobState.PAUSED, JobState.PAUSING, JobState.ASSEMBLING, JobState.CANCELING):
        job = bench.job(f"a {state} one", state, 8 * DAY_S)
    bench.job("young", JobState.FAILED, 6 * DAY_S)
    bench.job("done", JobState.SUCCEEDED, 8 * DAY_S)
    unknown = bench.job("unknown", JobState.FAILED, 8 * DAY_S)
    del bench.ledger._jobs[unknown]
    bench.store.put("elsewhere/file", b"not ours")
    bench.store.put("media/not-a-hash.png", b"not ours")
    before = bench.stored()
    assert bench.collect(7 * DAY_S) == []
    assert bench.stored() == before
    assert bench.ledger.task(job, TaskId(Stage.ANCHOR)).state is TaskState.SUCCEEDED


def test_a_task_that_still_runs_keeps_its_job(bench: Bench) -> None:
    job = bench.job("failing", JobState.RENDERING, 8 * DAY_S)
    task = TaskId(Stage.STYLIZE, 16)
    bench.ledger.move_task(job, task, TaskState.QUEUED, attempt=1)
    lease = bench.ledger.claim(TaskMessage(job, Stage.STYLIZE, 16, 1), "one", 30)
    assert lease is not None
    bench.ledger.move_job(job, JobState.FAILED, finished_s=1.0)
    assert bench.collect() == []
    bench.ledger.settle(lease, TaskState.CANCELED)
    assert [item.kind for item in bench.collect()] == [Kind.UNFINISHED]


@pytest.mark.parametrize("state", sorted(JOB_ENDED))
def test_the_ledger_forgets_the_tasks_of_jobs_that_ended_long_ago_and_keeps_the_jobs(
    bench: Bench, state: JobState
) -> None:
    old, young = bench.job("old", state, 8 * DAY_S), bench.job("young", state, 6 * DAY_S)
    live = bench.job("live", JobState.RENDERING, 8 * DAY_S)
    records, tasks = bench.ledger.jobs(), bench.ledger.tasks(young)
    bench.collect(7 * DAY_S, dry_run=True)
    assert len(bench.ledger.tasks(old)) == len(tasks) == 3
    bench.collect(7 * DAY_S)
    assert bench.ledger.tasks(old) == {}
    assert set(bench.ledger.tasks(live)) == set(bench.ledger.tasks(young)) == set(tasks)
    assert bench.ledger.jobs() == records


def test_frames_of_a_finished_job_go_where_asked_for(bench: Bench) -> None:
    job = bench.job("done", JobState.SUCCEEDED, 8 * DAY_S)
    assert bench.collect(7 * DAY_S, frames=True) == [Garbage(Kind.FRAMES, job, 6)]
    left = {
        key.removeprefix(keys.job_prefix(job)).partition("/")[0] for key in bench.stored() if key.startswith("jobs/")
    }
    assert left == {"spec.json", "plan.json", "manifests", "logs", "output"}


def test_media_that_no_spec_names_go_once_they_are_old(bench: Bench) -> None:
    bench.job("done", JobState.SUCCEEDED, 8 * DAY_S)
    named = bench.stored()
    bench.media("left behind")
    assert bench.collect(60.0) == []
    assert bench.collect() == [Garbage(Kind.MEDIA, "", 1)]
    assert bench.stored() == named


def test_media_of_a_submit_under_way_stay(bench: Bench) -> None:
    media = bench.media("being submitted")
    with in_use(bench.ledger, [media.sha256]):
        assert bench.collect() == []
    assert bench.collect() == [Garbage(Kind.MEDIA, "", 1)]


def test_media_of_a_submit_that_came_while_specs_were_read_stay(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    media = bench.media("just submitted")
    is_old = Collector._is_old

    def submit_then_look(self: Collector, key: str) -> bool:
        spec = Spec("new", media, (Style(media, "x"),), None, 48, Params(), Output(), weights_sha256="ab")
        bench.store.put_once(keys.spec(spec.job), to_json(spec))
        bench.ledger.create_job(JobRecord(spec.job))
        return is_old(self, key)

    monkeypatch.setattr(Collector, "_is_old", submit_then_look)
    assert bench.collect() == []
    assert keys.media(media) in bench.stored()


def test_a_submit_waits_for_a_collection_of_its_media(bench: Bench) -> None:
    media = bench.media("wanted again")
    bench.ledger.mark(f"collect:{media.sha256}", 30)
    with pytest.raises(WaitTimeout, match="is being collected"), in_use(bench.ledger, [media.sha256], patience_s=0.2):
        pytest.fail("it went on")
    began = time.monotonic()
    threading.Timer(0.3, lambda: bench.ledger.unmark(f"collect:{media.sha256}")).start()
    with in_use(bench.ledger, [media.sha256], patience_s=10):
        assert time.monotonic() - began > 0.2


def test_a_job_resumed_in_the_last_moment_is_left_alone(bench: Bench) -> None:
    job = bench.job("old", JobState.FAILED, 8 * DAY_S)
    before = bench.stored()
    with in_use(bench.ledger, [job]):
        assert bench.collect() == []
    assert bench.stored() == before


def test_submit_and_collect_side_by_side_lose_nothing(redis_url: str, tmp_path: Path) -> None:
    """Many submits of one clip, in jobs of its own each, against a collector that never rests."""
    settings = Settings(redis_url=redis_url, home=tmp_path, cache_dir=tmp_path)
    clip = make_clip(tmp_path / "clip.mp4", frames=2).path
    style = tmp_path / "style.png"
    style.write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))
    store, ended = MemoryStore(), threading.Event()
    farm = Farm(settings, store, RedisLedger(redis_url))

    def collect() -> None:
        collector = Collector(store, RedisLedger(redis_url), older_than_s=-1.0)
        while not ended.is_set():
            collector.collect()

    thread = threading.Thread(target=collect)
    thread.start()
    try:
        for number in range(10):
            for key in list(store.list("jobs/")):  # so that every submit finds its media without a name
                store.delete([key])
            job = farm.submit(clip, style, params=replace(Params(), seed=number), size_px=64)
            named = [job.spec.source, *(item.media for item in job.spec.styles)]
            assert all(store.head(keys.media(media)) for media in named), number
    finally:
        ended.set()
        thread.join(10)


@pytest.mark.parametrize(("text", "seconds"), [("7d", 7 * DAY_S), ("12h", 43200.0), ("1.5min", 90.0), ("0s", 0.0)])
def test_ages(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "-1d", "a week", "nan d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameter, match="is no age; give"):
        seconds_of(text)
