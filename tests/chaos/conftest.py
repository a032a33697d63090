"""One yard for all chaos tests, an undisturbed run to compare with, and the table of what was done."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from chaos.tally import Tally
from chaos.yard import Painted, Yard
from styled import styled_cache

TABLE = os.environ.get("CHAOS_TABLE", "")
"""Where the table goes, from the repository's root; empty: nowhere."""

WORKERS = ("worker-0", "worker-1")


@pytest.fixture(scope="session")
def tally() -> Tally:
    """Every test adds its rows."""
    return Tally(Path(__file__).parents[2] / TABLE if TABLE else None)


@pytest.fixture(scope="session")
def _yard(tmp_path_factory: pytest.TempPathFactory, kept_styles: Path) -> Iterator[Yard]:
    home = tmp_path_factory.mktemp("yard")
    styled_cache(home, kept_styles)
    one = Yard(home)
    try:
        one.start_coordinator()
        for name in WORKERS:
            one.start_worker(name)
        one.await_parts(len(WORKERS))
        yield one
    finally:
        one.close()


@pytest.fixture
def yard(_yard: Yard) -> Yard:
    """A farm in good health: what an earlier test left dead is started again."""
    _yard.revive(WORKERS)
    return _yard


@pytest.fixture(scope="session")
def reference(_yard: Yard) -> Painted:
    """What the undisturbed run left."""
    job = _yard.submit()
    _yard.finish(job)
    _yard.check_clean()
    assert _yard.painted_twice(job) == 0
    return _yard.painted(job)
