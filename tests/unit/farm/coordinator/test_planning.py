"""What is too large to be painted is refused at submit, and in the plan, before there is one."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from clips import make_clip, picture
from painted_job import memory_farm

from farm.cli.request import check, request_from
from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.errors import InvalidClip
from farm.contract.params import Params
from farm.contract.plan import Plan
from farm.contract.spec import Media, Spec, Style
from farm.coordinator.planning import plan_job
from farm.settings import Settings
from farm.testing import MemoryStore

BLANK = Media("0" * 64, ".mp4", 0)


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """2048×16 pixels, each sixteen times as wide as it is high."""
    return make_clip(tmp_path / "a.mp4", frames=2, size=(2048, 16), pixel_aspect=Fraction(16)).path


def test_a_submit_of_wide_pixels_is_taken_where_it_is_painted_smaller(
    wide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = memory_farm(tmp_path)
    monkeypatch.setattr(farm, "advance", lambda _job: None)
    with pytest.raises(InvalidClip, match=r"give --size 8192 or less$"):
        farm.submit(wide, "swirl")
    assert list(farm.store.list("")) == []
    job = farm.submit(wide, "swirl", size_px=512)
    assert farm.store.head(keys.spec(job.name)) is not None


def planned(clip: Path, settings: Settings, size_px: int | None) -> Plan:
    spec = Spec("dunes", BLANK, (Style(BLANK, "swirl"),), size_px)
    run = SimpleNamespace(
        spec=spec, job=spec.job, store=MemoryStore(), span=lambda _name: nullcontext(), check=lambda: None
    )
    media = SimpleNamespace(path=lambda _media, on_bytes: clip)
    plan_job(cast("Any", run), cast("Any", media), settings)
    return from_json(Plan, run.store.get(keys.plan(spec.job)))


def test_a_plan_has_its_boundary_where_little_moves(tmp_path: Path) -> None:
    """Two chunks of sixty frames; right after the middle a scene jumps to and fro, too little for a cut."""
    still, moved = picture(0), picture(3)
    images = [moved if number in (33, 35) else still for number in range(60)]
    clip = make_clip(tmp_path / "a.mkv", codec="ffv1", frames=60, pictures_from=iter(images)).path
    plan = planned(clip, Settings(home=tmp_path, cache_dir=tmp_path), None)
    assert len(plan.shots) == 1
    assert [chunk.start for chunk in plan.chunks] == [0, 27]


def test_a_clip_of_wide_pixels_is_planned_only_where_it_is_painted_smaller(wide: Path, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, cache_dir=tmp_path)
    with pytest.raises(InvalidClip, match=r"^dunes would be painted at 32768×16, .*; give --size 8192 or less$"):
        planned(wide, settings, None)
    plan = planned(wide, settings, 512)
    assert (plan.width, plan.height) == (512, 16)
    with pytest.raises(InvalidClip, match=r"give --size 2048 or less$"):
        planned(wide, replace(settings, max_pixels=2048 * 16), 4096)


def test_the_command_line_checks_the_clip_for_the_films_size(wide: Path) -> None:
    words: dict[str, Any] = {"chunk": "auto", "codec": "h264", "crf": "18", "again": False}
    with pytest.raises(InvalidClip, match=r"give --size 8192 or less$"):
        check(request_from(str(wide), ["swirl"], Params(), size=None, **words))
    check(request_from(str(wide), ["swirl"], Params(), size="512", **words))
