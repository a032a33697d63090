"""A process's local copies of media from the store: downloaded once, named by content, bounded in size."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from farm.contract import keys
from farm.contract.spec import Media
from farm.store import OnBytes, Store

DEFAULT_LIMIT_BYTES = 50 * 2**30
STALE_PART_S = 3600.0
"""A download that nothing was added to for this long belongs to a process that died."""


class MediaCache:
    """Files of `media/` under a folder that several processes may share."""

    def __init__(self, store: Store, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._store = store
        self._folder = folder / "media"
        self._limit_bytes = limit_bytes

    def path(self, media: Media, on_bytes: OnBytes | None = None) -> Path:
        """Where the media file lies on this machine; downloads and checks it the first time."""
        target = self._folder / Path(keys.media(media)).name
        with suppress(FileNotFoundError):  # not here yet, or another process just made room
            if target.stat().st_size == media.size_bytes:
                os.utime(target)  # the cache drops what was used longest ago
                return target
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(media.size_bytes)
        self._store.get_file(keys.media(media), target, on_progress=on_bytes)
        return target

    def _make_room(self, wanted_bytes: int) -> None:
        files = sorted(self._files())
        held_bytes = sum(size_bytes for _, size_bytes, _ in files)
        for _, size_bytes, item in files:
            if held_bytes + wanted_bytes <= self._limit_bytes:
                return
            held_bytes -= size_bytes
            item.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        """Time of last use, size and path of what may be dropped; other processes come and go in the folder."""
        for item in self._folder.iterdir():
            with suppress(FileNotFoundError):
                info = item.stat()
                if item.suffix != ".part" or time.time() - info.st_mtime > STALE_PART_S:
                    yield info.st_mtime, info.st_size, item
