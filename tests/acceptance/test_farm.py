"""One farm, real parts, two worker processes: from a clip to its film."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from acceptance.conftest import QUICK
from clips import Clip, make_clip
from held import Held
from numpy.typing import NDArray

from farm import video
from farm.client import Farm, Job
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.messages import Manifest, Stage, TaskId
from farm.contract.params import Params
from farm.contract.plan import FrameRange, Plan
from farm.contract.spec import Codec, Output
from farm.contract.states import JobState, TaskState
from farm.frames import FinalFrames
from farm.lease import LeaseKeeper
from farm.png import png_read
from farm.segments import segments
from farm.stack import Stack
from farm.status import JobStatus

WAIT_S = 90.0
NOTICED_S = 4 * LeaseKeeper.POLL_S
"""After this long, work that looks for what should stop it has seen that."""

pytestmark = pytest.mark.timeout(150)


def times(path: Path) -> tuple[list[Fraction], list[tuple[int, int]]]:
    """When each frame of a film is shown, in seconds, and each frame's size: read without the farm's own code."""
    with av.open(str(path)) as container:
        base = container.streams.video[0].time_base
        frames = list(container.decode(video=0))
    return [Fraction(frame.pts) * base for frame in frames], [(frame.width, frame.height) for frame in frames]


def wait_until(ready: Callable[[], Any], timeout_s: float = 60.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (found := ready()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)
    return found


def manifests(job: Job) -> dict[TaskId, Manifest]:
    store = job.farm.store
    return {
        keys.task_of_manifest(key): from_json(Manifest, store.get(key)) for key in store.list(keys.manifests(job.name))
    }


def stylized(job: Job) -> dict[str, bytes]:
    prefix = keys.job_prefix(job.name)
    return {key.removeprefix(prefix): job.farm.store.get(key) for key in job.farm.store.list(prefix + "stylized/")}


CARRIED = replace(QUICK, steps_anchor=6, steps_next=0)
"""For long films: after the anchors, frames are carried and not painted."""


def painted(farm: Farm, clip: Path, params: Params = QUICK, **how: Any) -> Job:
    job = farm.submit(clip, "swirl", params=params, **how)
    job.wait(timeout_s=WAIT_S)
    return job


CLIPS: dict[str, dict[str, Any]] = {
    "constant rate with sound": {"audio": "aac", "frames": 12},
    "variable rate": {"vfr": True, "frames": 9},
    "turned by its metadata": {"rotation": 90, "frames": 6},
    "no sound": {"frames": 6},
    "odd size": {"size": (97, 63), "pix_fmt": "yuv444p", "frames": 6},
    "a single frame": {"frames": 1},
}


@pytest.mark.parametrize("kind", CLIPS)
def test_a_film_has_the_clips_frames_at_the_clips_times(farm: Farm, tmp_path: Path, kind: str) -> None:
    clip: Clip = make_clip(tmp_path / "clip.mp4", **CLIPS[kind])
    job = painted(farm, clip.path, size_px=64, chunk_frames=4)
    film = job.fetch(tmp_path / "film.mp4")
    shown, sizes = times(film)
    assert shown == [pts * clip.time_base for pts in clip.pts]
    width, height = sizes[0]
    assert set(sizes) == {(width, height)}
    assert max(width, height) == 64
    assert (width < height) == (kind == "turned by its metadata")
    assert job.report()["film"]["sound_tracks"] == ("sound" in kind and kind != "no sound")


def test_sound_is_kept_packet_for_packet(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "clip.mp4", frames=8, audio="aac")
    film = painted(farm, clip.path, size_px=64, chunk_frames=4).fetch(tmp_path / "film.mp4")

    def sound(path: Path) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

    assert sound(film) == sound(clip.path) != []


def test_two_workers_share_one_job(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "shared.mp4", frames=32)
    job = painted(farm, clip.path, size_px=96, chunk_frames=4)
    done = manifests(job)
    assert len({item.worker for task, item in done.items() if task.stage is Stage.STYLIZE}) == 2
    frames = sorted(frame.frame for task, item in done.items() if task.stage is Stage.STYLIZE for frame in item.frames)
    assert frames == list(range(32))
    painting = [item for task, item in done.items() if task.stage in (Stage.STYLIZE, Stage.BLEND)]
    assert {item.versions["precision"] for item in painting} == {"float32"}
    assert len([task for task in done if task.stage is Stage.BLEND]) == 7


def encoding_errors(film: Path, frames: Sequence[NDArray[np.uint8]]) -> list[float]:
    """What the encoder changed in each frame, as the mean square."""
    with av.open(str(film)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    pairs = zip(images, frames, strict=True)
    return [float(np.mean((image.astype(float) - frame) ** 2)) for image, frame in pairs]


def test_a_film_is_encoded_in_segments_while_it_is_painted(farm: Farm, tmp_path: Path) -> None:
    """The whole farm, and a film of three segments: encoded in time, joined without a seam, and cleared away."""
    clip = make_clip(tmp_path / "long.mp4", frames=294, audio="aac", vfr=True, cuts=(100,))
    job = painted(farm, clip.path, CARRIED, size_px=48, chunk_frames=24)
    done = manifests(job)
    plan = from_json(Plan, farm.store.get(keys.plan(job.name)))
    joins = [segment.start for segment in segments(plan)]
    assert len(joins) == 3
    assert sorted(task.start for task in done if task.stage is Stage.SEGMENT) == joins
    last_painted_s = max(item.finished_s for task, item in done.items() if task.stage in (Stage.STYLIZE, Stage.BLEND))
    first = done[TaskId(Stage.SEGMENT, joins[1])]  # in the longer shot, whose chunks go first
    assert first.finished_s < last_painted_s
    film = job.fetch(tmp_path / "film.mp4")
    assert times(film)[0] == [pts * clip.time_base for pts in clip.pts]
    final = FinalFrames(job.name, plan)
    frames = [png_read(farm.store.get(final.key(number))) for number in range(294)]
    index = from_json(video.FrameIndex, farm.store.get(keys.index(job.name)))
    whole = tmp_path / "whole.mp4"
    video.encode_segment(whole, frames, index=index, segment=FrameRange(0, 294), output=Output())
    joined, in_one_go = encoding_errors(film, frames), encoding_errors(whole, frames)
    around = [join + step for join in joins[1:] for step in (-1, 0, 1)]
    assert max(joined[number] / in_one_go[number] for number in around) < 1.2
    assert max(joined[number] for number in around) < 2 * np.median(joined)
    wait_until(lambda: not list(farm.store.list(keys.segments(job.name))))


def test_the_same_submit_twice_is_one_job_and_its_films_are_the_same_bytes(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "twice.mp4", frames=6)
    first = painted(farm, clip.path, size_px=64, chunk_frames=3)
    second = farm.submit(clip.path, "swirl", params=QUICK, size_px=64, chunk_frames=3)
    assert second.name == first.name
    films = [job.fetch(tmp_path / f"{n}.mp4").read_bytes() for n, job in enumerate((first, second))]
    assert films[0] == films[1]
    again = painted(farm, clip.path, size_px=64, chunk_frames=3, again=True)
    assert again.name != first.name
    assert stylized(again) == stylized(first)


def test_the_painting_is_of_the_style_and_not_the_clip(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "look.mp4", frames=3)
    job = painted(farm, clip.path, size_px=64, chunk_frames=3)
    frame = png_read(farm.store.get(keys.stylized(job.name, 1)))
    with av.open(str(clip.path)) as container:
        images = [item.to_ndarray(format="rgb24") for item in container.decode(video=0)]
    source = cv2.resize(images[1], (frame.shape[1], frame.shape[0]), interpolation=cv2.INTER_AREA)
    assert frame.shape == source.shape
    assert np.abs(frame.astype(int) - source).mean() > 3  # it was painted
    assert np.corrcoef(frame.mean(axis=2).ravel(), source.mean(axis=2).ravel())[0, 1] > 0.5  # and is still the clip


def test_chunks_never_cross_a_cut(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "cut.mp4", frames=24, cuts=(12,))
    plan = painted(farm, clip.path, size_px=64, chunk_frames=8).report()["plan"]
    assert plan["cuts"] == [12]
    assert plan["chunks"] == [[0, 6], [6, 12], [12, 18], [18, 24]]
    assert [start for start, _ in plan["boundaries"]] == [6, 18]


@pytest.mark.parametrize("codec", [Codec.HEVC, Codec.FFV1, Codec.PRORES])
def test_films_in_other_codecs(farm: Farm, tmp_path: Path, codec: Codec) -> None:
    clip = make_clip(tmp_path / "codec.mp4", frames=4)
    job = painted(farm, clip.path, size_px=64, chunk_frames=4, output=Output(codec))
    film = job.fetch(tmp_path / f"film{Output(codec).suffix}")
    with av.open(str(film)) as container:
        assert container.streams.video[0].codec_context.name.startswith(str(codec))
    assert len(times(film)[0]) == 4


def test_a_canceled_job_stops_and_resumes_to_the_same_frames(
    farm: Farm, tmp_path: Path, hold: Callable[..., Held]
) -> None:
    clip = make_clip(tmp_path / "stop.mp4", frames=40)
    job = farm.submit(clip.path, "swirl", params=QUICK, size_px=96, chunk_frames=20, hold=True)
    held = hold(job, passed=3)
    wait_until(lambda: held.waiting)
    job.cancel()
    time.sleep(NOTICED_S)
    held.free()
    wait_until(lambda: job.status().state is JobState.CANCELED, 20)
    done = len(stylized(job))
    assert 3 <= done < 40
    job.resume()
    job.wait(timeout_s=WAIT_S)
    whole = painted(farm, clip.path, size_px=96, chunk_frames=20, again=True)
    assert stylized(job) == stylized(whole)


def test_a_forgetful_redis_loses_nothing(farm: Farm, tmp_path: Path) -> None:
    clip = make_clip(tmp_path / "wiped.mp4", frames=24)
    job = farm.submit(clip.path, "swirl", params=QUICK, size_px=96, chunk_frames=8)
    wait_until(lambda: any(task.stage is Stage.STYLIZE for task in manifests(job)))
    before = stylized(job)
    farm.ledger._redis.flushall()  # type: ignore[attr-defined]
    job.resume()
    job.wait(timeout_s=WAIT_S)
    after = stylized(job)
    assert len(after) == 24
    assert {name: after[name] for name in before} == before
    assert len(times(job.fetch(tmp_path / "film.mp4"))[0]) == 24


def test_a_killed_painter_costs_time_and_nothing_else(farm: Farm, tmp_path: Path, hold: Callable[..., Held]) -> None:
    clip = make_clip(tmp_path / "killed.mp4", frames=40)
    job = farm.submit(clip.path, "swirl", params=QUICK, size_px=96, chunk_frames=20, hold=True)
    task, held = TaskId(Stage.STYLIZE, 0), hold(job, passed=2)

    def painter() -> int | None:
        record = farm.ledger.tasks(job.name).get(task)
        if record is None or record.state is not TaskState.RUNNING or not held.waiting:
            return None
        return next((info.pid for info in farm.workers() if info.name == record.worker), None)

    os.kill(wait_until(painter), signal.SIGKILL)
    held.free()
    job.wait(timeout_s=WAIT_S)
    assert manifests(job)[task].attempt == 2
    assert len(stylized(job)) == 40


def test_progress_is_told_until_the_end(farm: Farm, tmp_path: Path) -> None:
    seen: list[JobStatus] = []
    clip = make_clip(tmp_path / "progress.mp4", frames=8)
    job = farm.submit(clip.path, "wheat", params=QUICK, size_px=64, chunk_frames=4)
    job.wait(on_progress=seen.append, timeout_s=WAIT_S, poll_s=0.05)
    fractions = [status.fraction for status in seen]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert seen[-1].state is JobState.SUCCEEDED
    assert {stage.stage: (stage.tasks_done, stage.frames_done) for stage in seen[-1].stages} == {
        Stage.PLAN: (1, 8),
        Stage.ANCHOR: (2, 2),
        Stage.STYLIZE: (2, 8),
        Stage.BLEND: (1, 3),
        Stage.SEGMENT: (1, 8),
        Stage.ASSEMBLE: (1, 8),
    }


def test_workers_say_what_they_are(farm: Farm, farm_stack: Stack) -> None:
    workers = wait_until(lambda: len(found := farm.workers()) == 2 and found)
    assert {info.threads for info in workers} == {1}
    assert all("efficientnet_lite0" in info.weights for info in workers)
    assert all("torch" in info.versions for info in workers)
    assert farm_stack.status().running
