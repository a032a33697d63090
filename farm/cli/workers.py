"""`farm workers`: who is alive, with what, and what each is at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from farm.cli.output import bytes_text, duration_text, put_json, put_table
from farm.cli.request import AsJson
from farm.cli.terminal import say, warn
from farm.contract.codec import to_plain

if TYPE_CHECKING:
    from rich.text import Text

    from farm.at_work import Work
    from farm.ledger import WorkerInfo


def workers(*, as_json: AsJson = False) -> None:
    """List the workers and coordinators alive, and what each is at."""
    from farm.at_work import at_work
    from farm.client import Farm

    farm = Farm.from_settings()
    processes = sorted(farm.ledger.workers(), key=lambda info: (not info.is_worker, info.name))
    works = at_work(farm.ledger)
    if as_json:
        put_json({"workers": [_plain(info, works.get(info.name, ())) for info in processes]})
        return
    now_s = time.time()
    if processes:
        put_table(
            ("NAME", "DEVICE", "MEMORY", "AT"),
            ([*_what(info), at_text(info, works.get(info.name, ()), now_s)] for info in processes),
            right=frozenset({2}),
        )
    if not any(info.is_worker for info in processes):
        warn("no worker is alive, so nothing is painted: `farm worker`, or `farm up`")
    if not any(info.is_coordinator for info in processes):
        warn("no coordinator is alive, so nothing is planned: `farm coordinator`, or `farm up`")
    if any(info.quarantine for info in processes):
        say("a worker in quarantine takes no task: mend what it says, then start it again", "yellow")


def at_text(info: WorkerInfo, works: tuple[Work, ...], now_s: float) -> Text:
    """What a process is at, in words."""
    from rich.text import Text

    if works:
        return Text("\n".join(_work_text(work, now_s) for work in works), "cyan")
    if info.quarantine:
        return Text(f"in quarantine: {info.quarantine}", "yellow")
    return Text("nothing", "dim")


def _work_text(work: Work, now_s: float) -> str:
    from farm.explain import task_name

    frames = f", {work.frames_done} frame{'' if work.frames_done == 1 else 's'} done" if work.frames_done else ""
    return f"{work.job}: {task_name(work.task)}, for {duration_text(max(0.0, now_s - work.since_s))}{frames}"


def _what(info: WorkerInfo) -> list[str]:
    if not info.is_worker:
        return [info.name, "coordinator", ""]
    return [info.name, info.device, bytes_text(info.memory_bytes)]


def _plain(info: WorkerInfo, works: tuple[Work, ...]) -> dict[str, Any]:
    return {**to_plain(info), "at": [{**to_plain(work), "task": str(work.task)} for work in works]}
