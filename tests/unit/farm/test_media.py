from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

import pytest

from farm.contract import keys
from farm.contract.errors import ObjectNotFound
from farm.contract.spec import Media
from farm.media import MediaCache
from farm.testing import MemoryStore


def stored(store: MemoryStore, data: bytes) -> Media:
    media = Media(hashlib.sha256(data).hexdigest(), ".mp4", len(data))
    store.put_once(keys.media(media), data)
    return media


def test_media_is_downloaded_once(tmp_path: Path) -> None:
    store = MemoryStore()
    media = stored(store, b"film")
    cache = MediaCache(store, tmp_path)
    assert cache.path(media).read_bytes() == b"film"
    store.objects.clear()
    assert cache.path(media).read_bytes() == b"film"


def test_a_file_of_another_size_is_not_trusted(tmp_path: Path) -> None:
    store = MemoryStore()
    media = stored(store, b"film")
    cache = MediaCache(store, tmp_path)
    cache.path(media).write_bytes(b"fi")
    assert cache.path(media).read_bytes() == b"film"


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    store = MemoryStore()
    old, kept, new = (stored(store, name * 4) for name in (b"a", b"b", b"c"))
    cache = MediaCache(store, tmp_path, limit_bytes=8)
    os.utime(cache.path(old), (1, 1))
    os.utime(cache.path(kept), (2, 2))
    cache.path(new)
    assert {path.read_bytes() for path in (tmp_path / "media").iterdir()} == {b"bbbb", b"cccc"}


def test_media_that_is_not_in_the_store_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(ObjectNotFound):
        MediaCache(MemoryStore(), tmp_path).path(Media("a" * 64, ".mp4", 1))


def test_anothers_download_in_progress_is_left_alone_and_a_dead_ones_makes_room(tmp_path: Path) -> None:
    store = MemoryStore()
    cache = MediaCache(store, tmp_path, limit_bytes=4)
    cache.path(stored(store, b"a"))
    running, dead = (tmp_path / "media" / f"{name}.part" for name in ("running", "dead"))
    running.write_bytes(b"12345678")
    dead.write_bytes(b"12345678")
    os.utime(dead, (1, 1))
    cache.path(stored(store, b"b"))
    assert running.exists()
    assert not dead.exists()


def test_files_that_come_and_go_while_room_is_made_do_no_harm(tmp_path: Path) -> None:
    store = MemoryStore()
    cache = MediaCache(store, tmp_path, limit_bytes=0)
    cache.path(stored(store, b"first"))
    ended = threading.Event()

    def churn() -> None:
        here = tmp_path / "media" / "theirs"
        while not ended.is_set():
            here.write_bytes(b"x")
            here.unlink(missing_ok=True)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        until = time.monotonic() + 0.5
        number = 0
        while time.monotonic() < until:
            number += 1
            assert cache.path(stored(store, f"{number}".encode())).suffix == ".mp4"
    finally:
        ended.set()
        thread.join(10)
