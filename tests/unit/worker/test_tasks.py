"""What a task's error says of the device this process holds, and what becomes of the process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from farm.broker import STAGE_TASK
from farm.contract.codec import to_plain
from farm.contract.messages import Stage, TaskMessage
from farm.contract.states import TaskState
from farm.executor import Executor, Outcome, Run
from farm.ledger import JobRecord
from farm.settings import Settings
from farm.testing import MemoryLedger, MemoryStore
from worker.tasks import DeviceWatch, register

MESSAGE = TaskMessage("clip-0123456789", Stage.STYLIZE, 0, 1)
LOST_DEVICE = torch.AcceleratorError("CUDA error: an illegal memory access was encountered")


@pytest.mark.parametrize(
    ("error", "broken"),
    [
        (LOST_DEVICE, True),
        (torch.AcceleratorError("CUDA error: out of memory"), False),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), False),
        (RuntimeError("this task is broken"), False),
    ],
)
def test_a_broken_device_is_told_from_a_task_that_failed(error: RuntimeError, broken: bool) -> None:
    device = DeviceWatch()

    def work() -> None:
        raise error

    with pytest.raises(type(error)):
        device.watched(work)  # type: ignore[arg-type]
    assert device.is_broken is broken


class App:
    """Celery's, as `register` knows it."""

    def __init__(self) -> None:
        self.tasks: dict[str, Callable[[Any], None]] = {}

    def task(self, name: str) -> Callable[[Callable[[Any], None]], None]:
        return lambda run_task: self.tasks.update({name: run_task})


@pytest.mark.parametrize(
    ("error", "ended"), [(LOST_DEVICE, ["process"]), (RuntimeError("this task is broken"), []), (None, [])]
)
def test_a_process_whose_device_is_broken_ends_once_its_task_is_settled(
    tmp_path: Path, error: Exception | None, ended: list[str]
) -> None:
    ledger, seen = MemoryLedger(), []
    ledger.create_job(JobRecord(MESSAGE.job))
    ledger.move_task(MESSAGE.job, MESSAGE.task, TaskState.QUEUED, attempt=1)

    def end_process() -> None:
        assert ledger.task(MESSAGE.job, MESSAGE.task).state is TaskState.RETRYING
        seen.append("process")

    executor = Executor(
        Settings(home=tmp_path, cache_dir=tmp_path), MemoryStore(), ledger, "worker", lambda _message: None,
        is_worker=True, end_process=end_process,
    )  # fmt: skip

    def work(_run: Run, _studio: Any) -> Outcome:
        if error is not None:
            raise error
        return Outcome()

    app: Any = App()
    studio: Any = object()
    register(app, lambda: (executor, studio), {Stage.STYLIZE: work})
    app.tasks[STAGE_TASK[Stage.STYLIZE]](to_plain(MESSAGE))
    assert seen == ended
