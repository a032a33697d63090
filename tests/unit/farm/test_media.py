from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from filelock import FileLock

from farm.contract import keys
from farm.contract.errors import JobCanceled, ObjectNotFound
from farm.contract.spec import Media
from farm.media import MediaCache
from farm.settings import Settings
from farm.store import ObjectInfo, OnBytes
from farm.testing import MemoryStore
from farm.video import FrameIndex, Reel


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


def test_what_a_process_has_in_hand_is_dropped_by_no_other(tmp_path: Path) -> None:
    store = MemoryStore()
    used, idle, new, newer = (stored(store, name * 4) for name in (b"a", b"b", b"c", b"d"))
    here, there = (MediaCache(store, tmp_path, limit_bytes=8) for _ in range(2))  # each as in a process of its own
    clip = here.path(used)
    os.utime(clip, (1, 1))
    there.path(idle)
    there.path(new)
    assert {path.read_bytes() for path in (tmp_path / "media").iterdir()} == {b"aaaa", b"cccc"}
    name = str(clip)
    del clip
    there.path(newer)
    assert not Path(name).exists()


def test_a_clip_that_is_kept_open_between_tasks_stays(tmp_path: Path) -> None:
    store = MemoryStore()
    used, new = (stored(store, name * 4) for name in (b"a", b"b"))
    here, there = (MediaCache(store, tmp_path, limit_bytes=4) for _ in range(2))
    reel = Reel(here.path(used), cast("FrameIndex", None), (2, 2))  # nothing is read of it
    clip = Path(here.path(used))
    there.path(new)
    assert clip.exists()
    del reel
    there.path(stored(store, b"cccc"))
    assert not clip.exists()


def test_a_file_that_is_dropped_as_it_comes_is_downloaded_again(tmp_path: Path) -> None:
    class CrowdedStore(MemoryStore):
        downloads = 0

        def get_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> ObjectInfo:
            info = super().get_file(key, path, on_progress)
            type(self).downloads += 1
            if self.downloads == 1:
                path.unlink()
            return info

    store = CrowdedStore()
    assert MediaCache(store, tmp_path).path(stored(store, b"film")).read_bytes() == b"film"
    assert CrowdedStore.downloads == 2


def test_a_process_that_is_killed_holds_nothing(tmp_path: Path) -> None:
    store = MemoryStore()
    used, new = (stored(store, name * 4) for name in (b"a", b"b"))
    cache = MediaCache(store, tmp_path, limit_bytes=4)
    clip = Path(cache.path(used))
    holds = (
        "import sys, time; from pathlib import Path; from farm.media import _held; held = _held(Path(sys.argv[1])); "
        "print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", holds, str(clip)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        cache.path(new)
        assert clip.exists()
        other.kill()
    cache.path(stored(store, b"cccc"))
    assert not clip.exists()


def test_the_settings_limit_is_the_caches(tmp_path: Path) -> None:
    store = MemoryStore()
    settings = Settings(home=tmp_path, cache_dir=tmp_path, cache_gb=1)
    cache = MediaCache.from_settings(store, settings)
    old = Path(cache.path(stored(store, b"old")))  # holds nothing
    with old.open("r+b") as file:
        file.truncate(2**30 - 3)  # a hole: takes no place
    new = cache.path(stored(store, b"new"))
    assert old.exists()
    os.utime(new)
    os.utime(old, (1, 1))
    newest = cache.path(stored(store, b"4444"))
    assert [path.exists() for path in (old, new, newest)] == [False, True, True]


def test_half_of_the_disk_is_left_to_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(total=16, used=0, free=16))
    store = MemoryStore()
    cache = MediaCache(store, tmp_path)
    for number, name in enumerate((b"a", b"b", b"c"), start=1):
        os.utime(cache.path(stored(store, name * 4)), (number, number))
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


def test_of_several_processes_one_downloads_and_the_others_wait(tmp_path: Path) -> None:
    began, go_on, heard = threading.Event(), threading.Event(), threading.Event()

    class SlowStore(MemoryStore):
        downloads = 0

        def get_file(self, key: str, path: Path, on_progress: OnBytes | None = None) -> ObjectInfo:
            type(self).downloads += 1
            began.set()
            assert go_on.wait(30)
            return super().get_file(key, path, on_progress)

    store = SlowStore()
    media = stored(store, b"film")
    caches = [MediaCache(store, tmp_path) for _ in range(3)]  # each as in a process of its own
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(caches[0].path, media)
        assert began.wait(30)
        others = [pool.submit(cache.path, media, lambda *_: heard.set()) for cache in caches[1:]]
        assert heard.wait(30)  # they are told that they wait, so that they can stop
        go_on.set()
        assert {item.result(30).read_bytes() for item in (first, *others)} == {b"film"}
    assert SlowStore.downloads == 1


def test_who_waits_for_anothers_download_can_be_stopped(tmp_path: Path) -> None:
    store = MemoryStore()
    media = stored(store, b"film")
    cache = MediaCache(store, tmp_path)

    def stop(*_: int) -> None:
        raise JobCanceled("stopped")

    (tmp_path / "locks").mkdir()
    with FileLock(tmp_path / "locks" / f"{Path(keys.media(media)).name}.lock"), pytest.raises(JobCanceled):
        cache.path(media, stop)
    assert cache.path(media).read_bytes() == b"film"


def test_where_a_file_system_knows_no_locks_each_process_downloads_for_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    store = MemoryStore()
    media = stored(store, b"film")
    (tmp_path / "locks").mkdir()
    (tmp_path / "locks" / f"{Path(keys.media(media)).name}.lock").touch()  # as one that died would have left it
    assert MediaCache(store, tmp_path).path(media).read_bytes() == b"film"
    assert "no locks here" in caplog.text


def test_a_process_killed_in_its_download_keeps_nobody_waiting(tmp_path: Path) -> None:
    store = MemoryStore()
    media = stored(store, b"film")
    (tmp_path / "locks").mkdir()
    holds = (
        "import sys, time, filelock; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); "
        "print('held', flush=True); time.sleep(60)"
    )
    lock = tmp_path / "locks" / f"{Path(keys.media(media)).name}.lock"
    with subprocess.Popen([sys.executable, "-c", holds, str(lock)], stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        waited: list[int] = []

        def on_bytes(done: int, _total: int) -> None:
            if not waited:
                other.kill()
            waited.append(done)

        assert MediaCache(store, tmp_path).path(media, on_bytes).read_bytes() == b"film"
    assert waited
