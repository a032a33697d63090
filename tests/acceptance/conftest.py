"""A whole farm for acceptance tests: real Redis, real S3, a coordinator and two one-thread workers as processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from chaos.proxy import FaultProxy
from held import Held
from styled import styled_cache

from farm.client import Farm
from farm.contract.params import Params
from farm.job import Job
from farm.settings import Settings
from farm.stack import Stack
from farm.stack.state import State

QUICK = Params(steps=4, steps_anchor=3, steps_next=2, pyramid=1, blend_frames=3)
"""Enough optimisation to show that it happened; these tests judge the farm, not the picture."""


LEASE_S = 3.0
SWEEP_S = LEASE_S
"""Two sweeps without a lease cost a task its attempt: between them its worker has the time to renew it."""


@pytest.fixture(scope="session")
def _proxied(tmp_path_factory: pytest.TempPathFactory, kept_styles: Path) -> Iterator[tuple[Stack, FaultProxy]]:
    """A farm whose clients, its own parts among them, reach the store through a proxy."""
    home = tmp_path_factory.mktemp("farm-home")
    cache = styled_cache(home, kept_styles)
    base = replace(Settings(home=home, cache_dir=cache), threads=2, lease_s=LEASE_S, sweep_s=SWEEP_S, device="cpu")
    stack = Stack(home, base)
    try:
        proxy = FaultProxy(stack.up(parts=("redis", "store")).settings.s3_endpoint)
        known = State.load(home)
        known.environ["FARM_S3_ENDPOINT"] = proxy.url
        known.save(home)
        stack.up(workers=2, flower=True)
        yield stack, proxy
    finally:
        stack.down()
    proxy.close()


@pytest.fixture(scope="session")
def farm_stack(_proxied: tuple[Stack, FaultProxy]) -> Stack:
    return _proxied[0]


@pytest.fixture
def hold(_proxied: tuple[Stack, FaultProxy]) -> Iterator[Callable[..., Held]]:
    """Holds a job's uploads back until they are freed, at the latest at the test's end; begins a job that is held."""
    proxy, made = _proxied[1], []

    def hold_uploads(job: Job, passed: int = 0) -> Held:
        made.append(Held(job, passed))
        proxy.on_stored = made[-1]
        job.resume()
        return made[-1]

    yield hold_uploads
    proxy.on_stored = lambda _key: None
    for held in made:
        held.free()


@pytest.fixture
def farm(farm_stack: Stack) -> Farm:
    return Farm.from_settings(farm_stack.status().settings)
