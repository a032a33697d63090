"""The coordinator's Celery app: queues `coordinate` and `media`, and the timer behind the sweep."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from celery import signals

from farm import __version__
from farm.broker import ADVANCE, STAGE_TASK, SWEEP, make_app, publish, publish_sweep
from farm.contract.codec import from_plain
from farm.contract.errors import FarmError
from farm.contract.messages import Queue, Stage, TaskId, TaskMessage
from farm.coordinator.advance import Coordinator
from farm.coordinator.folders import WorkFolders
from farm.coordinator.turns import POOL_PROCESSES, Turns
from farm.heartbeat import Heartbeat
from farm.ledger import WorkerInfo
from farm.media import MediaCache
from farm.redis_ledger import RedisLedger
from farm.retries import sweep_pause_s
from farm.service import Parts, connect, process_name, run_celery
from farm.settings import Settings

log = logging.getLogger(__name__)

settings = Settings.load()
name = process_name("coordinator")
app = make_app(settings, "farm-coordinator")
app.conf.broker_transport_options["queue_order_strategy"] = f"{Turns.__module__}:{Turns.__name__}"
work = WorkFolders(settings.cache_dir)
_shutting_down = multiprocessing.get_context("fork").Event()  # told to the pool's processes through the fork


@lru_cache(maxsize=1)
def parts() -> Parts:
    """This process's connections."""
    own = connect(settings, app, name, _shutting_down)
    return replace(own, executor=replace(own.executor, watched=True, end_process=_end_this_process))


def _end_this_process() -> None:
    """Its plan or film is stuck. It has no other work, Celery starts a new pool process, and the others go on."""
    os.kill(os.getpid(), signal.SIGKILL)


@lru_cache(maxsize=1)
def _coordinator() -> Coordinator:
    own = parts()
    return Coordinator(settings, own.store, own.ledger, partial(publish, app), own.ledger.queued)


@lru_cache(maxsize=1)
def _media() -> MediaCache:
    return MediaCache.from_settings(parts().store, settings)


@app.task(name=ADVANCE)
def advance(job: str, ended: str = "") -> None:
    """Bring a job as far as what exists allows, or as far as the end of one attempt at a task does."""
    try:
        _coordinator().advance(job, TaskId.parse(ended) if ended else None)
    except FarmError as error:  # the sweep looks at the job again; Celery would log a traceback for each
        log.warning("no advance: %s", error, extra={"job": job})


@app.task(name=SWEEP, send_events=False)  # every few seconds: it would bury the jobs' tasks in Flower
def sweep() -> None:
    """Mend and advance every job under way."""
    _coordinator().sweep()


@app.task(name=STAGE_TASK[Stage.PLAN])
def plan(payload: dict[str, Any]) -> None:
    """Index a clip and cut it in chunks."""
    from farm.coordinator.planning import plan_job

    parts().executor.execute(from_plain(TaskMessage, payload), lambda run: plan_job(run, _media(), settings))


@app.task(name=STAGE_TASK[Stage.SEGMENT])
def segment(payload: dict[str, Any]) -> None:
    """Encode a segment of a film, measure and check it."""
    from farm.coordinator.encoding import encode_job_segment

    parts().executor.execute(from_plain(TaskMessage, payload), lambda run: encode_job_segment(run, _media(), work))


@app.task(name=STAGE_TASK[Stage.ASSEMBLE])
def assemble(payload: dict[str, Any]) -> None:
    """Join a film's segments and check it."""
    from farm.coordinator.assembly import assemble_job

    parts().executor.execute(from_plain(TaskMessage, payload), lambda run: assemble_job(run, _media(), work))


class SweepTimer:
    """Asks for a sweep every `sweep_s`; of several coordinators one does."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._ledger = RedisLedger(settings.redis_url)
        self._thread = threading.Thread(target=self._run, name="sweep-timer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, within a moment."""
        self._ended.set()
        if self._thread.is_alive():  # Celery may give up before it is ready
            self._thread.join(timeout=5)

    def _run(self) -> None:
        while not self._ended.wait(sweep_pause_s(settings.sweep_s)):
            try:
                if self._ledger.take_turn("sweep", settings.sweep_s * 0.9):
                    publish_sweep(app, expires_s=max(settings.sweep_s, 5.0))
            except FarmError as error:
                log.warning("no sweep: %s", error)


def _info() -> WorkerInfo:
    return WorkerInfo(
        name=name,
        host=socket.gethostname(),
        pid=os.getpid(),
        device="cpu",
        queues=_queues(),
        threads=1,
        versions={"farm": __version__},
    )


def _queues() -> tuple[str, ...]:
    return tuple(os.environ.get("FARM_QUEUES", f"{Queue.COORDINATE},{Queue.MEDIA}").split(","))


def main() -> None:
    """Run the coordinator until SIGTERM."""
    timer, heartbeat = SweepTimer(), Heartbeat(RedisLedger(settings.redis_url), _info)

    def ready(**_: object) -> None:
        timer.start()
        heartbeat.start()
        log.info("%s ready", name)

    def ending(**_: object) -> None:
        _shutting_down.set()

    def ended(**_: object) -> None:
        timer.stop()
        heartbeat.stop()

    # Each process of the pool, when it starts: so also the one that follows one that ended itself.
    signals.worker_process_init.connect(lambda **_: work.clear(), weak=False)
    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(ending, weak=False)
    signals.worker_shutdown.connect(ended, weak=False)
    run_celery(app, name, _queues(), POOL_PROCESSES)
