"""A farm to be hurt: real Redis and S3 server, a coordinator and workers as processes that can be killed and replaced.

All of them reach the store through the fault proxy. A job is proven by comparing it with an undisturbed run.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import psutil
from chaos.leftovers import Leftovers
from chaos.proxy import FaultProxy
from clips import make_clip
from redis import Redis

from farm.client import Farm, Job
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.messages import Manifest, Queue, Stage, TaskId
from farm.contract.params import Params
from farm.contract.plan import Plan
from farm.contract.states import JobState, TaskState
from farm.coordinator.graph import ASSEMBLE_TASK, PLAN_TASK, render_tasks
from farm.settings import Settings
from farm.stack import Stack
from farm.store import S3Store

MARK = "CHAOS_YARD"
"""Environment variable that every process of a yard inherits: its home."""

ROOT = Path(__file__).parents[2]
WAIT_S = 240.0
CLEAN_S = 60.0
FRAMES, CHUNK_FRAMES = 16, 4
PARAMS = Params(steps=3, steps_anchor=2, steps_next=2, steps_settle=1, pyramid=1, blend_frames=2)
"""Enough painting to be interrupted; these tests judge the farm, not the picture."""

BASE = {
    "threads": 1,
    "device": "cpu",
    "lease_s": 3.0,
    "sweep_s": 0.5,
    "visibility_timeout_s": 5,
    # Many deaths in a short time: here they are the test's fault, neither the tasks' nor the workers'.
    "max_attempts": 50,
    "max_failed_tasks": 50,
    "elsewhere_s": 1.0,
    "quarantine_s": 2.0,
}


def until(ready: Callable[[], Any], what: str, timeout_s: float = WAIT_S) -> Any:
    """What `ready` gives once it gives something."""
    deadline = time.monotonic() + timeout_s
    while not (found := ready()):
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.05)
    return found


@dataclass(frozen=True)
class Painted:
    """What a job left: SHA-256 of each stored frame by its key below the job, and of each frame of the film."""

    frames: dict[str, str]
    film: tuple[str, ...]


class Yard:
    """One farm. `start` and `kill` know its processes by name."""

    def __init__(self, home: Path, frames: int = FRAMES, **settings: Any) -> None:
        self.home, self.frames = home, frames
        self.log_dir = home / "logs"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._base = replace(Settings(home=home / "stack", cache_dir=home / "cache"), **{**BASE, **settings})
        self._stack = Stack(home / "stack", self._base)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        services = self.start_services()
        self.proxy = FaultProxy(services.s3_endpoint)
        self.settings = replace(services, s3_endpoint=self.proxy.url)
        self.store = S3Store.from_settings(services)  # the truth, past the proxy
        self.farm = Farm.from_settings(self.settings)
        self.redis: Any = Redis.from_url(services.redis_url, decode_responses=True)
        self.clip = make_clip(home / "clip.mp4", frames=frames, audio="aac").path

    def start_services(self) -> Settings:
        """Start Redis and the S3 server, or whichever of them is missing, on the ports they had."""
        return self._stack.up(parts=("redis", "store")).settings

    def service_pid(self, name: str) -> int:
        """The process of `redis` or `store`."""
        return next(part.pid for part in self._stack.status().parts if part.name == name)

    def pid(self, name: str) -> int:
        """The process of a part that runs here, by its name."""
        return self._processes[name].pid

    def start(self, name: str, module: str, **extra: str) -> subprocess.Popen[bytes]:
        """Start a process, in a session of its own; its output goes to a log."""
        environ = {name: value for name, value in os.environ.items() if not name.startswith("FARM_")}
        environ |= self.settings.environ() | {"FARM_WORKER_NAME": name, "OMP_NUM_THREADS": "1", MARK: str(self.home)}
        environ |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "tests"), str(ROOT)])} | extra
        with (self.log_dir / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module], env=environ, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self._processes[name] = process
        return process

    def start_coordinator(self) -> None:
        """An ordinary coordinator."""
        self.start("coordinator", "farm.coordinator")

    def start_worker(self, name: str) -> None:
        """An ordinary worker."""
        self.start(name, "worker")

    def kill(self, name: str, *, group: bool = True) -> None:
        """SIGKILL the process and, with `group`, all of its children in the same moment."""
        process = self._processes.pop(name)
        if process.poll() is None:
            (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
        process.wait(10)

    def stop(self, name: str) -> None:
        """SIGTERM, as a service manager would."""
        process = self._processes.pop(name, None)
        if process is None:
            return
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)

    def end(self, *names: str) -> float:
        """SIGTERM to each process, not to its children; seconds until none of them is left, nor of their children."""
        processes = [self._processes.pop(name) for name in names]
        children = [child for process in processes for child in psutil.Process(process.pid).children(recursive=True)]
        began_s = time.monotonic()
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
        left = psutil.wait_procs(children, timeout=30)[1]
        assert not left, f"{left} outlived their parent"
        return time.monotonic() - began_s

    def await_parts(self, workers: int) -> None:
        """Wait until a coordinator and so many workers say that they are alive, each with a process that is."""

        def alive() -> bool:
            found = [info for info in self.farm.ledger.workers() if psutil.pid_exists(info.pid)]
            painters = {info.name for info in found if Queue.STYLIZE in info.queues}
            return len(painters) >= workers and any(info.is_coordinator for info in found)

        until(alive, f"a coordinator and {workers} workers")

    def revive(self, workers: Sequence[str]) -> None:
        """Start what is missing or died."""
        self.start_services()
        for name in self.dead():
            self.kill(name)
        if "coordinator" not in self._processes:
            self.start_coordinator()
        for name in workers:
            if name not in self._processes:
                self.start_worker(name)
        self.await_parts(len(workers))

    def dead(self) -> list[str]:
        """Processes that ended although nobody asked them to."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def painter_pid(self, name: str) -> int | None:
        """The worker's pool process, by its own word."""
        found = (info for info in self.farm.workers() if info.name.startswith(f"{name}@"))
        return next((info.pid for info in found if psutil.pid_exists(info.pid)), None)

    def submit(self, clip: Path | None = None, **how: Any) -> Job:
        """A new job each time."""
        options = {"params": PARAMS, "size_px": 64, "chunk_frames": CHUNK_FRAMES, "again": True, **how}
        return self.farm.submit(clip or self.clip, "swirl", **options)

    def finish(self, job: Job) -> None:
        """Wait for the film."""
        until(lambda: self.job_state(job) in (JobState.SUCCEEDED, JobState.FAILED), f"the film of {job.name}")
        record = self.farm.ledger.job(job.name)
        assert record is not None
        assert record.state is JobState.SUCCEEDED, record.error

    def job_state(self, job: Job) -> JobState | None:
        """The job's state; None where the ledger does not know it."""
        record = self.farm.ledger.job(job.name)
        return record.state if record else None

    def running(self, job: Job, *stages: Stage) -> list[TaskId]:
        """The job's tasks that are being worked on."""
        tasks = self.farm.ledger.tasks(job.name)
        wanted = stages or (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND)
        return [task for task, item in tasks.items() if item.state is TaskState.RUNNING and task.stage in wanted]

    def painted_keys(self, job: Job) -> list[str]:
        """The keys of all frames the job has in the store."""
        prefix = keys.job_prefix(job.name)
        return [key for folder in ("anchors/", "stylized/", "blended/") for key in self.store.list(prefix + folder)]

    def painted(self, job: Job) -> Painted:
        """What the job left in the store."""
        prefix = keys.job_prefix(job.name)
        found = {
            key.removeprefix(prefix): hashlib.sha256(self.store.get(key)).hexdigest() for key in self.painted_keys(job)
        }
        return Painted(found, _film_frames(job.fetch(self.home / f"{job.name}.mp4")))

    def painted_twice(self, job: Job) -> int:
        """Frames that were painted and sent more often than once; a chunk's first frame is its anchor's copy."""
        prefix = keys.job_prefix(job.name)
        copies = {f"{prefix}stylized/{chunk.start:08d}.png" for chunk in self._plan(job).chunks}
        sent = {(put.key, put.invocation) for put in self.proxy.puts(prefix) if put.key.endswith(".png")}
        frames = [key for key, _ in sent if "/output/" not in key and key not in copies]
        return sum(count - 1 for count in Counter(frames).values())

    def first_stored_s(self, job: Job, after_s: float) -> float:
        """When the job's next object was stored, by time.monotonic()."""
        puts = self.proxy.puts(keys.job_prefix(job.name))
        return next(put.at_s for put in puts if put.stored and put.at_s > after_s)

    def lost(self, job: Job, reference: Painted) -> int:
        """Frames of the undisturbed run that are not there, or are others."""
        stored = self.painted(job).frames
        return sum(stored.get(key) != sha256 for key, sha256 in reference.frames.items())

    def check_complete(self, job: Job, reference: Painted) -> None:
        """The film and every frame are the undisturbed run's; each frame is in one manifest of its stage."""
        painted = self.painted(job)
        assert painted.frames.keys() == reference.frames.keys()
        assert painted == reference
        assert len(painted.film) == self.frames
        plan = self._plan(job)
        found = {
            keys.task_of_manifest(key): from_json(Manifest, self.store.get(key))
            for key in self.store.list(keys.manifests(job.name))
        }
        assert set(found) == {PLAN_TASK, ASSEMBLE_TASK, *render_tasks(plan)}
        prefix = keys.job_prefix(job.name)
        for folder, stage in (("anchors", Stage.ANCHOR), ("stylized", Stage.STYLIZE), ("blended", Stage.BLEND)):
            records = [item for task, one in found.items() if task.stage is stage for item in one.frames]
            assert len({item.frame for item in records}) == len(records), f"a frame is in two manifests of {stage}"
            stored = {f"{folder}/{item.frame:08d}.png": item.sha256 for item in records}
            assert stored == {key: sha for key, sha in painted.frames.items() if key.startswith(folder)}
        assert self.store.head(f"{prefix}output/result.json") is not None

    def check_clean(self) -> None:
        """No lease, no message and no key without an owner in Redis; no process but those that are meant to run."""
        deadline = time.monotonic() + CLEAN_S
        left = Leftovers(self.redis, self.farm.ledger, self.settings.visibility_timeout_s)
        while found := left.ownerless():
            assert time.monotonic() < deadline, f"without an owner in Redis: {[left.shown(key) for key in found]}"
            time.sleep(0.2)
        assert self.dead() == []
        until(lambda: not self.strays(), "stray processes to end", 20.0)

    def strays(self) -> list[int]:
        """Processes of this yard that descend from none of those it means to run."""
        ours: set[int] = set()
        for process in self._processes.values():
            try:
                family = psutil.Process(process.pid)
                ours |= {family.pid, *(child.pid for child in family.children(recursive=True))}
            except psutil.Error:
                continue
        return [process.pid for process in psutil.process_iter() if process.pid not in ours and self._is_mine(process)]

    def _is_mine(self, process: psutil.Process) -> bool:
        try:
            mine = process.environ().get(MARK) == str(self.home)
            return mine and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.Error, OSError):
            return False

    def _plan(self, job: Job) -> Plan:
        return from_json(Plan, self.store.get(keys.plan(job.name)))

    def close(self) -> None:
        """End everything."""
        for name in list(self._processes):
            self._processes[name].terminate()
        for name in list(self._processes):
            self.stop(name)
        for pid in self.strays():
            os.kill(pid, signal.SIGKILL)
        self.proxy.close()
        self.redis.close()
        self._stack.down()


def _film_frames(path: Path) -> tuple[str, ...]:
    """PTS and pixels of each frame, hashed: read without the farm's own code."""
    with av.open(str(path)) as container:
        frames = [(frame.pts, frame.to_ndarray(format="rgb24").tobytes()) for frame in container.decode(video=0)]
    path.unlink()
    return tuple(hashlib.sha256(f"{pts}".encode() + pixels).hexdigest() for pts, pixels in frames)
