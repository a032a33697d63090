"""The benchmark's own private farm: jobs are painted once and kept, so a repeated or interrupted run pays for the rest.

The farm lies in a folder named for the code that paints: painted by other code, a frame is another frame, though its
job has the same name.
"""

from __future__ import annotations

import ast
import hashlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Lock

from bench.pace import Pace, afresh_factor, clock, units
from farm import video
from farm.client import Farm, Job
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import FarmError, JobFailed, JobNotFound, WaitTimeout
from farm.contract.messages import Manifest, Stage
from farm.contract.params import Backbone, Coherence, Params
from farm.contract.plan import Plan
from farm.contract.states import JobState
from farm.frames import FinalFrames
from farm.settings import Settings
from farm.stack import Stack, private_stack
from farm.status import JobStatus
from farm.style_file import load_styles

ROOT = Path(__file__).parents[1]
FARMS = ROOT / "out" / "bench-picture"
PAINTING_CODE = (
    "worker/**/*.py",
    "farm/motion.py",
    "farm/plan.py",
    "farm/shots.py",
    "farm/frames.py",
    "farm/png.py",
    "farm/video/*.py",
)
NOT_PAINTING = (
    "worker/app.py", "worker/tasks.py", "worker/device.py", "worker/__main__.py",
    "farm/video/clock.py", "farm/video/encoder.py", "farm/video/muxer.py", "farm/video/readback.py",
)  # fmt: skip
JOB_LIMIT_S = 3 * 3600.0
SAY_EVERY_S = 60.0
REGISTER_FILE = "painted.json"
"""Which job an ask became: in the farm's folder."""
STORED_BEFORE_CANCEL = 3
INTERRUPT_LIMIT_S, POLL_S = 600.0, 0.1

ANCHOR_FRAMES = 8
"""What an anchor costs, in frames that follow: its lead-in, more steps, and the way there."""
VGG19_FACTOR = 16.0
"""What a step of VGG19 costs, in steps of the default backbone (`make bench`)."""

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ask:
    """One job to paint."""

    clip: Path
    frames: int
    style: str
    size_px: int
    chunk_frames: int
    params: Params = field(default_factory=Params)

    @property
    def label(self) -> str:
        """For people: clip, style, chunks, coherence."""
        params = self.params
        chunks = "one chunk a shot" if params.coherence is Coherence.SEQUENTIAL else f"chunks of {self.chunk_frames}"
        weight = "" if params.temporal_weight == Params().temporal_weight else f", temporal {params.temporal_weight:g}"
        backbone = "" if params.backbone == Params().backbone else f", {params.backbone}"
        return f"{self.clip.stem}, {self.style}, {chunks}, {params.coherence}{weight}{backbone}"

    @property
    def afresh(self) -> bool:
        """Whether each of its frames is painted from nothing."""
        return self.params.coherence is Coherence.LEGACY or self.chunk_frames == 1

    @property
    def work(self) -> float:
        """Its work in `bench.pace` units."""
        info, afresh = video.probe(self.clip), afresh_factor(self.params)
        linked = self.params.coherence in (Coherence.BLEND, Coherence.ANCHORS)
        anchors = (self.frames - 1) // self.chunk_frames if linked else 0
        frames = self.frames * afresh if self.afresh else self.frames - 1 + afresh + anchors * ANCHOR_FRAMES
        factor = VGG19_FACTOR if self.params.backbone is Backbone.VGG19 else 1.0
        return units(frames, video.frame_size(info.width, info.height, self.size_px), factor)


