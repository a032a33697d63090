"""The worker's Celery tasks. Thin: the work is in `worker.anchor`, `chunk` and `boundary`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from celery import Celery

from farm.broker import STAGE_TASK
from farm.contract.codec import from_plain
from farm.contract.messages import Stage, TaskMessage
from farm.executor import Executor, Outcome, Run
from worker import heap

if TYPE_CHECKING:
    from worker.studio import Studio

    Tools = Callable[[], tuple[Executor, Studio]]
    Work = Callable[[Run, Studio], Outcome]

log = logging.getLogger(__name__)


def painting() -> dict[Stage, Work]:
    """What a worker does at each of its stages. Imports torch."""
    from worker.anchor import paint_anchor
    from worker.boundary import blend_boundary
    from worker.chunk import paint_chunk

    return {Stage.ANCHOR: paint_anchor, Stage.STYLIZE: paint_chunk, Stage.BLEND: blend_boundary}


def register(app: Celery, tools: Tools, works: Mapping[Stage, Work]) -> None:
    """Add the stages' tasks to an app; `tools` gives this process's executor and studio."""
    for stage, work in works.items():
        app.task(name=STAGE_TASK[stage])(_task(work, tools))


def _task(work: Work, tools: Tools) -> Callable[[dict[str, Any]], None]:
    def run_task(payload: dict[str, Any]) -> None:
        executor, studio = tools()
        device = DeviceWatch()
        with sigterm_waits():
            executor.execute(from_plain(TaskMessage, payload), lambda run: device.watched(lambda: work(run, studio)))
        if device.is_broken:
            log.error("the device is of no more use to this process: another one takes its place")
            executor.end_process()
        heap.hand_back()

    run_task.__doc__ = work.__doc__
    return run_task


class DeviceWatch:
    """Sees whether a task broke this process's hold on its device.

    After an illegal access, a failed launch or a memory cell gone bad, CUDA refuses every later call of the process:
    its next tasks would all fail, and a quarantine would not mend it. A new process can have the device again.
    """

    def __init__(self) -> None:
        self.is_broken = False

    def watched(self, work: Callable[[], Outcome]) -> Outcome:
        """What `work` gives or raises."""
        try:
            return work()
        except Exception as error:
            self.is_broken = _broke_device(error)
            raise


def _broke_device(error: Exception) -> bool:
    if "torch" not in sys.modules:  # then it is none of torch's errors
        return False
    import torch

    from worker.engine.memory import is_out_of_memory

    return isinstance(error, torch.AcceleratorError) and not is_out_of_memory(error)


@contextmanager
def sigterm_waits() -> Iterator[None]:
    """Some service managers send SIGTERM to the parent and to this pool process alike, whose work would die of it.

    The parent tells the work to stop, which then hands its task back; only after that this process ends.
    """
    told: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: told.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
