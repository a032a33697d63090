"""A process's local copies of media from the store: downloaded once, named by content, bounded in size.

What a process has in hand is dropped by no other: it holds a shared lock on the file for as long as it keeps the path
it was given. So the cache outgrows its limit where the clips in use alone are larger.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from filelock import FileLock, Timeout

from farm.contract import keys
from farm.contract.spec import Media
from farm.settings import CACHE_GB, Settings
from farm.store import OnBytes, Store

log = logging.getLogger(__name__)

STALE_PART_S = 3600.0
"""A download that nothing was added to for this long belongs to a process that died."""
LOOK_S = 0.2
"""How often a process that waits for another's download looks."""


class MediaCache:
    """Files of `media/` under a folder that processes may share: one downloads a file, the others wait for it."""

    def __init__(self, store: Store, folder: Path, limit_bytes: int = CACHE_GB * 2**30) -> None:
        self._store = store
        self._folder, self._locks = folder / "media", folder / "locks"
        self._limit_bytes = limit_bytes

    @classmethod
    def from_settings(cls, store: Store, settings: Settings) -> Self:
        """In the settings' cache folder, with its limit."""
        return cls(store, settings.cache_dir, settings.cache_gb * 2**30)

    def path(self, media: Media, on_bytes: OnBytes | None = None) -> Path:
        """Where the media file lies on this machine; downloads and checks it the first time.

        It stays there as long as this very object is kept: a path made from it holds nothing.
        `on_bytes(done, total)` hears of the download, or, while another process has it in hand, that nothing came yet.
        """
        target = self._folder / Path(keys.media(media)).name
        held = self._found(target, media)
        if held is None:
            with self._one_at_a_time(target.name, lambda: on_bytes and on_bytes(0, media.size_bytes)):
                held = self._found(target, media)
                while held is None:  # once, unless another process makes room just then
                    held = self._downloaded(target, media, on_bytes)
        return held

    def _found(self, target: Path, media: Media) -> Path | None:
        """The file, held; None where it is not there, or not whole."""
        with suppress(FileNotFoundError):  # where there are no locks, another process may just make room
            held = _held(target)
            if held is not None and held.stat().st_size == media.size_bytes:
                os.utime(held)  # the cache drops what was used longest ago
                return held
        return None

    def _downloaded(self, target: Path, media: Media, on_bytes: OnBytes | None) -> Path | None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(media.size_bytes)
        self._store.get_file(keys.media(media), target, on_progress=on_bytes)
        return _held(target)

    @contextmanager
    def _one_at_a_time(self, name: str, while_waiting: Callable[[], object]) -> Iterator[None]:
        """A dead process holds no lock. Where the folder's file system knows none, each downloads for itself."""
        self._locks.mkdir(parents=True, exist_ok=True)
        # Not a file whose being there is the lock, filelock's way out: one that died would keep all others waiting.
        lock = FileLock(self._locks / f"{name}.lock", fallback_to_soft=False)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=LOOK_S, poll_interval=LOOK_S / 4)
            except Timeout:
                while_waiting()
            except OSError as error:
                log.warning("no lock in %s (%s): not shared with other processes", self._locks, error)
                break
        try:
            yield
        finally:
            lock.release()

    def _make_room(self, wanted_bytes: int) -> None:
        """Drop what was used longest ago and is in no use now, until all fits the limit, and half the disk."""
        limit_bytes = min(self._limit_bytes, shutil.disk_usage(self._folder).total // 2)
        files = sorted(self._files())
        held_bytes = sum(size_bytes for _, size_bytes, _ in files)
        for _, size_bytes, item in files:
            if held_bytes + wanted_bytes <= limit_bytes:
                return
            if _dropped(item):
                held_bytes -= size_bytes

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, size and path of what may be dropped; other processes come and go in the folder."""
        for item in self._folder.iterdir():
            with suppress(FileNotFoundError):
                info = item.stat()
                if item.suffix != ".part" or time.time() - info.st_mtime > STALE_PART_S:
                    yield info.st_mtime, info.st_size, item


class _HeldPath(type(Path())):  # type: ignore[misc]  # of this system's kind
    """A path whose file is locked until the object goes: Path itself can't be watched."""


def _held(target: Path) -> Path | None:
    """`target`, which no process drops while this object is kept; None where it is gone."""
    try:
        file = os.open(target, os.O_RDONLY)
    except FileNotFoundError:
        return None
    held = _HeldPath(target)
    weakref.finalize(held, os.close, file)
    _lock(file, alone=False)
    return held if os.fstat(file).st_nlink else None


def _dropped(item: Path) -> bool:
    """Delete a file where no process holds it; whether it is gone."""
    try:
        with item.open("r+b") as file:
            if not _lock(file.fileno(), alone=True):
                return False
            if os.fstat(file.fileno()).st_nlink:  # else its name may be another file's by now
                item.unlink(missing_ok=True)
    except FileNotFoundError:  # another process was first
        return True
    except PermissionError:  # another user's
        return False
    return True


def _lock(file: int, *, alone: bool) -> bool:
    """Lock an open file until it is closed; False where another holds it. Without locks it is as if nobody did."""
    try:
        import fcntl  # not on every system

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
    except BlockingIOError:
        return False
    except (ImportError, OSError) as error:
        log.debug("no locks: %s", error)
    return True
