"""Following a job to its end: shows its progress, warns where nobody works, or Redis is silent."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from farm.cli import terminal
from farm.cli.progress import BarProgress, JsonProgress, LineProgress, Progress
from farm.contract.states import JobState

if TYPE_CHECKING:
    from farm.client import Job
    from farm.status import JobStatus

IDLE_S = 10.0
"""How long nobody may be there to work before it is said."""
REPEAT_S = 60.0
"""How long the same warning is not said again."""
POLL_S = 0.5


def follow(job: Job, *, as_json: bool = False, on_stdout: bool = False) -> JobStatus:
    """Show the job's progress until its film is there; JobFailed where it ends without one."""
    with progress_for(as_json=as_json, on_stdout=on_stdout) as progress:
        vigil = Vigil(progress.warn)

        def see(status: JobStatus) -> None:
            vigil.see(status, time.monotonic())
            progress.show(status)

        return job.wait(see, poll_s=POLL_S, on_silence=lambda error: progress.warn(f"{error.message}; trying again"))


def progress_for(*, as_json: bool, on_stdout: bool) -> Progress:
    """Bars on a terminal, lines elsewhere, JSON where asked; on stderr, or on stdout where progress is the data."""
    if as_json:
        return JsonProgress(terminal.err())
    console = terminal.out() if on_stdout else terminal.err()
    return (
        BarProgress(console) if terminal.is_terminal(sys.stdout if on_stdout else sys.stderr) else LineProgress(console)
    )


class Vigil:
    """Notices that nobody is there to do the work, and says so with the cure: after 10 s, then each minute."""

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._idle_since_s: float | None = None
        self._said_s = float("-inf")

    def see(self, status: JobStatus, now_s: float) -> None:
        """Take in a status seen at `now_s`; may warn."""
        lack = lack_of(status)
        if not lack:
            self._idle_since_s = None
            return
        if self._idle_since_s is None:
            self._idle_since_s = now_s
        if now_s - self._idle_since_s >= IDLE_S and now_s - self._said_s >= REPEAT_S:
            self._said_s = now_s
            self._warn(lack)


def lack_of(status: JobStatus) -> str:
    """Who is missing for the job to go on, with the cure; empty where nobody is."""
    if status.ended:
        return ""
    if status.state is JobState.PAUSED:
        return f"it is paused; `farm resume {status.job}` goes on"
    if not status.workers_alive and not status.coordinators_alive:
        return "nobody is at work: no coordinator and no worker is alive; start them with `farm up`"
    if not status.coordinators_alive:
        return "no coordinator is alive, so nothing is planned; start one with `farm coordinator`, or `farm up`"
    if not status.workers_alive:
        return "no worker is alive, so nothing is painted; start one with `farm worker`, or `farm up`"
    if len(status.quarantines) >= status.workers_alive:
        name, why = next(iter(status.quarantines.items()))
        return f"every worker is in quarantine; {name}: {why}; mend it and start the worker again"
    return ""
