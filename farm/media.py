"""A process's local copies of media from the store: downloaded once, named by content, bounded in size."""

from __future__ import annotations

import os
from pathlib import Path

from farm.contract import keys
from farm.contract.spec import Media
from farm.store import Store

DEFAULT_LIMIT_BYTES = 50 * 2**30


class MediaCache:
    """Files of `media/` under a folder that several processes may share."""

    def __init__(self, store: Store, folder: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._store = store
        self._folder = folder / "media"
        self._limit_bytes = limit_bytes

    def path(self, media: Media) -> Path:
        """Where the media file lies on this machine; downloads and checks it the first time."""
        target = self._folder / Path(keys.media(media)).name
        if target.exists() and target.stat().st_size == media.size_bytes:
            os.utime(target)  # the cache drops what was used longest ago
            return target
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(media.size_bytes)
        self._store.get_file(keys.media(media), target)
        return target

    def _make_room(self, wanted_bytes: int) -> None:
        files = sorted(
            (item for item in self._folder.iterdir() if item.is_file()), key=lambda item: item.stat().st_mtime
        )
        held_bytes = sum(item.stat().st_size for item in files)
        for item in files:
            if held_bytes + wanted_bytes <= self._limit_bytes:
                return
            held_bytes -= item.stat().st_size
            item.unlink(missing_ok=True)
