"""Processes of the private farm: started in a session of their own, known again by id and start time, ended for sure.

A process is ended only if it is the one that was started: same id and same start time, or the mark in its
environment. Ids are reused by the system; start times and marks are not.
"""

from __future__ import annotations

import atexit
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import psutil

from farm.contract.errors import StackError

MARK = "FARM_STACK_HOME"
"""Environment variable that all processes of a private farm inherit: the farm's home."""

SERVER_PORTS = range(10_000, 32_768)
"""Ports of the farm's parts: below those of outgoing connections, which begin at 32768 on Linux, at 49152 elsewhere."""

_SAME_START_S = 0.05  # the clock tick in which systems count start times, with some air
_KILL_WAIT_S = 5.0
_started: dict[int, subprocess.Popen[bytes]] = {}  # children of this very process, which must be reaped


@dataclass(frozen=True, slots=True)
class PartRecord:
    """A part as the state file remembers it."""

    pid: int
    created_s: float  # the process's start time, in the system's own count
    log: str
    ports: dict[str, int] = field(default_factory=dict)

    @property
    def process(self) -> psutil.Process | None:
        """Its process if it still runs."""
        try:
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created_s) < _SAME_START_S
            return process if same and _runs(process) else None
        except psutil.Error:
            return None


def start(
    command: Sequence[str], environ: Mapping[str, str], *, home: Path, log: Path, ports: Mapping[str, int]
) -> PartRecord:
    """Start a part that outlives this process and its terminal; its output goes to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        try:
            child = subprocess.Popen(
                command,
                env={**environ, MARK: str(home)},
                cwd=home,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            raise StackError(f"can't start {command[0]}: {error.strerror}; reinstall it", log=str(log)) from error
    _started[child.pid] = child
    try:
        created_s = psutil.Process(child.pid).create_time()
    except psutil.Error:  # it is gone already
        created_s = 0.0
    return PartRecord(child.pid, created_s, str(log), dict(ports))


def marked(home: Path) -> list[psutil.Process]:
    """Processes that carry the mark of this home, whatever the state file says: also orphans of a killed part."""
    spared = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    return [process for process in psutil.process_iter() if process.pid not in spared and _has_mark(process, home)]


def end(graces_s: Mapping[psutil.Process, float]) -> None:
    """SIGTERM to all; SIGKILL to each that outlives its grace, and to children left over. StackError if one stays."""
    ending = {process: grace_s for process, grace_s in graces_s.items() if _runs(process)}
    family = {child for process in ending for child in _descendants(process)} | set(ending)
    began_s = time.monotonic()
    for process in ending:
        _signal(process, signal.SIGTERM)
    for process, grace_s in sorted(ending.items(), key=lambda item: item[1]):
        psutil.wait_procs([process], timeout=max(0.0, began_s + grace_s - time.monotonic()))
        _signal(process, signal.SIGKILL)
    left = [process for process in family if _runs(process)]
    for process in left:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(left, timeout=_KILL_WAIT_S)
    _reap(family)
    if immortal := [process.pid for process in left if _runs(process)]:
        raise StackError(f"process {immortal[0]} does not end; look at it with `ps {immortal[0]}`", pid=immortal[0])


def free_ports(count: int) -> list[int]:
    """Loopback ports nobody listens on now. Another process may still take one: the starter tries again.

    None is of those that the system hands out to connections: a part that is started again finds its port, whatever
    was connected meanwhile.
    """
    offered = (port for port in random.sample(SERVER_PORTS, len(SERVER_PORTS)) if is_free(port))
    ports = list(islice(offered, count))
    if len(ports) < count:
        raise StackError(
            f"no port from {SERVER_PORTS.start} to {SERVER_PORTS.stop - 1} is free on this machine; end what holds them"
        )
    return ports


def is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port now."""
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def await_free(ports: Iterable[int], wait_s: float = _KILL_WAIT_S) -> None:
    """Wait until nobody listens there: threads of a killed process may outlive its first one by a moment."""
    deadline = time.monotonic() + wait_s
    while not all(is_free(port) for port in ports) and time.monotonic() < deadline:
        time.sleep(0.02)


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _has_mark(process: psutil.Process, home: Path) -> bool:
    try:
        return process.environ().get(MARK) == str(home) and _runs(process)
    except (psutil.Error, OSError):  # another user's, or gone
        return False


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    with suppress(psutil.NoSuchProcess):  # also where its id belongs to another process by now: psutil looks
        process.send_signal(number)


def _let_go() -> None:
    """At our end: children that ended are reaped; the others are meant to outlive us, which Popen would warn of."""
    for child in _started.values():
        if child.poll() is None:
            child.returncode = 0
    _started.clear()


atexit.register(_let_go)


def _reap(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        child = _started.pop(process.pid, None)
        if child is not None:
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=_KILL_WAIT_S)
