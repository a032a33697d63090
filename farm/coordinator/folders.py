"""Folders for what is too large for memory, films and segments on their way: below the cache folder, not in `/tmp`.

Each is gone when the work with it ends. A process that is killed leaves its own; the next one to start clears it, by
the lock that a living owner holds. So coordinators may share a cache folder. `MediaCache` never looks here.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from farm.video.faults import is_machine_fault, machine_fault

log = logging.getLogger(__name__)

TURN_LOCK, OWNER_LOCK = "turn.lock", "owner.lock"
STALE_S = 86400.0
"""Where the file system knows no locks, a folder in which nothing was written for this long is nobody's."""


class WorkFolders:
    """Makes and clears the folders under `work/`."""

    def __init__(self, cache_dir: Path) -> None:
        self._root = cache_dir / "work"

    @contextmanager
    def new(self, purpose: str) -> Iterator[Path]:
        """A folder for the length of a `with`; its name tells people what for. Not empty: its lock lies in it.

        MachineFault where the disk is full or broken, also while the work writes there.
        """
        try:
            with self._made(purpose) as folder:
                yield folder
        except OSError as error:
            if not is_machine_fault(error):
                raise
            raise machine_fault(error, purpose, self._root / purpose) from error

    @contextmanager
    def _made(self, purpose: str) -> Iterator[Path]:
        self._root.mkdir(parents=True, exist_ok=True)
        with ExitStack() as held:
            with _locked(self._root / TURN_LOCK):  # nobody sees a folder without its owner
                folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self._root))
                held.enter_context(_locked(folder / OWNER_LOCK))
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove what processes left that were killed; what a living one has in hand stays."""
        for folder in self._root.glob("*-*"):
            try:
                self._clear(folder)
            except Timeout:  # its owner lives
                continue
            except OSError as error:
                log.warning("%s stays: %s", folder, error)

    def _clear(self, folder: Path) -> None:
        touched_s = _touched_s(folder)
        with _locked(self._root / TURN_LOCK), _locked(folder / OWNER_LOCK, wait_s=0) as sure:
            if sure or time.time() - touched_s > STALE_S:
                shutil.rmtree(folder)
                log.info("cleared %s, whose owner is gone", folder)


@contextmanager
def _locked(path: Path, wait_s: float = -1) -> Iterator[bool]:
    """Hold a lock, which the system frees if we are killed; False where the file system knows none.

    Timeout where another process holds it for `wait_s` (negative: wait for it).
    """
    lock = FileLock(path, fallback_to_soft=False)
    try:
        lock.acquire(timeout=wait_s)
    except Timeout:
        raise
    except OSError as error:
        log.warning("no lock in %s: %s", path.parent, error)
    try:
        yield lock.is_locked
    finally:
        lock.release()


def _touched_s(folder: Path) -> float:
    """When something was last written into a folder. Its lock does not count: whoever looks touches it."""
    times_s = [0.0]
    with suppress(FileNotFoundError):  # its owner may be at it
        times_s += [item.stat().st_mtime for item in folder.iterdir() if item.name != OWNER_LOCK]
    return max(times_s) or time.time()
