"""The look for keys without an owner finds what it is there to find: held against a real Redis, with real messages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chaos.leftovers import Leftovers
from redis import Redis

from farm.broker import make_app, publish, publish_advance, publish_sweep
from farm.contract.messages import Queue, Stage, TaskMessage
from farm.contract.states import JobState
from farm.ledger import JobRecord
from farm.redis_ledger import RedisLedger
from farm.settings import Settings

LIVE, ENDED, UNKNOWN = "live-0123456789", "ended-0123456789", "unknown-0123456789"
TASK = TaskMessage(LIVE, Stage.STYLIZE, 0, 1)


class Bench:
    """A Redis with one job under way and one that ended."""

    def __init__(self, redis_url: str, home: Path) -> None:
        settings = Settings(redis_url=redis_url, home=home, cache_dir=home, visibility_timeout_s=5)
        self.redis: Any = Redis.from_url(redis_url, decode_responses=True)
        ledger = RedisLedger(redis_url)
        ledger.create_job(JobRecord(LIVE, state=JobState.RENDERING))
        ledger.create_job(JobRecord(ENDED, state=JobState.SUCCEEDED))
        self.app = make_app(settings)
        self.leftovers = Leftovers(self.redis, ledger, settings.visibility_timeout_s)
        self.connection = self.app.connection_for_read()

    @property
    def found(self) -> list[str]:
        return sorted(self.leftovers.ownerless())

    def take(self, queue: Queue) -> str:
        """Take a message in hand; its tag."""
        message = self.app.amqp.queues[queue].bind(self.connection.default_channel).get(no_ack=False)
        return str(message.delivery_tag)


@pytest.fixture
def bench(redis_url: str, tmp_path: Path) -> Iterator[Bench]:
    one = Bench(redis_url, tmp_path)
    yield one
    one.connection.release()
    one.redis.close()


def test_jobs_and_rounds_in_their_time_have_an_owner(bench: Bench) -> None:
    publish_advance(bench.app, LIVE)
    publish_sweep(bench.app, 60)
    assert bench.found == []
    bench.take(Queue.COORDINATE)
    bench.take(Queue.COORDINATE)
    assert bench.redis.hlen("unacked") == 2
    assert bench.found == []


def test_rounds_that_nobody_takes_have_none(bench: Bench) -> None:
    publish_advance(bench.app, ENDED)
    assert bench.found == ["coordinate"]
    bench.redis.delete("coordinate")
    publish_sweep(bench.app, 0.1)
    time.sleep(0.2)
    assert bench.found == ["coordinate"]


def test_a_tasks_message_has_none_in_whatever_queue_or_hand(bench: Bench) -> None:
    publish(bench.app, TASK)
    assert bench.found == ["stylize\x06\x164"]
    bench.take(Queue.STYLIZE)
    assert bench.found == ["unacked"]


def test_what_a_dead_process_had_in_hand_has_none(bench: Bench) -> None:
    publish_advance(bench.app, LIVE)
    tag = bench.take(Queue.COORDINATE)
    bench.redis.zadd("unacked_index", {tag: time.time() - 60})
    assert bench.found == ["unacked", "unacked_index"]
    bench.redis.delete("unacked_index")  # nobody will ever give it out again
    assert bench.found == ["unacked"]


def test_what_is_not_the_farms_or_never_ends_has_none(bench: Bench) -> None:
    planted = [
        "farm:worker:gone@here", "unacked_mutex", f"farm:{{{LIVE}}}:lease:{TASK.task}", f"farm:{{{UNKNOWN}}}:frames",
        "_kombu.binding.other", "1f2e.reply.celery.pidbox", "celery-task-meta-1f2e",
    ]  # fmt: skip
    for key in planted:
        bench.redis.set(key, "1")
    assert bench.found == sorted(planted)
    for key in planted[:2]:
        bench.redis.expire(key, 60)
    assert bench.found == sorted(planted[2:])
