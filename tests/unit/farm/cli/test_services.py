"""What `farm up` says of the farm it started; the farm itself is started in acceptance tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.cli.services import up
from farm.settings import Settings
from farm.stack import PartInfo, Stack, StackInfo


@pytest.mark.parametrize(("names", "warned"), [(("redis", "store"), True), (("redis", "store", "worker-0"), False)])
def test_a_farm_without_a_worker_says_that_nothing_is_painted(
    names: tuple[str, ...],
    warned: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    parts = tuple(PartInfo(name, 1, True, tmp_path, {}) for name in names)
    info = StackInfo(tmp_path, parts, Settings(home=tmp_path, cache_dir=tmp_path))
    monkeypatch.setattr(Stack, "up", lambda *_, **__: info)
    up(workers=0)
    assert ("nothing is painted until `farm worker` runs" in capsys.readouterr().err) is warned