class Workshop:
    """The running farm, with what the benchmark asks of it."""

    def __init__(self, home: Path, code: str, farm: Farm, say: Say, workers: int = 1) -> None:
        self.farm = farm
        self.home = home
        self.code = code  # what paints here
        self._began_with = painter_code()
        self._say = say
        self._jobs: dict[Ask, Job] = {}
        self._workers = workers
        self._registering = Lock()
        self._ending = Event()

    def widen(self, workers: int) -> None:
        """Go on with so many workers, each with as many threads as the first; as many jobs are painted at once."""
        if workers > self._workers:
            more = settings_for(self.home, self.farm.settings.threads * workers)
            Stack(self.home, more).up(workers=workers, flower=False)
            self._workers = workers

    def paint(self, asks: Sequence[Ask]) -> dict[Ask, Job]:
        """Paint what is not painted yet, as many jobs at once as there are workers."""
        wanted = [ask for ask in dict.fromkeys(asks) if ask not in self._jobs]
        pace = Pace(sum(ask.work for ask in wanted))
        titles = [f"[{number}/{len(wanted)}] {ask.label}" for number, ask in enumerate(wanted, start=1)]
        with ThreadPoolExecutor(self._workers, thread_name_prefix="jobs") as pool, self._ended_by_error():
            done = pool.map(lambda ask, title: self._painted(ask, title, pace), wanted, titles)
            self._jobs |= dict(zip(wanted, done, strict=True))
        return {ask: self._jobs[ask] for ask in asks}

    @contextmanager
    def _ended_by_error(self) -> Iterator[None]:
        """On an error, and on Ctrl-C, nobody waits for the jobs under way: the farm keeps what they have."""
        self._ending.clear()
        try:
            yield
        except BaseException:
            self._ending.set()
            raise

    def known(self, ask: Ask) -> Job | None:
        """The job of `ask` where this farm has its film already, of the style as it is today; nothing is painted."""
        return self._registered(repr(ask), ask)

    @property
    def code_changed(self) -> bool:
        """Whether the code that paints was edited since the farm was started: a worker started now paints otherwise."""
        return painter_code() != self._began_with

    def again(self, name: str, ask: Ask, during: Callable[[Job], None] = lambda _job: None) -> Job:
        """The job painted once more under another name, by which a later run finds it.

        `during` is called when it has been submitted, and may cancel and resume it.
        """
        key = f"{name}: {ask!r}"
        if (job := self._registered(key, ask)) is not None:
            self._say(f"{name}: painted before")
            return job
        self._say(f"{name}: {ask.label}")
        job = self._submit(ask, again=True)
        during(job)
        job.wait(timeout_s=JOB_LIMIT_S)
        self._register(key, job)
        return job

    def _registered(self, key: str, ask: Ask) -> Job | None:
        name = self._register_now().get(key)
        with suppress(JobNotFound, JobFailed):
            if name is not None and (job := self.farm.job(name)).status().state is JobState.SUCCEEDED:
                return job if self._has_style(job, ask) else None
        return None

    def _has_style(self, job: Job, ask: Ask) -> bool:
        """Whether the job has the style's very picture: an ask has its name alone, which outlasts an edit."""
        wanted = {file.media.sha256 for file in load_styles(ask.style, self.farm.settings)}
        return {style.media.sha256 for style in job.spec.styles} == wanted

    def _register(self, key: str, job: Job) -> None:
        with self._registering:
            (self.home / REGISTER_FILE).write_text(json.dumps({**self._register_now(), key: job.name}, indent=1))

    def _register_now(self) -> dict[str, str]:
        file = self.home / REGISTER_FILE
        return dict(json.loads(file.read_text())) if file.is_file() else {}

    def _painted(self, ask: Ask, title: str, pace: Pace) -> Job:
        began_s, work = time.monotonic(), ask.work
        if (job := self.known(ask)) is not None:
            pace.found(work)
            self._say(f"{title}: painted before")
            return job
        job = self._submit(ask)
        self._say(f"{title}: {ask.frames} frames, {clock(pace.left_s())} left in all")
        said_s = time.monotonic()

        def follow(status: JobStatus) -> None:
            nonlocal said_s
            if self._ending.is_set():
                raise FarmError(f"{job.name} was left before its end; the next run goes on with it", job=job.name)
            if time.monotonic() - said_s >= SAY_EVERY_S:
                said_s = time.monotonic()
                left_s = pace.left_s(work, status.fraction, (said_s - began_s) / self._workers)
                self._say(f"{title.split(maxsplit=1)[0]} {status.fraction:4.0%}, {clock(left_s)} left in all")

        job.wait(follow, timeout_s=JOB_LIMIT_S)
        pace.painted(work, (time.monotonic() - began_s) / self._workers)
        self._register(repr(ask), job)
        self._say(f"{title}: done in {clock(time.monotonic() - began_s)}")
        return job

    def _submit(self, ask: Ask, *, again: bool = False) -> Job:
        job = self.farm.submit(
            ask.clip,
            ask.style,
            size_px=ask.size_px,
            chunk_frames=ask.chunk_frames,
            params=ask.params,
            again=again,
        )
        if job.status().state in (JobState.FAILED, JobState.CANCELED):
            job.resume()
        return job


