"""One job of a farm, for programs: its progress, its film, and what a user may ask of it.

Made by `farm.client.Farm.submit` and `Farm.job`. What is asked is written to the ledger, and outlasts every process.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.collect import in_use
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import (
    AccessDenied,
    CorruptObject,
    InvalidInput,
    JobFailed,
    JobNotFound,
    LedgerUnavailable,
    ObjectNotFound,
    StoreUnavailable,
    WaitTimeout,
)
from farm.contract.messages import Priority, Queue, Stage, TaskId
from farm.contract.plan import FrameRange, Plan
from farm.contract.spec import Output, Spec
from farm.contract.states import JOB_LIVE, JobState, TaskState
from farm.ledger import JobRecord
from farm.segments import segments
from farm.status import JobStatus, job_status

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from farm.client import Farm
    from farm.explain import Facts, Reason
    from farm.video import FilmInfo

OnProgress = Callable[[JobStatus], None]
OnBytes = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""
OnFrames = Callable[[int, int], None]
"""Called with frames done and frames in all."""
OnSilence = Callable[[LedgerUnavailable], None]
PREVIEW_FRAMES = 12
PATIENCE_S = 60.0
"""How long Redis may be silent before a wait for a job ends: a restart is no reason, as the job goes on."""
SILENCE_POLL_S = 2.5


@dataclass(frozen=True, slots=True)
class TaskLogText:
    """What one attempt at one task said."""

    task: TaskId
    attempt: int
    text: str


class Job:
    """One job of a farm."""

    def __init__(self, farm: Farm, name: str) -> None:
        self.farm = farm
        self.name = name

    def __repr__(self) -> str:
        return f"Job({self.name!r})"

    @cached_property
    def spec(self) -> Spec:
        """The job's immutable description."""
        return from_json(Spec, self._object(keys.spec(self.name)))

    def status(self) -> JobStatus:
        """The job now. JobNotFound where the ledger does not know it (after a wipe: `resume`)."""
        ledger = self.farm.ledger
        record = ledger.job(self.name)
        if record is None:
            raise JobNotFound(
                f"the ledger has no job {self.name}; `farm resume {self.name}` reads it from the store", job=self.name
            )
        workers = self.farm.workers()
        return job_status(
            record,
            ledger.tasks(self.name),
            ledger.frames_done(self.name),
            now_s=time.time(),
            workers_alive=len(workers),
            coordinators_alive=len(self.farm.coordinators()),
            painters=sum(Queue.STYLIZE in info.queues and not info.quarantine for info in workers),
            quarantines={info.name: info.quarantine for info in workers if info.quarantine},
        )

    def wait(
        self,
        on_progress: OnProgress | None = None,
        *,
        timeout_s: float | None = None,
        poll_s: float = 0.5,
        on_silence: OnSilence | None = None,
    ) -> JobStatus:
        """Wait until the film is there; `on_progress` is called with each new status.

        JobFailed where the job ends without a film, WaitTimeout after `timeout_s` (the job goes on). LedgerUnavailable
        where Redis is silent for `PATIENCE_S`, or still is after `timeout_s`; until then `on_silence` hears of it.
        """
        deadline = math.inf if timeout_s is None else time.monotonic() + timeout_s
        while True:
            status = self._patient_status(deadline, on_silence)
            if on_progress:
                on_progress(status)
            if status.state is JobState.SUCCEEDED:
                return status
            self._require_going(status)
            if time.monotonic() >= deadline:
                raise WaitTimeout(
                    f"{self.name} is {status.state} after {timeout_s:g} s and goes on: `farm watch {self.name}`",
                    job=self.name,
                    timeout_s=timeout_s,
                )
            time.sleep(poll_s)

    def _patient_status(self, deadline: float, on_silence: OnSilence | None) -> JobStatus:
        until = min(deadline, time.monotonic() + PATIENCE_S)
        while True:
            try:
                return self.status()
            except LedgerUnavailable as error:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    raise
                if on_silence:
                    on_silence(error)
                time.sleep(min(SILENCE_POLL_S, left_s))

    def _require_going(self, status: JobStatus) -> None:
        if status.ended:
            why = status.error or "it was canceled"
            again = "retry" if status.state is JobState.FAILED else "resume"
            raise JobFailed(
                f"{self.name} {status.state}: {why}; `farm {again} {self.name}` goes on from the frames done",
                job=self.name,
                state=status.state,
            )

    def fetch(self, path: str | Path, *, on_progress: OnBytes | None = None) -> Path:
        """Download the film to `path` (a folder: under the job's name); returns where it lies."""
        target = Path(path)
        film = keys.output(self.name, "film" + self.spec.output.suffix)
        if target.is_dir() or str(path).endswith("/"):
            target = target / (self.name + self.spec.output.suffix)
        self._require_film(film)
        _require_regular(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.farm.store.get_file(film, target, on_progress=on_progress)
        return target

    def fetch_output(self, name: str, path: str | Path) -> Path:
        """Download another output: `contact.png`, `poster.png`, `measure.png` or `report.json`."""
        target = Path(path)
        key = keys.output(self.name, name)
        self._require_film(key)
        _require_regular(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        self.farm.store.get_file(key, target)
        return target

    def encode(
        self,
        path: str | Path,
        output: Output,
        on_progress: OnFrames | None = None,
        on_source: OnBytes | None = None,
    ) -> FilmInfo:
        """Encode the film anew on this machine, from its frames, with another codec or quality; nothing is painted.

        `path` ends in `output.suffix`. `on_source` hears of the clip's download: its sound is needed, and the clip may
        be in the cache. Errors as of `fetch`, and ObjectNotFound where `farm gc --frames` removed the frames.
        """
        from farm.film import make_film
        from farm.video import FrameIndex

        plan, target = self._plan_with_frames(), Path(path)
        _require_regular(target)
        if target.suffix.lower() != output.suffix:
            raise InvalidInput(f"{target}: a film in {output.codec} is a {output.suffix} file", path=str(target))
        index = from_json(FrameIndex, self.farm.store.get(keys.index(self.name)))
        target.parent.mkdir(parents=True, exist_ok=True)
        beat = (lambda count: on_progress(count, plan.frame_count)) if on_progress else (lambda _count: None)
        return make_film(self, plan, index, output, target, beat, on_source)

    @property
    def has_frames(self) -> bool:
        """Whether the frames of a job that is done are there still."""
        from farm.frames import FinalFrames

        plan = self._plan()
        return plan is not None and self.farm.store.head(FinalFrames(self.name, plan).key(0)) is not None

    def frame(self, number: int) -> NDArray[np.uint8]:
        """A frame of the film as it was painted, `(H, W, 3) uint8 sRGB`; InvalidInput where it has none of that number.

        Other errors as of `fetch_frames`.
        """
        from farm.frames import read_final_frames

        plan = self._plan_with_frames()
        if not 0 <= number < plan.frame_count:
            raise InvalidInput(f"{self.name} has no frame {number}: it has {plan.frame_count}", value=number)
        return next(read_final_frames(self.farm.store, self.name, plan, FrameRange(number, number + 1)))

    def fetch_frames(self, folder: str | Path, on_progress: OnFrames | None = None) -> Path:
        """Write the film's frames as they were painted, `000000.png` and on, for compositing; returns the folder.

        Files of these names are written over. Errors as of `fetch`, and ObjectNotFound where `farm gc --frames` removed
        the frames.
        """
        from farm.frames import read_final_pngs

        plan, target = self._plan_with_frames(), Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(read_final_pngs(self.farm.store, self.name, plan)):
            (target / f"{number:06d}.png").write_bytes(data)
            if on_progress:
                on_progress(number + 1, plan.frame_count)
        return target

    def preview(self, path: str | Path, frames: int = PREVIEW_FRAMES) -> Path:
        """Write what is painted so far as one PNG: at most `frames` frames, spread over the film; returns its place.

        WaitTimeout where no frame is painted yet, JobFailed where none will be, ObjectNotFound where none is left.
        """
        from farm.png import png_bytes
        from farm.preview import preview

        target = Path(path)
        _require_regular(target)
        picture = preview(self, self._plan(), frames)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(png_bytes(picture))
        return target

    def report(self) -> dict[str, Any]:
        """The job's report: sizes, times by stage and worker, losses, notices."""
        key = keys.output(self.name, "report.json")
        self._require_film(key)
        return dict(json.loads(self._object(key)))

    def cancel(self) -> JobStatus:
        """Ask the job to stop; its stored frames stay. Ended jobs stay as they are."""
        self.status()
        self.farm.ledger.move_job(self.name, JobState.CANCELING)
        self.farm.advance(self.name)
        return self.status()

    def pause(self) -> JobStatus:
        """Ask the job to stop for now; frames done stay. Ended jobs stay as they are."""
        self.status()
        self.farm.ledger.move_job(self.name, JobState.PAUSING)
        self.farm.advance(self.name)
        return self.status()

    def resume(self) -> JobStatus:
        """Go on with a failed, canceled or paused job, or one the ledger forgot, from what the store has."""
        spec = self.spec
        record = JobRecord(self.name, name=spec.title, style_name=spec.style_name, created_s=time.time())
        self.farm.ledger.create_job(record)
        return self._go_on(TaskState.FAILED, TaskState.CANCELED)

    def retry(self) -> JobStatus:
        """Try again what failed, and only that. A job of which nothing failed stays as it is."""
        status = self.status()
        if status.state is JobState.FAILED:
            return self._go_on(TaskState.FAILED, TaskState.CANCELED)
        if status.state in JOB_LIVE:
            return self._go_on(TaskState.FAILED)
        return status

    def set_priority(self, priority: Priority) -> None:
        """Change whose tasks go first; those queued already keep their place."""
        self.status()
        self.farm.ledger.set_priority(self.name, priority)

    def explain(self) -> list[Reason]:
        """Why the job is where it is, in plain words, the gravest reason first. JobNotFound where nobody knows it."""
        from farm.explain import explain

        return explain(self._facts())

    def logs(self, frame: int | None = None) -> Iterator[TaskLogText]:
        """The log lines of the job's tasks, attempt by attempt; with `frame` its chunk's, boundary's and segment's."""
        wanted = None if frame is None else self._tasks_at(frame)
        order = {stage: number for number, stage in enumerate(Stage)}
        found = [(keys.task_of_log(key), key) for key in self.farm.store.list(keys.logs(self.name))]
        for task, key in sorted(found, key=lambda item: (order[item[0].stage], item[1])):
            if wanted is None or task in wanted:
                attempt = int(key.rsplit("/", 1)[1].partition("-")[0])
                yield TaskLogText(task, attempt, self.farm.store.get(key).decode(errors="replace"))

    def _tasks_at(self, frame: int) -> set[TaskId]:
        """The tasks of the chunk, the boundary and the segment that frame is in."""
        plan = self._plan()
        if plan is None or not 0 <= frame < plan.frame_count:
            many = "not planned yet" if plan is None else f"frames 0 to {plan.frame_count - 1}"
            raise InvalidInput(f"--chunk {frame} is no frame of {self.name}: it has {many}")
        chunk = next(chunk.start for chunk in plan.chunks if frame in chunk.frames)
        boundaries = {TaskId(Stage.BLEND, item.start) for item in plan.boundaries if frame in item.frames}
        segment = next(item.start for item in segments(plan) if frame in item)
        return boundaries | {
            TaskId(Stage.ANCHOR, chunk), TaskId(Stage.STYLIZE, chunk), TaskId(Stage.SEGMENT, segment),
        }  # fmt: skip

    def _plan(self) -> Plan | None:
        try:
            return from_json(Plan, self.farm.store.get(keys.plan(self.name)))
        except ObjectNotFound:
            return None

    def _plan_with_frames(self) -> Plan:
        """The plan of a finished job that has its frames still."""
        from farm.preview import frames_removed

        self._require_film(keys.output(self.name, "report.json"))
        plan = self._plan()
        if plan is None or not self.has_frames:
            raise frames_removed(self.name)
        return plan

    def _facts(self) -> Facts:
        from farm.explain import Facts

        ledger, store_error, spec, plan = self.farm.ledger, "", None, None
        try:
            self.farm.store.check()
            spec, plan = self.spec, self._plan()
        except (StoreUnavailable, AccessDenied, CorruptObject) as error:
            store_error = error.message
        except JobNotFound:
            store_error = "the job's spec is gone; submit the clip again"
        tasks = ledger.tasks(self.name)
        running = [task for task, item in tasks.items() if item.state is TaskState.RUNNING]
        others = [item for item in ledger.jobs(JOB_LIVE) if item.job != self.name]
        return Facts(
            self.name,
            ledger.job(self.name),
            time.time(),
            tasks,
            frozenset(ledger.leased(self.name, running)),
            spec,
            plan,
            tuple(ledger.workers()),
            tuple((item, ledger.tasks(item.job)) for item in others),
            self.farm.settings.max_attempts,
            store_error,
        )

    def _go_on(self, *states: TaskState) -> JobStatus:
        """Give the tasks in `states` all their attempts again, and the job its way."""
        ledger = self.farm.ledger
        fresh: dict[str, Any] = {"attempt": 0, "error": "", "retry_at_s": 0.0, "failed_on": (), "failed_s": 0.0}
        with in_use(ledger, [self.name]):
            for task, record in ledger.tasks(self.name).items():
                if record.state in states:
                    ledger.move_task(self.name, task, TaskState.WAITING, **fresh)
            if ledger.move_job(self.name, JobState.SUBMITTED, error="", finished_s=0.0) or not self.status().ended:
                self.farm.advance(self.name)
        return self.status()

    def _object(self, key: str) -> bytes:
        try:
            return self.farm.store.get(key)
        except ObjectNotFound as error:
            raise JobNotFound(f"no job {self.name!r}; `farm list` shows the jobs", job=self.name) from error

    def _require_film(self, key: str) -> None:
        if self.farm.store.head(key) is not None:
            return
        status = self.status()
        if status.ended and status.state is not JobState.SUCCEEDED:
            raise JobFailed(
                f"{self.name} has no film: it {status.state}; `farm resume {self.name}`",
                job=self.name,
                state=status.state,
            )
        raise WaitTimeout(f"{self.name} is not done, it is {status.state}; `farm watch {self.name}`", job=self.name)


def _require_regular(target: Path) -> None:
    """A download replaces its target: a device or a pipe must not be replaced by a file."""
    if target.exists() and not target.is_file():
        raise InvalidInput(f"{target} is not a file that can be written over; give another", path=str(target))
