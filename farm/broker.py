"""The Celery settings both sides share, and the names of tasks.

JSON only, acknowledged late, one message in hand per process, bounded socket waits, the same
visibility timeout everywhere (Redis redelivers after it; leases and write-once frames make a
second delivery harmless). No results are kept: the store and the ledger hold what is known.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from farm.contract.codec import to_plain
from farm.contract.messages import STAGE_QUEUE, Priority, Queue, Stage, TaskId, TaskMessage

if TYPE_CHECKING:
    from celery import Celery

    from farm.settings import Settings

ADVANCE = "farm.advance"
SWEEP = "farm.sweep"
STAGE_TASK: dict[Stage, str] = {stage: f"farm.{stage}" for stage in Stage}
"""The Celery task of each stage, e.g. `farm.stylize`."""

PRIORITY_STEP: dict[Priority, int] = {Priority.HIGH: 0, Priority.NORMAL: 3, Priority.LOW: 6}
"""Each, with the one after it, is a list of its own in Redis; a worker asks for the lists in this order, whatever queue
they are of."""
GO_LATER = frozenset({Stage.STYLIZE, Stage.SEGMENT})
"""Within its priority such a task goes after the others: chunks wait for anchors and these for one another, and a
film's first frames are final only with its first boundaries. Of chunks there are always many in line. And segments,
of which there are many too, let go first the plans of new jobs and the films whose last segment is done."""
QUEUE_STEPS = tuple(sorted(step + later for step in PRIORITY_STEP.values() for later in (0, 1)))


def make_app(settings: Settings, name: str = "farm") -> Celery:
    """A Celery app on the settings' Redis. Connects to nothing yet."""
    from celery import Celery
    from kombu import Exchange
    from kombu import Queue as KombuQueue

    restore_s = min(10.0, settings.visibility_timeout_s / 5)
    app = Celery(name, broker=settings.redis_url, set_as_current=False)
    app.conf.update(
        task_serializer="json",
        result_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=False,  # the sweep sees the lost lease and decides
        worker_prefetch_multiplier=1,
        task_queues=[KombuQueue(str(queue), Exchange(str(queue)), routing_key=str(queue)) for queue in Queue],
        task_default_queue=Queue.COORDINATE,
        task_create_missing_queues=False,
        task_send_sent_event=True,
        worker_send_task_events=True,
        worker_hijack_root_logger=False,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # A Redis that is full refuses the note of a message in hand: wait for better times, do not end.
        broker_channel_error_retry=True,
        broker_transport_options={
            "priority_steps": list(QUEUE_STEPS),
            "visibility_timeout": settings.visibility_timeout_s,
            # Look for what a dead process had in hand every 10 s or sooner, not every 100 s.
            "unacked_restore_interval": restore_s,
            "unacked_restore_throttle": 1,
            # Whoever looks holds a lock. One killed while it did would keep all others from looking for 300 s; a round
            # takes milliseconds, and two at once do no harm: each message is moved in one transaction.
            "unacked_mutex_expire": restore_s,
            "socket_timeout": 30,
            "socket_connect_timeout": 5,
            "socket_keepalive": True,
            "health_check_interval": 25,
            "retry_on_timeout": True,
        },
        **_tls(settings.redis_url),
    )
    return app


def publish(app: Celery, message: TaskMessage, priority: Priority = Priority.NORMAL) -> None:
    """Put a task's message in its stage's queue. LedgerUnavailable where Redis does not answer."""
    step = PRIORITY_STEP[priority] + (message.stage in GO_LATER)
    options: dict[str, Any] = {"priority": step, "task_id": message.name}
    _send(app, STAGE_TASK[message.stage], (to_plain(message),), STAGE_QUEUE[message.stage], **options)


def publish_advance(app: Celery, job: str, ended: TaskId | None = None) -> None:
    """Ask a coordinator to look at a job, or at what the end of one attempt at one of its tasks lets begin."""
    _send(app, ADVANCE, (job,) if ended is None else (job, str(ended)), Queue.COORDINATE)


def publish_sweep(app: Celery, expires_s: float) -> None:
    """Ask a coordinator to look at every live job."""
    _send(app, SWEEP, (), Queue.COORDINATE, expires=expires_s)


def _send(app: Celery, name: str, arguments: tuple[Any, ...], queue: str, **options: Any) -> None:
    from kombu.exceptions import OperationalError

    from farm.contract.errors import LedgerUnavailable

    try:
        app.send_task(
            name,
            args=list(arguments),
            queue=queue,
            ignore_result=True,
            retry=True,
            retry_policy={"max_retries": 3, "interval_start": 0.1, "interval_max": 1.0},
            **options,
        )
    except (OperationalError, OSError) as error:
        raise LedgerUnavailable(
            f"Redis does not take messages ({error}); start it, or unset FARM_REDIS_URL and `farm up`"
        ) from error


def _tls(url: str) -> dict[str, Any]:
    if not url.startswith("rediss://"):
        return {}
    return {"broker_use_ssl": {"ssl_cert_reqs": ssl.CERT_REQUIRED}}
