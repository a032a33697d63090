"""An executor on a store in memory, and a ledger there if not given, with one task queued."""

from __future__ import annotations

import threading
from pathlib import Path

from farm.contract import keys
from farm.contract.messages import Stage, TaskMessage
from farm.contract.states import TaskState
from farm.executor import Executor
from farm.ledger import JobRecord, Ledger, TaskRecord
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore

JOB = "clip-0123456789"
MESSAGE = TaskMessage(JOB, Stage.STYLIZE, 16, 1)


class Bench:
    def __init__(
        self,
        tmp_path: Path,
        lease_s: float = 30.0,
        stuck_s: float = 300.0,
        grace_s: float = 10.0,
        ledger: Ledger | None = None,
    ) -> None:
        self.store, self.ledger = MemoryStore(), ledger or MemoryLedger()
        self.notified: list[TaskMessage] = []
        self.ending = False
        settings = Settings(
            home=tmp_path, cache_dir=tmp_path, lease_s=lease_s, max_attempts=2, stuck_s=stuck_s, grace_s=grace_s
        )
        self.ended = threading.Event()
        self.executor = Executor(
            settings, self.store, self.ledger, "worker", self.notified.append, lambda: self.ending,
            is_worker=True, end_process=self.ended.set,
        )  # fmt: skip
        self.ledger.create_job(JobRecord(JOB))
        self.ledger.move_task(JOB, MESSAGE.task, TaskState.QUEUED, attempt=1)

    def again(self, attempt: int, start: int = 16) -> TaskMessage:
        """A message of the next attempt."""
        message = TaskMessage(JOB, Stage.STYLIZE, start, attempt)
        assert self.ledger.move_task(JOB, message.task, TaskState.QUEUED, attempt=attempt)
        return message

    @property
    def log(self) -> str:
        """The last log kept in the store."""
        return self.store.get(list(self.store.list(keys.logs(JOB)))[-1]).decode()

    @property
    def task(self) -> TaskRecord:
        return self.ledger.tasks(JOB)[MESSAGE.task]
