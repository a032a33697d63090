"""The ledger in Redis. Nothing here knows S3 or Celery.

Every change of state is one atomic script that checks the transition tables of `farm.contract.states`, so two
coordinators can't queue a task twice.

Keys (`{job}` is a hash tag, so that a job's keys share one slot of a cluster):

    farm:jobs                 sorted set: job -> time of creation
    farm:{job}                hash: the fields of JobRecord, `in_hand` counted as tasks move; `call`, a move's nonce
    farm:{job}:tasks          hash: task -> JSON of TaskRecord, and `call`
    farm:{job}:frames         hash: task -> frames done
    farm:{job}:fence          counter behind the fencing tokens
    farm:{job}:lease:<task>   token of the executor that holds the task; expires
    farm:worker:<name>        JSON of WorkerInfo; expires
    farm:health:<name>        JSON of WorkerHealth; expires
    farm:mark:<name>          "about to use this", "about to collect this"; expires
    farm:turn:<name>          held by who sweeps; expires
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from functools import cached_property
from typing import Any, TypeVar
from urllib.parse import urlsplit

from farm import redis_scripts
from farm.broker import QUEUE_STEPS
from farm.contract.codec import from_plain, to_json, to_plain
from farm.contract.errors import AccessDenied, InvalidInput, LedgerUnavailable
from farm.contract.messages import Priority, TaskId, TaskMessage
from farm.contract.states import JOB_ENDED, JOB_LIVE, JOB_TRANSITIONS, TASK_IN_HAND, JobState, TaskState
from farm.ledger import HEALTH_TTL_S, JobRecord, Lease, TaskRecord, WorkerHealth, WorkerInfo, task_sources

T = TypeVar("T")

_WORKER_PREFIX = "farm:worker:"
_HEALTH_PREFIX = "farm:health:"
_MARK_PREFIX = "farm:mark:"
_TASK_FIELDS = frozenset(info.name for info in fields(TaskRecord))


class RedisLedger:
    """The ledger in Redis ≥ 6.2. Thread-safe; one per process (never shared across a fork)."""

    def __init__(self, url: str, *, timeout_s: float = 5.0, retries: int = 3) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._retries = retries

    @cached_property
    def _redis(self) -> Any:  # redis-py types its answers as bytes | str, whatever `decode_responses` says
        from redis import Redis
        from redis.backoff import ExponentialBackoff
        from redis.retry import Retry

        try:
            return Redis.from_url(
                self._url,
                decode_responses=True,
                socket_timeout=self._timeout_s,
                socket_connect_timeout=self._timeout_s,
                health_check_interval=30,
                retry=Retry(ExponentialBackoff(cap=1.0, base=0.05), retries=self._retries),
            )
        except ValueError as error:
            raise InvalidInput(
                f"FARM_REDIS_URL {self.address!r} is not a Redis URL ({error}); give redis://host:6379/0"
            ) from error

    @cached_property
    def _scripts(self) -> dict[str, Any]:
        sources = {
            "create_job": redis_scripts.CREATE_JOB,
            "change_job": redis_scripts.CHANGE_JOB,
            "move_job": redis_scripts.MOVE_JOB,
            "move_task": redis_scripts.MOVE_TASK,
            "forget_tasks": redis_scripts.FORGET_TASKS,
            "claim": redis_scripts.CLAIM,
            "renew": redis_scripts.RENEW,
        }
        return {name: self._redis.register_script(source) for name, source in sources.items()}

    @property
    def address(self) -> str:
        """Where Redis is, without its password."""
        parts = urlsplit(self._url)
        return f"{parts.hostname or '?'}:{parts.port or 6379}"

    def ping(self) -> None:
        """See Ledger."""
        with self._errors():
            self._redis.ping()

    def info(self) -> dict[str, Any]:
        """Redis' own INFO, and its `maxmemory_policy`, for `farm doctor`."""
        with self._errors():
            return dict(self._redis.info())

    def create_job(self, record: JobRecord) -> bool:
        """See Ledger."""
        with self._errors():
            flat = [part for pair in _flat(record).items() for part in pair]
            created = bool(self._scripts["create_job"](keys=[_job_key(record.job)], args=flat))
            # Also where the job is there: whoever created it may have died before this.
            self._redis.zadd("farm:jobs", {record.job: record.created_s}, nx=True)
            return created

    def job(self, job: str) -> JobRecord | None:
        """See Ledger."""
        with self._errors():
            return _job_record(self._redis.hgetall(_job_key(job)))

    def jobs(self, states: Collection[JobState] = tuple(JobState)) -> list[JobRecord]:
        """See Ledger."""
        with self._errors():
            names = self._redis.zrevrange("farm:jobs", 0, -1)
            if not set(JobState) <= set(states):
                names = self._in_states(names, states)
            pipe = self._redis.pipeline(transaction=False)
            for name in names:
                pipe.hgetall(_job_key(name))
            found = [record for plain in pipe.execute() if (record := _job_record(plain))]
        return [record for record in found if record.state in states]  # it may have moved on meanwhile

    def move_job(self, job: str, after: JobState, **changes: Any) -> bool:
        """See Ledger."""
        sources = [state for state, ways in JOB_TRANSITIONS.items() if after in ways]
        flat = [part for pair in _checked(JobRecord, changes).items() for part in pair]
        with self._errors():
            return bool(
                self._scripts["move_job"](keys=[_job_key(job)], args=[after, _any_of(sources), _nonce(), *flat])
            )

    def set_priority(self, job: str, priority: Priority) -> None:
        """See Ledger."""
        with self._errors():
            self._scripts["change_job"](keys=[_job_key(job)], args=["priority", str(priority)])

    def tasks(self, job: str, only: Collection[TaskId] | None = None) -> dict[TaskId, TaskRecord]:
        """See Ledger."""
        key = _job_key(job) + ":tasks"
        if only is None:
            with self._errors():
                plain = self._redis.hgetall(key)
            return {TaskId.parse(name): _task_record(raw) for name, raw in plain.items()}
        if not (ordered := list(only)):
            return {}
        with self._errors():
            found = self._redis.hmget(key, [str(task) for task in ordered])
        return {task: _task_record(raw) for task, raw in zip(ordered, found, strict=True) if raw}

    def task(self, job: str, task: TaskId) -> TaskRecord:
        """See Ledger."""
        with self._errors():
            raw = self._redis.hget(_job_key(job) + ":tasks", str(task))
        return _task_record(raw) if raw else TaskRecord()

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
        return self._move_task(job, task, after, before, "", changes)

    def frames_done(self, job: str) -> dict[TaskId, int]:
        """See Ledger."""
        with self._errors():
            plain = self._redis.hgetall(_job_key(job) + ":frames")
        return {TaskId.parse(name): int(count) for name, count in plain.items()}

    def forget_tasks(self, job: str) -> bool:
        """See Ledger."""
        base = _job_key(job)
        keys = [base, base + ":tasks", base + ":frames", base + ":fence"]
        with self._errors():
            return bool(self._scripts["forget_tasks"](keys=keys, args=[_any_of(JOB_ENDED)]))

    def claim(self, message: TaskMessage, worker: str, lease_s: float) -> Lease | None:
        """See Ledger."""
        job, task = message.job, message.task
        base = _job_key(job)
        keys = [base + ":tasks", _lease_key(job, task), base, base + ":fence", base + ":frames"]
        # The fence begins anew after a wipe; the nonce keeps an executor from before it out.
        args = [str(task), message.attempt, worker, int(lease_s * 1000), time.time(), _any_of(JOB_LIVE), _nonce()]
        with self._errors():
            token = self._scripts["claim"](keys=keys, args=args)
        return Lease(job, task, message.attempt, worker, token) if token else None

    def renew(self, lease: Lease, lease_s: float) -> bool:
        """See Ledger."""
        with self._errors():
            keys = [_lease_key(lease.job, lease.task), _job_key(lease.job) + ":tasks"]
            return bool(self._scripts["renew"](keys=keys, args=[lease.token, int(lease_s * 1000), str(lease.task)]))

    def settle(self, lease: Lease, after: TaskState, **changes: Any) -> bool:
        """See Ledger."""
        return self._move_task(lease.job, lease.task, after, tuple(TaskState), lease.token, changes)

    def leased(self, job: str, tasks: Collection[TaskId]) -> set[TaskId]:
        """See Ledger."""
        ordered = list(tasks)
        with self._errors():
            pipe = self._redis.pipeline(transaction=False)
            for task in ordered:
                pipe.exists(_lease_key(job, task))
            held = pipe.execute()
        return {task for task, there in zip(ordered, held, strict=True) if there}

    def progress(self, job: str, task: TaskId, frames: int) -> None:
        """See Ledger."""
        with self._errors():
            self._redis.hset(_job_key(job) + ":frames", str(task), str(frames))

    def heartbeat(self, info: WorkerInfo, ttl_s: float) -> None:
        """See Ledger."""
        with self._errors():
            self._redis.set(_WORKER_PREFIX + info.name, to_json(info), px=int(ttl_s * 1000))

    def workers(self) -> list[WorkerInfo]:
        """See Ledger."""
        with self._errors():
            names = sorted(self._redis.scan_iter(match=_WORKER_PREFIX + "*", count=1000))
            found = self._redis.mget(names) if names else []
        return [_known(WorkerInfo, raw) for raw in found if raw]

    def forget_worker(self, name: str) -> None:
        """See Ledger."""
        with self._errors():
            self._redis.delete(_WORKER_PREFIX + name)

    def health(self, worker: str) -> WorkerHealth:
        """See Ledger."""
        with self._errors():
            raw = self._redis.get(_HEALTH_PREFIX + worker)
        return _known(WorkerHealth, raw) if raw else WorkerHealth()

    def set_health(self, worker: str, health: WorkerHealth) -> None:
        """See Ledger."""
        with self._errors():
            self._redis.set(_HEALTH_PREFIX + worker, to_json(health), px=int(HEALTH_TTL_S * 1000))

    def mark(self, name: str, ttl_s: float) -> None:
        """See Ledger."""
        with self._errors():
            self._redis.set(_MARK_PREFIX + name, "1", px=int(ttl_s * 1000))

    def marked(self, name: str) -> bool:
        """See Ledger."""
        with self._errors():
            return bool(self._redis.exists(_MARK_PREFIX + name))

    def unmark(self, name: str) -> None:
        """See Ledger."""
        with self._errors():
            self._redis.delete(_MARK_PREFIX + name)

    def take_turn(self, name: str, ttl_s: float) -> bool:
        """See Ledger."""
        with self._errors():
            return bool(self._redis.set(f"farm:turn:{name}", "1", nx=True, px=int(ttl_s * 1000)))

    def queued(self, queue: str) -> set[str]:
        """The names of the messages that wait in a Celery queue, of all priorities."""
        with self._errors():
            pipe = self._redis.pipeline(transaction=False)
            for step in QUEUE_STEPS:
                pipe.lrange(f"{queue}\x06\x16{step}" if step else queue, 0, -1)
            found = [raw for part in pipe.execute() for raw in part]
        return {str(json.loads(raw)["headers"].get("id", "")) for raw in found}

    def _in_states(self, names: Sequence[str], states: Collection[JobState]) -> list[str]:
        pipe = self._redis.pipeline(transaction=False)
        for name in names:
            pipe.hget(_job_key(name), "state")
        return [name for name, state in zip(names, pipe.execute(), strict=True) if state in states]

    def _move_task(
        self,
        job: str,
        task: TaskId,
        after: TaskState,
        before: Collection[TaskState],
        token: str,
        changes: dict[str, Any],
    ) -> bool:
        sources = task_sources(after, before)
        fresh = {"state": after, "since_s": time.time(), **_named(TaskRecord, changes)}
        if not token:  # nobody's work
            fresh["began_s"] = 0.0
        keys = [_job_key(job) + ":tasks", _lease_key(job, task), _job_key(job)]
        args = [str(task), json.dumps(to_plain(fresh)), _any_of(sources), token, _any_of(TASK_IN_HAND), _nonce()]
        with self._errors():
            return bool(self._scripts["move_task"](keys=keys, args=args))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        from redis import exceptions as redis_errors

        try:
            yield
        except (redis_errors.AuthenticationError, redis_errors.NoPermissionError) as error:
            raise AccessDenied(
                f"Redis at {self.address} refuses the login ({error}); check the password in FARM_REDIS_URL"
            ) from error
        except redis_errors.ResponseError as error:
            if "WRONGPASS" in str(error) or "NOAUTH" in str(error):
                raise AccessDenied(
                    f"Redis at {self.address} refuses the login; check the password in FARM_REDIS_URL"
                ) from error
            raise LedgerUnavailable(f"Redis at {self.address} says: {error}", url=self.address) from error
        except (redis_errors.RedisError, OSError) as error:
            raise LedgerUnavailable(
                f"Redis at {self.address} does not answer ({_first_line(error)}); start it, "
                "or unset FARM_REDIS_URL and `farm up`",
                url=self.address,
            ) from error


