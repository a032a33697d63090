"""Which films the benchmark takes from its farm: those of the code that paints, and of the styles as they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench import jobs
from bench.jobs import Ask, Workshop, painter_code
from farm import styles
from farm.client import Farm
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.spec import Media, Spec
from farm.contract.states import JobState
from farm.ledger import JobRecord
from farm.png import png_bytes
from farm.settings import Settings
from farm.style_file import load_style
from farm.testing import MemoryLedger, MemoryStore


@pytest.fixture
def code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the code, to be edited."""
    root = tmp_path / "code"
    for package in ("farm", "worker"):
        shutil.copytree(jobs.ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    before = painter_code()
    monkeypatch.setattr(jobs, "ROOT", root)
    assert painter_code() == before
    return root


@pytest.mark.parametrize(
    "file", ["worker/chunk.py", "worker/engine/stylize.py", "farm/motion.py", "farm/video/reel.py"]
)
def test_an_edit_of_what_paints_is_another_code(code: Path, file: str) -> None:
    before = painter_code()
    text = (code / file).read_text()
    (code / file).write_text(text + "\nEDITED = 1\n")
    assert painter_code() != before
    (code / file).write_text(text)
    assert painter_code() == before


def test_a_new_file_that_paints_and_one_renamed_are_another_code(code: Path) -> None:
    seen = {painter_code()}
    (code / "worker/engine/new.py").write_text("EDITED = 1\n")
    seen.add(painter_code())
    (code / "worker/engine/new.py").rename(code / "worker/engine/newer.py")
    seen.add(painter_code())
    assert len(seen) == 3


def test_docstrings_comments_and_what_does_not_paint_are_no_other_code(code: Path) -> None:
    before = painter_code()
    chunk = (code / "worker/chunk.py").read_text()
    assert chunk.startswith('"""')
    (code / "worker/chunk.py").write_text('"""Of other words. ' + chunk.removeprefix('"""') + "\n# A comment.\n")
    for file in ("worker/app.py", "farm/video/muxer.py", "farm/store.py"):
        (code / file).write_text((code / file).read_text() + "\nEDITED = 1\n")
    assert painter_code() == before


class Kept:
    """A farm that has the film of one ask."""

    def __init__(self, folder: Path, style: str, state: JobState = JobState.SUCCEEDED) -> None:
        settings = Settings(home=folder, cache_dir=folder)
        self.farm = Farm(settings, MemoryStore(), MemoryLedger())
        self.ask = Ask(folder / "clip.mp4", 8, style, 64, 4)
        spec = Spec("clip", Media("0" * 64, ".mp4", 1), (load_style(style, settings).style,), 64, 4)
        self.farm.store.put_once(keys.spec(spec.job), to_json(spec))
        self.farm.ledger.create_job(JobRecord(spec.job, state))
        (folder / jobs.REGISTER_FILE).write_text(json.dumps({repr(self.ask): spec.job}))
        self.job = spec.job
        self.workshop = Workshop(folder, painter_code(), self.farm, lambda _line: None)

    @property
    def known(self) -> str | None:
        job = self.workshop.known(self.ask)
        return job and job.name


def test_a_film_of_a_built_in_style_is_known_until_the_style_is_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept(tmp_path, "swirl")
    assert kept.known == kept.job
    monkeypatch.setattr(styles, "kept_png", lambda _name, _folder: b"another picture")
    assert kept.known is None


def test_a_film_of_a_picture_is_known_until_the_picture_is_another(tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    picture.write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))
    kept = Kept(tmp_path, str(picture))
    assert kept.known == kept.job
    picture.write_bytes(png_bytes(np.full((32, 32, 3), 9, np.uint8)))
    assert kept.known is None


def test_only_a_film_that_is_done_is_known(tmp_path: Path) -> None:
    picture = tmp_path / "mine.png"
    picture.write_bytes(png_bytes(np.zeros((32, 32, 3), np.uint8)))
    assert Kept(tmp_path, str(picture), JobState.RENDERING).known is None
