"""The worker's process: one Celery worker with one pool process, which owns the device.

The parent answers Celery's remote control and Flower while the child paints; it never touches CUDA, so the
fork is safe. The child loads its backbone once, keeps it, and sends the heartbeats: they end when it dies.
The parent's `worker.warden` stops taking tasks while the worker is in quarantine, and ends a child that hangs.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from celery import Celery, signals

from farm.broker import make_app
from farm.contract.errors import FarmError
from farm.contract.messages import Queue, Stage
from farm.contract.params import Backbone
from farm.executor import Executor
from farm.heartbeat import Heartbeat
from farm.ledger import WorkerHealth, WorkerInfo
from farm.redis_ledger import RedisLedger
from farm.service import Parts, connect, process_name, run_celery
from farm.settings import Settings
from worker import heap
from worker.device import choose_device
from worker.tasks import painting, register
from worker.warden import HUNG_S, Pulse, Warden

if TYPE_CHECKING:
    from worker.studio import Studio
    from worker.tasks import Work

log = logging.getLogger(__name__)


@dataclass
class Painters:
    """The pool process: connections, device and studio, made after the fork."""

    settings: Settings
    app: Celery
    name: str
    queues: tuple[str, ...]

    def __post_init__(self) -> None:
        context = multiprocessing.get_context("fork")
        self.shutting_down = context.Event()
        self.failure = context.Value("i", 0)  # the exit code of a worker that can't paint
        self.heartbeat: Heartbeat | None = None
        self.pulse = Pulse()
        self.parts = lru_cache(maxsize=1)(self._own_parts)
        self.studio = lru_cache(maxsize=1)(self._open_studio)

    def tools(self) -> tuple[Executor, Studio]:
        """This process's executor and studio."""
        return self.parts().executor, self.studio()

    def start(self, **_: object) -> None:
        """At the pool process's start: take the device, then say so to the farm. Where that fails, the worker ends."""
        if self.failure.value:  # of the process before; the parent is about to end
            os._exit(self.failure.value)
        self.pulse.start()
        try:
            self._take_device()
        except Exception as error:  # Celery would note it, and run tasks here all the same
            log.critical("%s can't paint, and ends: %s", self.name, error, exc_info=not isinstance(error, FarmError))
            self.failure.value = error.exit_code if isinstance(error, FarmError) else 1
            os.kill(os.getppid(), signal.SIGTERM)
            os._exit(self.failure.value)

    def _take_device(self) -> None:
        studio = self.studio()
        if studio.device.torch_name == "cpu":
            heap.keep_freed()
        info = self._info()
        executor = self.parts().executor
        self.heartbeat = Heartbeat(self.parts().ledger, lambda: replace(info, quarantine=executor.quarantine()))
        self.heartbeat.start()
        log.info("%s ready on %s", self.name, studio.device.title)

    def stop(self, **_: object) -> None:
        """At the pool process's end."""
        if self.heartbeat is not None:
            self.heartbeat.stop()

    def _own_parts(self) -> Parts:
        parts = self._connect()
        executor = replace(parts.executor, is_worker=True, end_process=_end_this_process)
        return replace(parts, executor=executor)

    # What a worker of another kind has in its own way.

    def _connect(self) -> Parts:
        return connect(self.settings, self.app, self.name, self.shutting_down)

    def _open_studio(self) -> Studio:
        from worker.studio import Studio

        return Studio(self.settings, self.parts().store, choose_device(self.settings))

    def _info(self) -> WorkerInfo:
        from worker.engine.backbones import weights_sha256

        found = {item: weights_sha256(item, self.settings.weights_dir) for item in Backbone}
        device = self.studio().device
        precisions = {str(item): device.precision(item) for item, sha256 in found.items() if sha256}
        return WorkerInfo(
            name=self.name,
            host=socket.gethostname(),
            pid=os.getpid(),
            device=device.title,
            queues=self.queues,
            threads=self.settings.threads,
            memory_bytes=device.memory_bytes,
            weights={str(item): sha256 for item, sha256 in found.items() if sha256},
            versions={**self.studio().versions, **precisions},
        )


def main() -> None:
    """Run a worker until SIGTERM; SystemExit with an exit code where it can't paint."""
    works = painting()  # first: torch is to be there before the fork
    settings = Settings.load()
    queues = tuple(os.environ.get("FARM_QUEUES", f"{Queue.STYLIZE},{Queue.BLEND}").split(","))
    run(Painters(settings, make_app(settings, "farm-worker"), process_name("worker"), queues), works)


def run(painters: Painters, works: Mapping[Stage, Work], hung_s: float = HUNG_S) -> None:
    """Run a worker that does `works`: what `main` does, whatever is painted, and with what."""
    settings, app, name, queues = painters.settings, painters.app, painters.name, painters.queues
    register(app, painters.tools, works)
    ledger = RedisLedger(settings.redis_url)
    with suppress(FarmError):  # started again is a fresh start
        ledger.set_health(name, WorkerHealth())
    warden = Warden(ledger, name, queues, painters.pulse, hung_s)
    signals.worker_ready.connect(lambda sender, **_: warden.start(sender), weak=False)
    signals.worker_process_init.connect(painters.start, weak=False)
    signals.worker_process_shutdown.connect(painters.stop, weak=False)
    signals.worker_shutting_down.connect(lambda **_: painters.shutting_down.set(), weak=False)
    signals.worker_shutdown.connect(lambda **_: warden.stop(), weak=False)
    signals.worker_shutdown.connect(lambda **_: _goodbye(settings, name), weak=False)
    run_celery(app, name, queues, processes=1)
    if painters.failure.value:
        sys.exit(painters.failure.value)


def _end_this_process() -> None:
    """Its task is stuck: Celery starts a new pool process in its place."""
    os.kill(os.getpid(), signal.SIGKILL)


def _goodbye(settings: Settings, name: str) -> None:
    """Where the pool process was killed, the parent takes the worker off the list."""
    with suppress(FarmError):  # Redis may be gone already; then the heartbeat runs out by itself
        RedisLedger(settings.redis_url).forget_worker(name)
