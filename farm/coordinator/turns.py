"""Whose turn it is: a coordinator that serves both queues keeps a pool process free for short work.

One job alone has segments enough to occupy every process for minutes, and no worker gets its next task while nobody
looks at the job. So where all processes but one are at plans, segments and films, Celery's consumer asks the queue
`media` for no more. kombu asks this class which queues to look into, each time before it does.
"""

from __future__ import annotations

from collections.abc import Iterable

from celery.worker import state

from farm.broker import STAGE_TASK
from farm.contract.messages import STAGE_QUEUE, Queue

POOL_PROCESSES = 3
"""Of a coordinator; no fewer than two."""
_MEDIA_TASKS = frozenset(name for stage, name in STAGE_TASK.items() if STAGE_QUEUE[stage] is Queue.MEDIA)


class Turns:
    """Queues in turn, as kombu's `round_robin_cycle`, but without `media` while too many of its tasks are in hand."""

    def __init__(self) -> None:
        self._queues: list[str] = []

    def update(self, queues: Iterable[str]) -> None:
        """These are the queues this process serves."""
        self._queues[:] = queues

    def rotate(self, served: str) -> None:
        """A message came from that queue: it goes last."""
        if served in self._queues:
            self._queues.remove(served)
            self._queues.append(served)

    def consume(self, n: int) -> list[str]:
        """The queues to look into now, `n` at the most."""
        busy = sum(request.name in _MEDIA_TASKS for request in tuple(state.reserved_requests))
        short = [queue for queue in self._queues if queue != Queue.MEDIA]
        return (self._queues if busy < POOL_PROCESSES - 1 or not short else short)[:n]
