"""What may be in Redis once every job has ended, and why. Every other key has no owner.

    farm:jobs, farm:{job}...            a job the ledger knows; no lease
    farm:worker: health: mark: turn:    end by their own expiry
    _kombu.binding...                   who listens to what: the farm's queues and Celery's remote control, nothing else
    unacked_mutex                       held for one round of a living process; ends by its expiry
    unacked, unacked_index              what a living process took less than a visibility timeout ago, and then only the
                                        coordinator's sweeps, which come without end, and advances of jobs under way
    coordinate                          the same messages before they are taken; a sweep not after its time

So a task's message, in whatever queue or hand, and an advance of a job that ended must be gone; so must the message of
a process that died: the next one to look gives it out again, a visibility timeout after it was taken.
"""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from farm.broker import ADVANCE, SWEEP
from farm.contract.messages import Queue
from farm.contract.states import JOB_ENDED
from farm.ledger import Ledger

COORDINATE = str(Queue.COORDINATE)
PASSING = ("farm:worker:", "farm:health:", "farm:mark:", "farm:turn:")
BINDINGS = frozenset(
    {"_kombu.binding_deadlines", "_kombu.binding.celery.pidbox"}
    | {f"_kombu.binding{kind}.{queue}" for kind in ("", "_permanent") for queue in Queue}
)
SLACK_S = 3.0
"""How late a message may be given out again beyond its time: one round of looking, on a busy machine."""


@dataclass(frozen=True)
class Leftovers:
    """Looks for keys without an owner. `redis` decodes its answers."""

    redis: Any
    ledger: Ledger
    visibility_timeout_s: float

    def ownerless(self) -> list[str]:
        """Keys in Redis without an owner."""
        jobs = {record.job: record.state not in JOB_ENDED for record in self.ledger.jobs()}
        return [key for key in self.redis.scan_iter(count=1000) if not self._owned(key, jobs)]

    def shown(self, key: str) -> str:
        """A key with what it holds, for people."""
        kind = self.redis.type(key)
        match kind:
            case "list":
                held = self.redis.lrange(key, 0, 3)
            case "hash":
                held = self.redis.hvals(key)
            case "set":
                held = self.redis.smembers(key)
            case _:
                held = []
        return f"{key} ({kind}, expires in {self.redis.ttl(key)} s): {[raw[-400:] for raw in held]}"

    def _owned(self, key: str, jobs: dict[str, bool]) -> bool:
        if key.startswith("farm:{"):
            job, _, rest = key.removeprefix("farm:{").partition("}")
            return job in jobs and not rest.startswith(":lease:")
        if key == "unacked_mutex" or key.startswith(PASSING):
            return bool(self.redis.ttl(key) != -1)  # -2: it is gone by now
        if key == "unacked":
            return self._in_hand_is_owned(jobs)
        if key == "unacked_index":
            return self._index_is_owned()
        if key == COORDINATE:
            return all(_is_round(json.loads(raw), jobs) for raw in self.redis.lrange(key, 0, -1))
        return key == "farm:jobs" or key in BINDINGS

    def _in_hand_is_owned(self, jobs: dict[str, bool]) -> bool:
        in_hand = self.redis.hgetall("unacked")
        taken_s = dict(self.redis.zrange("unacked_index", 0, -1, withscores=True))
        return all(
            tag in taken_s and self._is_young(taken_s[tag]) and _is_round(json.loads(raw)[0], jobs, taken=True)
            for tag, raw in in_hand.items()
        )

    def _index_is_owned(self) -> bool:
        """A time without its message is left where one is put back; the next to look removes it."""
        return all(self._is_young(score) for _, score in self.redis.zrange("unacked_index", 0, -1, withscores=True))

    def _is_young(self, taken_s: float) -> bool:
        """Whether the process that took it then may still have it. An older one is to be given out again."""
        return time.time() - taken_s < self.visibility_timeout_s * 1.2 + SLACK_S


def _is_round(message: dict[str, Any], jobs: dict[str, bool], *, taken: bool = False) -> bool:
    """Whether that is the coordinator's own: a sweep in its time, or an advance of a job under way."""
    headers = message["headers"]
    if headers["task"] == SWEEP:
        return taken or datetime.fromisoformat(headers["expires"]).timestamp() > time.time()
    if headers["task"] != ADVANCE:
        return False
    arguments = json.loads(base64.b64decode(message["body"]))[0]
    return jobs.get(arguments[0], False)
