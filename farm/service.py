"""What a Celery process of the farm has in common, coordinator or worker: its parts, its heartbeat, its end."""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import time
import warnings
from dataclasses import dataclass
from typing import Any

from farm.broker import publish_advance
from farm.contract.messages import TaskMessage
from farm.executor import Executor
from farm.redis_ledger import RedisLedger
from farm.settings import Settings
from farm.store import S3Store

PROCESS_START_TIMEOUT_S = 120.0
"""How long a pool process may take to start: importing torch from a cold disk takes a while."""

PROCESS_END_TIMEOUT_S = 2.0
"""How long a pool process that ends waits for Celery to count its last result. A result that comes in just as Celery
begins to shut down is never counted; billiard would wait 30 s for it. Nothing hangs on it: the ledger has the result,
and a message that is delivered again finds its task done."""


def process_name(kind: str) -> str:
    """A Celery node name, unique on this host: `worker-<FARM_WORKER_NAME or pid>@host`."""
    own = os.environ.get("FARM_WORKER_NAME", "") or f"{kind}-{os.getpid()}"
    return f"{own}@{socket.gethostname()}"


@dataclass(frozen=True)
class Parts:
    """One process's connections. Made after the fork, never shared across one."""

    settings: Settings
    store: S3Store
    ledger: RedisLedger
    executor: Executor


def connect(settings: Settings, app: Any, name: str, shutting_down: Any) -> Parts:
    """Connect this process to store, ledger and queue."""
    store, ledger = S3Store.from_settings(settings), RedisLedger(settings.redis_url)

    def notify(message: TaskMessage) -> None:
        publish_advance(app, message.job, message.task)

    executor = Executor(settings, store, ledger, name, notify, shutting_down.is_set)
    return Parts(settings, store, ledger, executor)


def own_logging() -> None:
    """Keep Celery from setting up logging; ours goes to stderr."""
    from celery import signals

    signals.setup_logging.connect(lambda **_: log_to_stderr(), weak=False)
    # Celery warns of pickle under root; the farm takes JSON only.
    warnings.filterwarnings("ignore", message="(?s).*superuser privileges")


def bound_process_end() -> None:
    """Let pool processes end within `PROCESS_END_TIMEOUT_S`; billiard has no setting for it."""
    from billiard import pool

    pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_LIMIT = round(
        PROCESS_END_TIMEOUT_S / pool.GUARANTEE_MESSAGE_CONSUMPTION_RETRY_INTERVAL
    )


def run_celery(app: Any, name: str, queues: tuple[str, ...], processes: int) -> None:
    """Run a Celery worker in this process until SIGTERM."""
    own_logging()
    bound_process_end()
    app.conf.update(worker_proc_alive_timeout=PROCESS_START_TIMEOUT_S)
    app.worker_main(
        ["-q", "worker", "--hostname", name, "--queues", ",".join(queues), "--concurrency", str(processes),
         "--events", "--without-gossip", "--without-mingle"]
    )  # fmt: skip


def log_to_stderr(level: int = logging.INFO) -> None:
    """One line a record on stderr, with the facts it carries; JSON where FARM_LOG=json."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if os.environ.get("FARM_LOG") == "json" else _Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for chatty in ("botocore", "boto3", "urllib3", "celery", "kombu", "amqp", "pyscenedetect"):
        logging.getLogger(chatty).setLevel(logging.WARNING)


_FACTS = ("job", "task", "attempt", "frame")


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        facts = " ".join(f"{name}={getattr(record, name)}" for name in _FACTS if hasattr(record, name))
        text = f"{clock} {record.levelname.lower():<7} {record.name}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return f"{text}  [{facts}]" if facts else text


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        plain: dict[str, object] = {
            "time_s": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        plain.update({name: getattr(record, name) for name in _FACTS if hasattr(record, name)})
        if record.exc_info:
            plain["traceback"] = self.formatException(record.exc_info)
        return json.dumps(plain, ensure_ascii=False)