def _job_key(job: str) -> str:
    return f"farm:{{{job}}}"


def _lease_key(job: str, task: TaskId) -> str:
    return f"{_job_key(job)}:lease:{task}"


def _nonce() -> str:
    """One call's, the same whenever redis-py sends it: see `farm.redis_scripts`."""
    return secrets.token_hex(4)


def _any_of(states: Iterable[str]) -> str:
    return "|" + "|".join(states) + "|"


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")


def _named(kind: type[Any], changes: dict[str, Any]) -> dict[str, Any]:
    unknown = set(changes) - {info.name for info in fields(kind)}
    assert not unknown, f"{kind.__name__} has no {unknown}"
    return changes


def _checked(kind: type[Any], changes: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in _named(kind, changes).items()}


def _flat(record: JobRecord) -> dict[str, str]:
    return {info.name: str(getattr(record, info.name)) for info in fields(record)}


def _known(kind: type[T], raw: str) -> T:
    """A record without the fields that another release of the farm has: live records need not all be of one."""
    names = {info.name for info in fields(kind)}  # type: ignore[arg-type]
    return from_plain(kind, {name: value for name, value in json.loads(raw).items() if name in names})


def _job_record(plain: dict[str, str]) -> JobRecord | None:
    if "state" not in plain:
        return None
    blank = JobRecord("")
    kinds = {info.name: type(getattr(blank, info.name)) for info in fields(JobRecord)}
    return replace(blank, **{name: kinds[name](value) for name, value in plain.items() if name in kinds})


def _task_record(raw: str) -> TaskRecord:
    plain = json.loads(raw)
    # Redis' cjson writes an empty list as {}.
    plain |= {name: tuple(plain.get(name) or ()) for name in ("failed_on", "damaged")}
    plain["state"] = TaskState(plain["state"])
    return TaskRecord(**{name: value for name, value in plain.items() if name in _TASK_FIELDS})
