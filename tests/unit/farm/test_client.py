"""What a submit stores of a clip that others write to, in memory."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clips import make_clip
from painted_job import QuietFarm

from farm import sandbox
from farm.client import Farm
from farm.contract import keys
from farm.contract.errors import InvalidClip
from farm.job import Job
from farm.png import png_bytes
from farm.settings import Settings
from farm.store import OnBytes, PutResult
from farm.testing import MemoryLedger, MemoryStore


class ExportedStore(MemoryStore):
    """Someone may write to a file just before it is sent."""

    before: Callable[[Path], object] = staticmethod(lambda _path: None)

    def put_file_once(
        self, key: str, path: Path, sha256: str | None = None, on_progress: OnBytes | None = None
    ) -> PutResult:
        self.before(path)
        return super().put_file_once(key, path, sha256, on_progress)


@pytest.fixture
def farm(tmp_path: Path) -> Farm:
    return QuietFarm(Settings(home=tmp_path, cache_dir=tmp_path / "cache"), ExportedStore(), MemoryLedger())


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = make_clip(tmp_path / "clip.mp4", frames=2).path
    path.with_suffix(".png").write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))
    return path


def submit(farm: Farm, clip: Path) -> Job:
    return farm.submit(clip, clip.with_suffix(".png"))


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewrite(path: Path) -> None:
    """In its place, and as long as before."""
    changed_ns = path.stat().st_mtime_ns
    data = path.read_bytes()
    path.write_bytes(bytes(len(data)))
    os.utime(path, ns=(changed_ns + 1, changed_ns + 1))


@pytest.mark.parametrize("change", [grow, rewrite])
def test_a_clip_that_changes_while_it_is_checked_is_refused_before_anything_is_written(
    farm: Farm, clip: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None]
) -> None:
    check_clip = sandbox.check_clip

    def check_and_change(path: Path, settings: Settings, *how: Any) -> int:
        count = check_clip(path, settings, *how)
        change(path)
        return count

    monkeypatch.setattr(sandbox, "check_clip", check_and_change)
    with pytest.raises(InvalidClip, match=r"clip\.mp4 changed while it was read; submit it again when .* is done"):
        submit(farm, clip)
    assert list(farm.store.list("")) == []


@pytest.mark.parametrize("change", [grow, rewrite, Path.unlink])
def test_a_clip_that_changes_on_its_way_leaves_nothing_that_goes_by_its_hash(
    farm: Farm, clip: Path, change: Callable[[Path], None]
) -> None:
    assert isinstance(farm.store, ExportedStore)
    data = clip.read_bytes()
    farm.store.before = change
    with pytest.raises(InvalidClip, match="changed while it was read"):
        submit(farm, clip)
    assert list(farm.store.list("")) == []
    assert farm.ledger.jobs() == []
    clip.write_bytes(data)
    farm.store.before = lambda _path: None
    assert farm.store.get(keys.media(submit(farm, clip).spec.source)) == data


def test_what_a_changed_clip_left_under_a_hash_is_replaced(farm: Farm, clip: Path) -> None:
    assert isinstance(farm.store, ExportedStore)
    data = clip.read_bytes()
    key = f"media/{hashlib.sha256(data).hexdigest()}.mp4"
    farm.store.objects[key] = (data + b"more", hashlib.sha256(data).hexdigest())
    assert keys.media(submit(farm, clip).spec.source) == key
    assert farm.store.get(key) == data


def test_a_clip_that_is_stored_already_may_change_after(farm: Farm, clip: Path) -> None:
    assert isinstance(farm.store, ExportedStore)
    job = submit(farm, clip)
    farm.store.before = grow
    assert submit(farm, clip).name == job.name
