"""Real services for tests: one Redis and one S3 server per test session, on free loopback ports."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis
from xdist.scheduler import LoadScopeScheduling

from farm.contract.errors import StackError
from farm.settings import Settings
from farm.stack import Stack
from farm.store import S3Store

# Before any test imports torch: see worker.device.limit_threads.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what it runs in the background. Tests press Ctrl-C on their children, who would inherit it.
    signal.signal(signal.SIGINT, signal.default_int_handler)


FARMS = {"acceptance": "farm", "integration": "farm", "chaos": "harm", "hostile": "harm"}
"""Folders of tests that start a farm, each with the group it runs in."""


RUN = "FARMS_TEST_RUN"
"""Variable of every process that a test starts: which run of the tests it belongs to."""


def pytest_configure(config: pytest.Config) -> None:
    if _leads(config):
        os.environ[RUN] = str(os.getpid())


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what a test process that was killed left running: it had no time to end it itself."""
    if not _leads(config):
        return
    run = os.environ.pop(RUN)
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(RUN) == run and process.pid != os.getpid():
                process.kill()


def _leads(config: pytest.Config) -> bool:
    """Whether this is the process that was called, not one that shares its tests."""
    return not hasattr(config, "workerinput")


class _Shares(LoadScopeScheduling):
    """Where two processes share the tests, those that start a farm run in groups, each in one process and one after
    the other; the others go by their files.

    Most of the farms' tests are one group, of more tests than any other and so the first. The second, and the files
    of deployment, each with a farm of its own, run beside it when their turn comes: so both processes end together.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if "/deploy/" in file else FARMS.get(file.split("/")[1], file)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _Shares:
    return _Shares(config, log)


@pytest.fixture(scope="session")
def kept_styles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for built-in styles, one for all processes that share the tests: see `tests/styled.py`."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "styles"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No test reaches a farm that this machine's user has configured."""
    for name in [name for name in os.environ if name.startswith("FARM_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FARM_HOME", str(tmp_path_factory.getbasetemp() / "no-farm"))


def _service(part: str, home: Path) -> Iterator[Settings]:
    base = Settings(home=home, cache_dir=home / "cache")
    stack = Stack(home, base)
    try:
        try:
            info = stack.up(parts=(part,))
        except StackError as error:
            if os.environ.get("CI"):
                raise
            pytest.skip(str(error))
        yield info.settings
    finally:
        stack.down()


@pytest.fixture(scope="session")
def _redis_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    yield from _service("redis", tmp_path_factory.mktemp("redis-home"))


@pytest.fixture(scope="session")
def _store_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    yield from _service("store", tmp_path_factory.mktemp("store-home"))


@pytest.fixture
def redis_url(_redis_service: Settings) -> str:
    """URL of a real Redis, emptied for this test."""
    with Redis.from_url(_redis_service.redis_url) as redis:
        redis.flushall()
    return _redis_service.redis_url


@pytest.fixture(scope="session")
def _session_store(_store_service: Settings) -> S3Store:
    return S3Store.from_settings(_store_service)  # a client takes a while to make


@pytest.fixture
def s3_store(_session_store: S3Store) -> S3Store:
    """A store on a real S3 server, emptied for this test."""
    _session_store.delete(_session_store.list(""))
    return _session_store


@pytest.fixture
def s3_settings(_store_service: Settings, s3_store: S3Store, tmp_path: Path) -> Settings:
    """Settings of a real S3 server, its bucket emptied for this test; no Redis."""
    return replace(_store_service, home=tmp_path / "home", cache_dir=tmp_path / "cache")


@pytest.fixture
def farm_settings(redis_url: str, s3_settings: Settings) -> Settings:
    """Settings of a real Redis and a real S3 server, both empty."""
    return replace(s3_settings, redis_url=redis_url)
