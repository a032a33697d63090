"""A real Celery worker process whose tasks do what their frame number says, instead of painting: no torch.

    python tests/light_worker.py NAME [broken]      # the farm comes from the environment; broken: every task fails

It is put together as `worker.app` is: the pool process executes, the parent's warden watches.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from functools import lru_cache

from celery import signals

from farm.broker import STAGE_TASK, make_app
from farm.contract.codec import from_plain
from farm.contract.messages import Queue, Stage, TaskMessage
from farm.executor import Executor, Outcome, Run
from farm.heartbeat import Heartbeat
from farm.ledger import WorkerInfo
from farm.redis_ledger import RedisLedger
from farm.service import run_celery
from farm.settings import Settings
from farm.testing import MemoryStore
from worker.tasks import sigterm_waits
from worker.warden import Pulse, Warden

DONE, FAILS, HANGS, STOPS, DIES, SLOW = 0, 1_000, 2_000, 3_000, 4_000, 5_000
"""What a task does: its `start` is one of these, plus any number below 1,000."""


def behave(run: Run) -> Outcome:
    if "broken" in sys.argv:
        raise RuntimeError("this worker is broken")
    match run.message.start // 1000 * 1000 if run.message.stage is Stage.STYLIZE else DONE:
        case 1_000:
            raise RuntimeError("this task is broken")
        case 2_000:
            time.sleep(600)
        case 3_000:
            os.kill(os.getpid(), signal.SIGSTOP)
        case 4_000:
            os.kill(os.getpid(), signal.SIGKILL)
        case 5_000:
            time.sleep(1.0)
    return Outcome()


def main() -> None:
    settings, name, queues = Settings.load(), sys.argv[1], (str(Queue.STYLIZE), str(Queue.BLEND))
    app, pulse = make_app(settings, "light-worker"), Pulse()
    shutting_down = multiprocessing.get_context("fork").Event()

    @lru_cache(maxsize=1)
    def executor() -> Executor:
        return Executor(
            settings, MemoryStore(), RedisLedger(settings.redis_url), name, lambda _message: None,
            shutting_down.is_set, is_worker=True, end_process=lambda: os.kill(os.getpid(), signal.SIGKILL),
        )  # fmt: skip

    def work(payload: dict[str, object]) -> None:
        with sigterm_waits():
            executor().execute(from_plain(TaskMessage, payload), behave)

    for stage in (Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND):
        app.task(name=STAGE_TASK[stage])(work)

    def start(**_: object) -> None:
        pulse.start()
        Heartbeat(RedisLedger(settings.redis_url), info).start()

    def info() -> WorkerInfo:
        return WorkerInfo(name, "here", os.getpid(), "cpu", queues, quarantine=executor().quarantine())

    warden = Warden(RedisLedger(settings.redis_url), name, queues, pulse, hung_s=2.0)
    signals.worker_process_init.connect(start, weak=False)
    signals.worker_shutting_down.connect(lambda **_: shutting_down.set(), weak=False)
    signals.worker_ready.connect(lambda sender, **_: warden.start(sender), weak=False)
    run_celery(app, name, queues, processes=1)


if __name__ == "__main__":
    main()
