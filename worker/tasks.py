"""The worker's Celery tasks. Thin: the work is in `worker.chunk` and `worker.boundary`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery

from farm.broker import STAGE_TASK
from farm.contract.codec import from_plain
from farm.contract.messages import Stage, TaskMessage
from farm.executor import Executor, Outcome, Run
from worker.studio import Studio

Tools = Callable[[], tuple[Executor, Studio]]


def register(app: Celery, tools: Tools) -> None:
    """Add the painting tasks to an app; `tools` gives this process's executor and studio."""
    from worker.boundary import blend_boundary
    from worker.chunk import paint_anchor, paint_chunk

    works: dict[Stage, Callable[[Run, Studio], Outcome]] = {
        Stage.ANCHOR: paint_anchor,
        Stage.STYLIZE: paint_chunk,
        Stage.BLEND: blend_boundary,
    }
    for stage, work in works.items():
        app.task(name=STAGE_TASK[stage])(_task(work, tools))


def _task(work: Callable[[Run, Studio], Outcome], tools: Tools) -> Callable[[dict[str, Any]], None]:
    def run_task(payload: dict[str, Any]) -> None:
        executor, studio = tools()
        executor.execute(from_plain(TaskMessage, payload), lambda run: work(run, studio))

    run_task.__doc__ = work.__doc__
    return run_task
