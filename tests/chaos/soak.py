"""A soak's parts: jobs that come evenly, workers that die at random, and the memory of what lives through it all."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import psutil
from chaos.yard import Painted, Yard, until

from farm.contract.states import JOB_ENDED, JOB_LIVE, TaskState
from farm.job import Job

WORKERS = ("worker-0", "worker-1", "worker-2")
SPARED = WORKERS[0]
"""Only children of this one are killed, so that its parent process lives as long as the soak."""

KILL_PAUSE_S = (4.0, 10.0)
SAMPLES = 120
WARM_UP = 0.1
"""This share of the soak is left out of the figures: libraries are loaded, caches filled."""

MIB = 2**20
NOISE_BYTES, NOISE = 4 * MIB, 0.05
"""What a process may seem to grow by in the second half though it does not: an allocator's pages, a job in hand."""

JOB_BYTES = 16 * 1024
"""What Redis may keep of a job: its record, those of its tasks, and room to spare."""

REDIS = "Redis: used_memory"
UNBOUNDED = frozenset({"S3 server"})
"""Its index grows with what it stores, and it is not ours."""


@dataclass
class Meter:
    """Memory in bytes of each long-lived part, sampled over the soak."""

    length_s: float
    at_s: list[float] = field(default_factory=list)
    used: dict[str, list[int]] = field(default_factory=dict)

    def sample(self, yard: Yard, now_s: float) -> None:
        """Look once."""
        coordinator, spared = psutil.Process(yard.pid("coordinator")), psutil.Process(yard.pid(SPARED))
        found = {
            "coordinator, parent": _rss(coordinator),
            "coordinator, pool": sum(_rss(child) for child in coordinator.children()),
            f"{SPARED}, parent": _rss(spared),
            "S3 server": _rss(psutil.Process(yard.service_pid("store"))),
            REDIS: int(yard.redis.info("memory")["used_memory"]),
        }
        self.at_s.append(now_s)
        for part, used in found.items():
            self.used.setdefault(part, []).append(used)

    def stages(self, part: str) -> tuple[float, float, float]:
        """A part's memory at the start, in the middle and at the end: medians of a fifth of the samples each."""
        used = np.array(self.used[part])[self._warm]
        fifth = max(1, len(used) // 5)
        middle = (len(used) - fifth) // 2
        return tuple(float(np.median(one)) for one in (used[:fifth], used[middle : middle + fifth], used[-fifth:]))  # type: ignore[return-value]

    def growth(self, part: str) -> float:
        """Bytes that the part grew by in the second half: the slope of a straight line through its samples."""
        late = np.array(self.at_s) >= self.length_s / 2
        slope = np.polyfit(np.array(self.at_s)[late], np.array(self.used[part])[late], 1)[0]
        return float(slope) * self.length_s / 2

    def limit(self, part: str, jobs: int) -> float:
        """The most it may have grown by in the second half, of so many jobs in all."""
        if part in UNBOUNDED:
            return float("inf")
        noise = max(NOISE_BYTES, NOISE * self.stages(part)[1]) if part != REDIS else MIB
        return noise + (JOB_BYTES * jobs / 2 if part == REDIS else 0)

    @property
    def _warm(self) -> np.ndarray:
        return np.array(self.at_s) >= WARM_UP * self.length_s


@dataclass
class Soak:
    """One soak. `run` gives its jobs, ended or not."""

    yard: Yard
    job_count: int
    length_s: float
    seed: int = 0
    jobs: list[Job] = field(default_factory=list)
    kills: Counter[str] = field(default_factory=Counter)
    met: int = 0  # kills of a worker that had a task in hand a moment before
    drained_s: float = 0.0  # when the last job ended, from the first one's submit
    lost: int = 0
    twice: int = 0

    def __post_init__(self) -> None:
        self.meter = Meter(self.length_s)
        self._dice = random.Random(self.seed)

    def run(self) -> None:
        """Submit and kill as long as the soak is; then let the jobs come to their end."""
        began_s, kill_at, sample_at = time.monotonic(), self._dice.uniform(*KILL_PAUSE_S), 0.0
        while (now_s := time.monotonic() - began_s) < self.length_s:
            if now_s >= len(self.jobs) * self.length_s / self.job_count:
                self._submit()
            if now_s >= kill_at:
                self._injure()
                kill_at = now_s + self._dice.uniform(*KILL_PAUSE_S)
            if now_s >= sample_at:
                self.meter.sample(self.yard, now_s)
                sample_at = now_s + self.length_s / SAMPLES
            assert self.yard.dead() == [], "a process ended that nobody killed"
            time.sleep(0.1)
        while len(self.jobs) < self.job_count:  # the machine was too slow to submit them in time
            self._submit()
        self._open = list(self.jobs)
        until(self._ended, "the last jobs", max(300.0, 2 * self.length_s))
        self.drained_s = time.monotonic() - began_s

    def prove(self, reference: Painted) -> None:
        """Every job is whole, and nothing is left of any; the kills cost tasks their attempts."""
        for job in self.jobs:
            self.yard.finish(job)
            self.lost += self.yard.lost(job, reference)
            self.twice += self.yard.painted_twice(job)
            self.yard.check_complete(job, reference)
        self.yard.await_parts(len(WORKERS))
        self.yard.check_clean()
        more = sum(attempt - 1 for attempt in self._attempts())
        assert more >= self.met / 2, f"{self.met} kills of workers at work, and {more} attempts more"

    def table(self) -> str:
        """What came of it, in Markdown."""
        records = [record for job in self.jobs if (record := self.yard.farm.ledger.job(job.name))]
        times_s = [record.finished_s - record.created_s for record in records]
        attempts = self._attempts()
        facts = {
            "jobs submitted / succeeded": f"{len(self.jobs)} / {sum(item.state == 'succeeded' for item in records)}",
            "frames lost / painted twice": f"{self.lost} / {self.twice}",
            "SIGKILL of a worker's child / of a whole worker": f"{self.kills['child']} / {self.kills['whole']}",
            "of these, of a worker at work": f"{self.met}",
            "a job's time, median / longest": f"{statistics.median(times_s):.1f} s / {max(times_s):.1f} s",
            "the last job's end, after the last kill": f"{max(0.0, self.drained_s - self.length_s):.1f} s",
            "attempts: tasks with one / with more / most of one": (
                f"{sum(count == 1 for count in attempts)} / {sum(count > 1 for count in attempts)} / {max(attempts)}"
            ),
            "keys in Redis without an owner, processes left over": "0, 0",
        }
        rows = [f"| {what} | {value} |\n" for what, value in facts.items()]
        return "| | |\n|---|---|\n" + "".join(rows) + "\n" + self._memory()

    def _memory(self) -> str:
        head = "| memory, MiB | start | middle | end | growth, second half | at the most |\n|---|---|---|---|---|---|\n"
        rows = []
        for part in self.meter.used:
            stages = " | ".join(f"{used / MIB:.2f}" for used in self.meter.stages(part))
            limit = self.meter.limit(part, self.job_count) / MIB
            shown = "not bounded" if part in UNBOUNDED else f"{limit:.2f}"
            rows.append(f"| {part} | {stages} | {self.meter.growth(part) / MIB:+.2f} | {shown} |\n")
        return head + "".join(rows)

    def _submit(self) -> None:
        self.jobs.append(self.yard.submit())

    def _ended(self) -> bool:
        while self._open and self.yard.job_state(self._open[0]) in JOB_ENDED:
            self._open.pop(0)
        return not self._open

    def _attempts(self) -> list[int]:
        """Every task's, of all jobs."""
        return [item.attempt for job in self.jobs for item in self.yard.farm.ledger.tasks(job.name).values()]

    def _at_work(self) -> list[str]:
        """The workers that have a task in hand."""
        ledger, busy = self.yard.farm.ledger, set()
        for record in ledger.jobs(tuple(JOB_LIVE)):
            tasks = ledger.tasks(record.job)
            running = [task for task, item in tasks.items() if item.state is TaskState.RUNNING]
            # Without a lease it is a dead one's: the kill before.
            busy |= {tasks[task].worker.partition("@")[0] for task in ledger.leased(record.job, running)}
        return [name for name in WORKERS if name in busy]

    def _injure(self) -> None:
        """SIGKILL a worker's child, or a worker whole: one that is at work, where there is one."""
        busy = self._at_work()
        name, before = self._dice.choice(busy or WORKERS), self.kills.total()
        self._kill(name)
        self.met += bool(busy) and self.kills.total() > before

    def _kill(self, name: str) -> None:
        if name != SPARED and self._dice.random() < 0.5:
            self.yard.kill(name)
            self.yard.start_worker(name)
            self.kills["whole"] += 1
        elif pid := self.yard.painter_pid(name):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                self.kills["child"] += 1


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0
