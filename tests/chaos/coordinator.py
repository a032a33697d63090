"""A coordinator that is killed after a given write, for the tests alone: `python -m chaos.coordinator`.

It is the farm's own, with ledger, store and queue that count what they write for one job. The count is shared by all of
its processes, and the write that reaches it is the last thing any of them does. A write the timer makes for the
coordinator itself (heartbeat, whose turn it is to sweep, renewing a lease) says nothing of a job and is not counted.

    CHAOS_DIE="point-007:7"    after the 7th write for the job whose name begins so
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

from farm import service
from farm.redis_ledger import RedisLedger
from farm.store import S3Store

_JOB, _, _LAST = os.environ["CHAOS_DIE"].partition(":")
_count = multiprocessing.get_context("fork").Value("i", 0)

LEDGER_WRITES = ("create_job", "move_job", "move_task", "claim", "settle", "progress", "mark", "unmark", "set_health")
STORE_WRITES = ("_put", "_delete")


def written(what: str) -> None:
    """A write is done: if it is the last one allowed, this coordinator dies, all of its processes at once."""
    with _count.get_lock():
        _count.value += 1
        if _count.value == int(_LAST):
            print(f"killed after write {_count.value}: {what}", flush=True)  # noqa: T201 - for the test to read
            os.killpg(os.getpgid(0), signal.SIGKILL)


def _counted(method: Callable[..., Any], name: str) -> Callable[..., Any]:
    def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = method(self, *args, **kwargs)
        if _JOB in repr(args):
            written(f"{name} {args[:3] if name in LEDGER_WRITES else args[:1]}")
        return result

    return counted


def _counting(kind: type[Any], names: tuple[str, ...]) -> type[Any]:
    return type(kind.__name__, (kind,), {name: _counted(getattr(kind, name), name) for name in names})


def main() -> None:
    """Run until the write comes."""
    service.RedisLedger = _counting(RedisLedger, LEDGER_WRITES)  # type: ignore[misc]
    service.S3Store = _counting(S3Store, STORE_WRITES)  # type: ignore[misc]
    from farm.coordinator import app

    send = app.publish

    def publish(celery: Any, message: Any, priority: Any) -> None:
        send(celery, message, priority)
        if message.job.startswith(_JOB):
            written(f"publish {message.name}")

    app.publish = publish
    app.main()


if __name__ == "__main__":
    main()
