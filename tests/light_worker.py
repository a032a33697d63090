"""A real worker whose tasks do what their frame number says, instead of painting: no torch, no device and no store.

    python tests/light_worker.py NAME [broken]      # the farm comes from the environment; broken: every task fails

All else is `worker.app`'s: the pool process executes, the parent's warden watches.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from types import SimpleNamespace
from typing import Any

from farm.broker import make_app
from farm.contract.messages import Queue, Stage
from farm.executor import Executor, Outcome, Run
from farm.ledger import WorkerInfo
from farm.redis_ledger import RedisLedger
from farm.service import Parts
from farm.settings import Settings
from farm.testing import MemoryStore
from worker.app import Painters, run
from worker.device import Device

DONE, FAILS, HANGS, STOPS, DIES, SLOW = 0, 1_000, 2_000, 3_000, 4_000, 5_000
"""What a task does: its `start` is one of these, plus any number below 1,000."""

HUNG_S = 2.0


def behave(run: Run, _studio: Any) -> Outcome:
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


class LightPainters(Painters):
    """Paints nothing, and needs nothing for it."""

    def _connect(self) -> Parts:
        store: Any = MemoryStore()
        ledger = RedisLedger(self.settings.redis_url)
        executor = Executor(self.settings, store, ledger, self.name, lambda _message: None, self.shutting_down.is_set)
        return Parts(self.settings, store, ledger, executor)

    def _open_studio(self) -> Any:
        return SimpleNamespace(device=Device("none", "none", 0), versions={})

    def _info(self) -> WorkerInfo:
        return WorkerInfo(self.name, "here", os.getpid(), "none", self.queues)


def main() -> None:
    settings = Settings.load()
    painters = LightPainters(settings, make_app(settings, "light-worker"), sys.argv[1], (Queue.STYLIZE, Queue.BLEND))
    run(painters, dict.fromkeys((Stage.ANCHOR, Stage.STYLIZE, Stage.BLEND), behave), HUNG_S)


if __name__ == "__main__":
    main()
