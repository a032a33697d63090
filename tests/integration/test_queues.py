"""Who comes first in a queue: real messages in a real Redis, taken as a worker takes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.broker import make_app, publish
from farm.contract.messages import Priority, Queue, Stage, TaskMessage
from farm.redis_ledger import RedisLedger
from farm.settings import Settings

JOB = "clip-0123456789"
CHUNK = TaskMessage(JOB, Stage.STYLIZE, 0, 1)
ANCHOR = TaskMessage(JOB, Stage.ANCHOR, 48, 1)


@pytest.mark.parametrize("other", [Priority.HIGH, Priority.LOW])
def test_anchors_come_before_chunks_and_priorities_before_both(redis_url: str, tmp_path: Path, other: Priority) -> None:
    app = make_app(Settings(redis_url=redis_url, home=tmp_path, cache_dir=tmp_path))
    theirs = [TaskMessage("other-0123456789", stage, 0, 1) for stage in (Stage.STYLIZE, Stage.ANCHOR)]
    publish(app, theirs[0], other)
    publish(app, CHUNK)
    publish(app, ANCHOR)
    publish(app, theirs[1], other)
    names = [message.name for message in (ANCHOR, CHUNK, theirs[1], theirs[0])]
    assert RedisLedger(redis_url).queued(Queue.STYLIZE) == set(names)
    with app.connection_for_read() as connection:
        queue = app.amqp.queues[Queue.STYLIZE].bind(connection.default_channel)
        taken = [message.headers["id"] for _ in names if (message := queue.get(no_ack=True))]
    assert taken == (names if other is Priority.LOW else names[2:] + names[:2])
    assert RedisLedger(redis_url).queued(Queue.STYLIZE) == set()
