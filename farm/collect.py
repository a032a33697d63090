"""Collecting garbage: what the store holds and no job needs any more. Never touches anything else.

    frames, manifests, logs, outputs    of jobs that failed or were canceled, once that is `older_than_s` ago, and the
                                        segments of their films.
                                        Spec and plan stay: `farm resume` paints such a job from its beginning
    frames                              of jobs that succeeded, where asked for. Film and report stay
    media                               that no spec names, once they are that old

The ledger forgets the tasks of all jobs that ended that long ago, and keeps the jobs: `farm resume` reads the store.

What the ledger does not know is left alone, as a wiped ledger knows nothing. Two who must not cross, a collection and
a submit or resume, both mark what they are about to touch before they look whether the other has: so at least one of
them sees the other, and gives way.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

from farm.contract import keys
from farm.contract.errors import ObjectNotFound, WaitTimeout
from farm.contract.messages import Stage, TaskId
from farm.contract.states import JOB_ENDED, JobState, TaskState
from farm.ledger import JobRecord, Ledger
from farm.store import Store

DEFAULT_AGE_S = 7 * 86400.0
USE_TTL_S = 86400.0
"""A submit that died halfway keeps its media from being collected for this long."""
COLLECT_TTL_S = 300.0
PATIENCE_S = 60.0
"""How long a submit or resume waits for a collection of what it needs."""
BATCH = 500

_PAINTED = ("anchors/", "stylized/", "blended/", "colors/", "segments/")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Kind(StrEnum):
    """What is collected."""

    UNFINISHED = "frames of a job that failed or was canceled"
    FRAMES = "frames of a finished job"
    MEDIA = "media that no job names"


@dataclass(frozen=True, slots=True)
class Garbage:
    """What was, or would be, removed."""

    kind: Kind
    job: str  # empty for media
    objects: int


OnGarbage = Callable[[Garbage], None]


@contextmanager
def in_use(ledger: Ledger, names: Iterable[str], patience_s: float = PATIENCE_S) -> Iterator[None]:
    """Keep what `names` name (jobs, SHA-256 of media) from being collected; waits for a collection under way.

    WaitTimeout where that takes longer than `patience_s`. After an error the marks stay, for another user may rely
    on them; they end by themselves.
    """
    names, deadline = tuple(names), time.monotonic() + patience_s
    for name in names:
        ledger.mark(f"use:{name}", USE_TTL_S)
    for name in names:
        while ledger.marked(f"collect:{name}"):
            if time.monotonic() >= deadline:
                raise WaitTimeout(f"{name} is being collected by `farm gc`; try again in a moment", job=name)
            time.sleep(0.1)
    yield
    for name in names:
        ledger.unmark(f"use:{name}")


@contextmanager
def _collecting(ledger: Ledger, names: Iterable[str]) -> Iterator[tuple[str, ...]]:
    """Announce a collection of `names`; gives those that nobody is about to use."""
    names = tuple(names)
    for name in names:
        ledger.mark(f"collect:{name}", COLLECT_TTL_S)
    try:
        yield tuple(name for name in names if not ledger.marked(f"use:{name}"))
    finally:
        for name in names:
            ledger.unmark(f"collect:{name}")


@dataclass(frozen=True)
class Collector:
    """One collection. `dry_run` looks and removes nothing."""

    store: Store
    ledger: Ledger
    older_than_s: float = DEFAULT_AGE_S
    frames: bool = False  # of jobs that succeeded, too
    dry_run: bool = False

    def collect(self, on_garbage: OnGarbage = lambda _found: None) -> list[Garbage]:
        """Collect all there is; what was, or would be, removed."""
        found: list[Garbage] = []
        for garbage in itertools.chain(self._jobs(), self._media()):
            found.append(garbage)
            on_garbage(garbage)
        if not self.dry_run:
            self._forget_tasks()
        return found

    def _jobs(self) -> Iterator[Garbage]:
        for record in self.ledger.jobs(JOB_ENDED):
            kind = self._kind(record)
            if kind is None:
                continue
            with _collecting(self.ledger, [record.job]) as free:
                now = self.ledger.job(record.job)
                # Another look: it may have been resumed before our mark was seen.
                if not free or now is None or self._kind(now) is not kind or self._held(record.job):
                    continue
                count = self._unfinished(record.job) if kind is Kind.UNFINISHED else self._painted(record.job)
            if count:
                yield Garbage(kind, record.job, count)

    def _forget_tasks(self) -> None:
        for record in self.ledger.jobs(JOB_ENDED):
            if self._is_over(record) and self.ledger.tasks(record.job) and not self._held(record.job):
                self.ledger.forget_tasks(record.job)

    def _is_over(self, record: JobRecord) -> bool:
        return 0 < record.finished_s <= time.time() - self.older_than_s

    def _kind(self, record: JobRecord) -> Kind | None:
        if not self._is_over(record):
            return None
        if record.state in (JobState.FAILED, JobState.CANCELED):
            return Kind.UNFINISHED
        return Kind.FRAMES if record.state is JobState.SUCCEEDED and self.frames else None

    def _held(self, job: str) -> bool:
        """Whether an executor has not let go of the job yet."""
        running = [task for task, item in self.ledger.tasks(job).items() if item.state is TaskState.RUNNING]
        return bool(self.ledger.leased(job, running))

    def _unfinished(self, job: str) -> int:
        """Manifests go before frames, the ledger's word before both: nothing says of a frame gone that it is there."""
        prefix, plan_manifest = keys.job_prefix(job), keys.manifest(job, TaskId(Stage.PLAN))
        manifests = [key for key in self.store.list(keys.manifests(job)) if key != plan_manifest]
        if not self.dry_run:
            for task, item in self.ledger.tasks(job).items():
                if task.stage is Stage.PLAN:
                    continue
                self.ledger.progress(job, task, 0)
                if item.state is TaskState.SUCCEEDED:
                    self.ledger.move_task(job, task, TaskState.WAITING, attempt=0, error="")
        count = self._remove(manifests, job)
        rest = (*_PAINTED, "logs/", "output/")
        return count + sum(self._remove(self.store.list(prefix + folder), job) for folder in rest)

    def _painted(self, job: str) -> int:
        if self.store.head(keys.output(job, "result.json")) is None:
            return 0
        return sum(self._remove(self.store.list(keys.job_prefix(job) + folder), job) for folder in _PAINTED)

    def _media(self) -> Iterator[Garbage]:
        specs = {key.split("/")[1]: key for key in self.store.list("jobs/") if key.endswith("/spec.json")}
        named = {sha256 for key in specs.values() for sha256 in self._named_in(key)}
        stored = {sha256: key for key in self.store.list("media/") if (sha256 := _sha256_of(key))}
        old = {sha256: key for sha256, key in stored.items() if sha256 not in named and self._is_old(key)}
        count = 0
        for batch in _batches(old):
            with _collecting(self.ledger, batch) as free:
                # Jobs that came since the specs were read are in the ledger, if they are not marked any more.
                new = [record.job for record in self.ledger.jobs() if record.job not in specs]
                fresh = {sha256 for job in new for sha256 in self._named_in(keys.spec(job))}
                count += self._remove([old[sha256] for sha256 in free if sha256 not in fresh])
        if count:
            yield Garbage(Kind.MEDIA, "", count)

    def _named_in(self, spec_key: str) -> set[str]:
        """Every SHA-256 in a spec, whatever version of the farm wrote it."""
        try:
            return set(_SHA256.findall(self.store.get(spec_key).decode(errors="replace")))
        except ObjectNotFound:
            return set()

    def _is_old(self, key: str) -> bool:
        info = self.store.head(key)
        return info is not None and 0 < info.modified_s <= time.time() - self.older_than_s

    def _remove(self, keys_: Iterable[str], job: str = "") -> int:
        count = 0
        for batch in _batches(keys_):
            if not self.dry_run:
                if job:  # a long collection outlasts its mark
                    self.ledger.mark(f"collect:{job}", COLLECT_TTL_S)
                self.store.delete(batch)
            count += len(batch)
        return count


def _sha256_of(media_key: str) -> str:
    """The SHA-256 a media key names; empty where it is none of ours."""
    found = re.fullmatch(r"media/([0-9a-f]{64})(\.[a-z0-9]{1,8})?", media_key)
    return found[1] if found else ""


def _batches(items: Iterable[str]) -> Iterator[tuple[str, ...]]:
    remaining = iter(items)
    while batch := tuple(itertools.islice(remaining, BATCH)):
        yield batch
