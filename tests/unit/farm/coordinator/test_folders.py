"""Work folders: gone with the work, cleared after a kill, never taken from the living."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from farm.contract import keys
from farm.contract.errors import JobCanceled, MachineFault
from farm.contract.spec import Media
from farm.coordinator.folders import STALE_S, TURN_LOCK, WorkFolders
from farm.media import MediaCache
from farm.testing import MemoryStore

OWNER = """
import sys, time
from pathlib import Path
from farm.coordinator.folders import WorkFolders
with WorkFolders(Path(sys.argv[1])).new("assemble") as folder:
    (folder / "film.mp4.part").write_bytes(b"half a film")
    print(folder, flush=True)
    time.sleep(60)
"""


@contextmanager
def owner(cache_dir: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Another process that has a film in hand, and the folder it is in."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(cache_dir)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, Path(process.stdout.readline().strip())
        finally:
            process.kill()


def left(cache_dir: Path) -> list[Path]:
    return [path for path in (cache_dir / "work").iterdir() if path.name != TURN_LOCK]


def test_a_folder_lies_in_the_cache_and_goes_with_its_work(tmp_path: Path) -> None:
    with WorkFolders(tmp_path).new("segment") as folder:
        (folder / "film.mp4").write_bytes(b"film")
        assert folder.parent == tmp_path / "work"
        assert folder.name.startswith("segment-")
    assert left(tmp_path) == []


def test_a_folder_goes_where_its_work_ends_in_an_error(tmp_path: Path) -> None:
    with pytest.raises(JobCanceled), WorkFolders(tmp_path).new("segment"):
        raise JobCanceled("it was canceled")
    assert left(tmp_path) == []


def test_a_full_disk_is_the_machines_fault_and_is_told_with_the_cure(tmp_path: Path) -> None:
    wanted = rf"^segment: no room in {tmp_path}/work .*: \d+\.\d GB free; give .* FARM_CACHE_DIR"
    with pytest.raises(MachineFault, match=wanted), WorkFolders(tmp_path).new("segment") as folder:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "film.mp4"))
    assert left(tmp_path) == []


def test_a_cache_that_can_not_be_made_on_a_full_disk_is_the_machines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, **_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(MachineFault, match=f"no room in {tmp_path} "), WorkFolders(tmp_path / "cache").new("segment"):
        pass


def test_an_error_of_the_work_that_is_not_the_machines_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), WorkFolders(tmp_path).new("segment") as folder:
        (folder / "absent").read_bytes()


def test_a_living_owners_folder_stays_and_a_killed_ones_is_cleared(tmp_path: Path) -> None:
    folders = WorkFolders(tmp_path)
    with owner(tmp_path) as (process, theirs):
        os.utime(theirs / "film.mp4.part", (1, 1))  # age is no reason: a long upload writes nothing
        with folders.new("segment") as ours:
            folders.clear()
            assert set(left(tmp_path)) == {theirs, ours}
        process.kill()
        process.wait(30)
        assert left(tmp_path) == [theirs]
        folders.clear()
        assert left(tmp_path) == []


def test_folders_that_come_and_go_while_others_are_cleared_are_whole(tmp_path: Path) -> None:
    folders, ended = WorkFolders(tmp_path), threading.Event()

    def clear() -> None:
        while not ended.is_set():
            folders.clear()

    thread = threading.Thread(target=clear)
    thread.start()
    try:
        for _ in range(50):
            with WorkFolders(tmp_path).new("segment") as folder:
                (folder / "film.mp4").write_bytes(b"film")
                assert (folder / "film.mp4").read_bytes() == b"film"
    finally:
        ended.set()
        thread.join(30)
    folders.clear()
    assert left(tmp_path) == []


def test_nothing_is_cleared_where_nothing_was(tmp_path: Path) -> None:
    WorkFolders(tmp_path).clear()
    assert list(tmp_path.iterdir()) == []


def test_where_a_file_system_knows_no_locks_only_age_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "no locks here")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    folders = WorkFolders(tmp_path)
    with folders.new("assemble") as living, folders.new("assemble") as dead:
        for folder, age_s in ((living, STALE_S / 2), (dead, STALE_S * 2)):
            film = folder / "film.mp4.part"
            film.write_bytes(b"half a film")
            os.utime(film, (film.stat().st_mtime - age_s,) * 2)
        for _ in range(2):  # a look is no sign of life
            folders.clear()
            assert left(tmp_path) == [living]


def test_the_media_cache_neither_counts_nor_removes_it(tmp_path: Path) -> None:
    store, media = MemoryStore(), []
    for data in (b"aaaa", b"bbbb"):
        media.append(Media(hashlib.sha256(data).hexdigest(), ".mp4", len(data)))
        store.put_once(keys.media(media[-1]), data)
    cache = MediaCache(store, tmp_path, limit_bytes=8)
    with WorkFolders(tmp_path).new("assemble") as folder:
        film = folder / "film.mp4"
        film.write_bytes(bytes(100))
        os.utime(film, (1, 1))
        paths = [cache.path(item) for item in media]
        assert all(path.exists() for path in (*paths, film))