@contextmanager
def workshop(threads: int, say: Say, home: Path | None = None, workers: int = 1) -> Iterator[Workshop]:
    """The benchmark's farm for the length of a `with`: one worker with `threads` threads, or so many.

    `home`: another folder than that of the code that paints; what other code painted there, of the styles as they are
    today, is taken as it is.
    """
    code = painter_code()
    where = (home or FARMS / code).absolute()
    say(f"farm: {where}, {threads} threads")
    settings = settings_for(where, threads)
    with private_stack(where, settings=settings, workers=workers) as info:
        painted_by = code if home is None else f"of the kept farm {home.name}"
        yield Workshop(where, painted_by, Farm.from_settings(info.settings), say, workers)


def painted_before(home: Path | None = None) -> bool:
    """Whether the farm of the code that paints, or that in `home`, has painted anything."""
    return ((home or FARMS / painter_code()) / REGISTER_FILE).is_file()


def default_workers(threads: int) -> int:
    """One worker for every `threads` of a CPU; one alone where a GPU paints."""
    from worker.device import choose_device

    own = Settings.load()
    return max(1, own.threads // threads) if choose_device(own).torch_name == "cpu" else 1


def settings_for(home: Path, threads: int) -> Settings:
    """A farm of its own, on the device and with the weights this machine is set to."""
    own = Settings.load()
    return Settings(
        home=home,
        cache_dir=home / "cache",
        threads=threads,
        device=own.device,
        weights_dir=own.weights_dir,
        sweep_s=1.0,
    )


def painter_code() -> str:
    """Eight hex digits that name the code that paints; comments and docstrings do not count."""
    digest = hashlib.sha256()
    for pattern in PAINTING_CODE:
        for path in sorted(ROOT.glob(pattern)):
            name = path.relative_to(ROOT).as_posix()
            if name not in NOT_PAINTING:
                digest.update(f"{name}\n{_bare(path.read_text())}\n".encode())
    return digest.hexdigest()[:8]


def _bare(text: str) -> str:
    """What a module says to the machine."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [item for item in node.body if not _is_text(item)] or [ast.Pass()]
    return ast.dump(tree)


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def interrupted(job: Job) -> None:
    """Cancel a job in the middle of its first chunk, and resume it when its executors have let go."""
    store, prefix = job.farm.store, f"{keys.job_prefix(job.name)}stylized/"
    _until(lambda: len(list(store.list(prefix))) >= STORED_BEFORE_CANCEL or job.status().ended)
    job.cancel()
    _until(lambda: job.status().ended)
    if job.status().state is JobState.CANCELED:
        job.resume()


def _until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + INTERRUPT_LIMIT_S
    while not ready():
        if time.monotonic() > deadline:
            raise WaitTimeout(f"nothing happened for {INTERRUPT_LIMIT_S:.0f} s; see the farm's logs")
        time.sleep(POLL_S)


def plan_of(job: Job) -> Plan:
    """How the job was cut."""
    return from_json(Plan, job.farm.store.get(keys.plan(job.name)))


def manifests_of(job: Job) -> list[Manifest]:
    """What its tasks left, in order of stage and frame."""
    store = job.farm.store
    found = {keys.task_of_manifest(key): store.get(key) for key in store.list(keys.manifests(job.name))}
    return [from_json(Manifest, found[task]) for task in sorted(found)]


def frame_sums(job: Job) -> list[str]:
    """SHA-256 of every final frame as it is stored."""
    final, store = FinalFrames(job.name, plan_of(job)), job.farm.store
    infos = [store.head(final.key(number)) for number in range(plan_of(job).frame_count)]
    missing = [number for number, info in enumerate(infos) if info is None]
    if missing:
        raise FarmError(f"{job.name} lacks frame {missing[0]}; run the benchmark again", job=job.name)
    return [info.sha256 for info in infos if info is not None]


def style_losses(job: Job, stage: Stage = Stage.STYLIZE) -> dict[int, tuple[float, int]]:
    """Style loss of the last step and the steps taken, by frame, of the frames a stage painted."""
    records = [record for item in manifests_of(job) if item.stage is stage for record in item.frames]
    return {record.frame: (record.losses["style"], record.steps) for record in records if "style" in record.losses}
