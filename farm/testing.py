"""In-memory fakes for tests of programs that use the farm. They pass the same suites as the real ones."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from farm.contract.errors import ObjectNotFound
from farm.contract.messages import Priority, TaskId, TaskMessage
from farm.contract.states import JOB_ENDED, JOB_LIVE, JOB_TRANSITIONS, TASK_IN_HAND, JobState, TaskState
from farm.ledger import JobRecord, Lease, TaskRecord, WorkerHealth, WorkerInfo, task_sources
from farm.store import BINARY, ObjectInfo, OnBytes, PutResult, StoreFeatures, check_sha256


class MemoryStore:
    """A `farm.store.Store` in a dict. A test may read and harm `objects`, key -> (bytes, SHA-256), and `modified_s`."""

    def __init__(self) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.modified_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def put_once(self, key: str, data: bytes, content_type: str = BINARY) -> PutResult:  # noqa: ARG002 - of the protocol
        """See Store."""
        return self._put_once(key, data, hashlib.sha256(data).hexdigest())

    def put(self, key: str, data: bytes, content_type: str = BINARY) -> None:  # noqa: ARG002 - of the protocol
        """See Store."""
        with self._lock:
            self.objects[key] = (data, hashlib.sha256(data).hexdigest())
            self.modified_s[key] = time.time()

    def get(self, key: str) -> bytes:
        """See Store."""
        with self._lock:
            if key not in self.objects:
                raise ObjectNotFound(f"{key!r} is not in memory; it was not written yet, or was deleted", key=key)
            data, sha256 = self.objects[key]
        check_sha256(key, sha256, hashlib.sha256(data).hexdigest())
        return data

    def put_file_once(
        self, key: str, path: Path, sha256: str | None = None, on_progress: OnBytes | None = None
    ) -> PutResult:
        """See Store."""
        data = path.read_bytes()
        result = self._put_once(key, data, sha256 or hashlib.sha256(data).hexdigest())
        if on_progress and result.sha256 == hashlib.sha256(data).hexdigest():
            on_progress(len(data), len(data))
        return result

    def put_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> PutResult:
        """See Store."""
        data = path.read_bytes()
        if on_progress:
            on_progress(0, len(data))
        self.put(key, data)
        if on_progress:
            on_progress(len(data), len(data))
        return PutResult(key, hashlib.sha256(data).hexdigest(), written=True)

    def get_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> ObjectInfo:
        """See Store."""
        data = self.get(key)
        part = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}.part")
        part.write_bytes(data)
        if on_progress:
            on_progress(len(data), len(data))
        part.replace(path)
        return ObjectInfo(key, len(data), hashlib.sha256(data).hexdigest())

    def head(self, key: str) -> ObjectInfo | None:
        """See Store."""
        with self._lock:
            if key not in self.objects:
                return None
            data, sha256 = self.objects[key]
        return ObjectInfo(key, len(data), sha256, self.modified_s.get(key, 0.0))

    def list(self, prefix: str) -> Iterator[str]:
        """See Store."""
        with self._lock:
            found = sorted(key for key in self.objects if key.startswith(prefix))
        yield from found

    def delete(self, keys: Iterable[str]) -> int:
        """See Store."""
        batch = tuple(keys)
        with self._lock:
            for key in batch:
                self.objects.pop(key, None)
        return len(batch)

    def probe(self) -> StoreFeatures:
        """See Store."""
        return StoreFeatures(conditional_writes=True)

    def ensure_bucket(self) -> None:
        """See Store."""

    def check(self) -> None:
        """See Store."""

    def _put_once(self, key: str, data: bytes, sha256: str) -> PutResult:
        with self._lock:
            if free := key not in self.objects:
                self.objects[key], self.modified_s[key] = (data, sha256), time.time()
            return PutResult(key, self.objects[key][1], written=free)


class MemoryLedger:
    """A `farm.ledger.Ledger` in dicts. Leases and turns end by the clock, as in Redis."""

    def __init__(self) -> None:
        self._jobs: dict[str, JobRecord] = {}
        self._tasks: defaultdict[str, dict[TaskId, TaskRecord]] = defaultdict(dict)
        self._frames: defaultdict[str, dict[TaskId, int]] = defaultdict(dict)
        self._leases: dict[tuple[str, TaskId], tuple[str, float]] = {}
        self._workers: dict[str, tuple[WorkerInfo, float]] = {}
        self._health: dict[str, WorkerHealth] = {}
        self._marks: dict[str, float] = {}
        self._turns: dict[str, float] = {}
        self._fence = 0
        self._lock = threading.RLock()

    def ping(self) -> None:
        """See Ledger."""

    def create_job(self, record: JobRecord) -> bool:
        """See Ledger."""
        with self._lock:
            return self._jobs.setdefault(record.job, record) is record

    def job(self, job: str) -> JobRecord | None:
        """See Ledger."""
        return self._jobs.get(job)

    def jobs(self, states: Collection[JobState] = tuple(JobState)) -> list[JobRecord]:
        """See Ledger."""
        found = [record for record in self._jobs.values() if record.state in states]
        return sorted(found, key=lambda record: record.created_s, reverse=True)

    def move_job(self, job: str, after: JobState, **changes: Any) -> bool:
        """See Ledger."""
        with self._lock:
            if job not in self._jobs or after not in JOB_TRANSITIONS[self._jobs[job].state]:
                return False
            self._jobs[job] = replace(self._jobs[job], state=after, **changes)
            return True

    def set_priority(self, job: str, priority: Priority) -> None:
        """See Ledger."""
        with self._lock:
            if job in self._jobs:
                self._jobs[job] = replace(self._jobs[job], priority=priority)

    def tasks(self, job: str, only: Collection[TaskId] | None = None) -> dict[TaskId, TaskRecord]:
        """See Ledger."""
        known = self._tasks[job]
        return dict(known) if only is None else {task: known[task] for task in only if task in known}

    def task(self, job: str, task: TaskId) -> TaskRecord:
        """See Ledger."""
        return self._tasks[job].get(task, TaskRecord())

    def move_task(
        self,
        job: str,
        task: TaskId,
        after: TaskState,
        *,
        before: Collection[TaskState] = tuple(TaskState),
        **changes: Any,
    ) -> bool:
        """See Ledger."""
        return self._move_task(job, task, after, before, began_s=0.0, **changes)

    def frames_done(self, job: str) -> dict[TaskId, int]:
        """See Ledger."""
        return dict(self._frames[job])

    def forget_tasks(self, job: str) -> bool:
        """See Ledger."""
        with self._lock:
            if job not in self._jobs or self._jobs[job].state not in JOB_ENDED:
                return False
            self._tasks.pop(job, None)
            self._frames.pop(job, None)
            self._jobs[job] = replace(self._jobs[job], in_hand=0)
            return True

    def claim(self, message: TaskMessage, worker: str, lease_s: float) -> Lease | None:
        """See Ledger."""
        job, task = message.job, message.task
        with self._lock:
            record = self._tasks[job].get(task, TaskRecord())
            live = job in self._jobs and self._jobs[job].state in JOB_LIVE
            open_ = record.state in (TaskState.QUEUED, TaskState.RUNNING) and record.attempt == message.attempt
            if not live or not open_ or self._token(job, task):
                return None
            self._fence += 1
            token = f"{self._fence}:{worker}:{secrets.token_hex(4)}"
            self._leases[job, task] = (token, time.monotonic() + lease_s)
            now_s = time.time()
            self._tasks[job][task] = replace(
                record,
                state=TaskState.RUNNING,
                since_s=now_s,
                began_s=now_s,
                began_frames=self._frames[job].get(task, 0),
                worker=worker,
                token=token,
            )
            return Lease(job, task, message.attempt, worker, token)

    def renew(self, lease: Lease, lease_s: float) -> bool:
        """See Ledger."""
        with self._lock:
            if not self._holds(lease):
                return False
            self._leases[lease.job, lease.task] = (lease.token, time.monotonic() + lease_s)
            return True

    def settle(self, lease: Lease, after: TaskState, **changes: Any) -> bool:
        """See Ledger."""
        with self._lock:
            if not self._holds(lease):
                return False
            held = self._leases.pop((lease.job, lease.task), None)
            if self._move_task(lease.job, lease.task, after, tuple(TaskState), **changes):
                return True
            if held:
                self._leases[lease.job, lease.task] = held
            return False

    def leased(self, job: str, tasks: Collection[TaskId]) -> set[TaskId]:
        """See Ledger."""
        return {task for task in tasks if self._token(job, task)}

    def progress(self, job: str, task: TaskId, frames: int) -> None:
        """See Ledger."""
        self._frames[job][task] = frames

    def heartbeat(self, info: WorkerInfo, ttl_s: float) -> None:
        """See Ledger."""
        self._workers[info.name] = (info, time.monotonic() + ttl_s)

    def workers(self) -> list[WorkerInfo]:
        """See Ledger."""
        return [info for _, (info, until) in sorted(self._workers.items()) if until > time.monotonic()]

    def forget_worker(self, name: str) -> None:
        """See Ledger."""
        self._workers.pop(name, None)

    def health(self, worker: str) -> WorkerHealth:
        """See Ledger."""
        return self._health.get(worker, WorkerHealth())

    def set_health(self, worker: str, health: WorkerHealth) -> None:
        """See Ledger."""
        self._health[worker] = health

    def mark(self, name: str, ttl_s: float) -> None:
        """See Ledger."""
        self._marks[name] = time.monotonic() + ttl_s

    def marked(self, name: str) -> bool:
        """See Ledger."""
        return self._marks.get(name, 0.0) > time.monotonic()

    def unmark(self, name: str) -> None:
        """See Ledger."""
        self._marks.pop(name, None)

    def take_turn(self, name: str, ttl_s: float) -> bool:
        """See Ledger."""
        with self._lock:
            if self._turns.get(name, 0.0) > time.monotonic():
                return False
            self._turns[name] = time.monotonic() + ttl_s
            return True

    def _holds(self, lease: Lease) -> bool:
        """Whether the lease is this one's, or ran out and was not taken by another."""
        record = self.task(lease.job, lease.task)
        last = record.token if record.state is TaskState.RUNNING else ""
        return (self._token(lease.job, lease.task) or last) == lease.token

    def _move_task(
        self, job: str, task: TaskId, after: TaskState, before: Collection[TaskState], **changes: Any
    ) -> bool:
        with self._lock:
            record = self._tasks[job].get(task, TaskRecord())
            if self._token(job, task) or record.state not in task_sources(after, before):
                return False
            self._tasks[job][task] = replace(record, state=after, since_s=time.time(), **changes)
            change = (after in TASK_IN_HAND) - (record.state in TASK_IN_HAND)
            if change and job in self._jobs:
                self._jobs[job] = replace(self._jobs[job], in_hand=self._jobs[job].in_hand + change)
            return True

    def _token(self, job: str, task: TaskId) -> str:
        token, until = self._leases.get((job, task), ("", 0.0))
        return token if until > time.monotonic() else ""
