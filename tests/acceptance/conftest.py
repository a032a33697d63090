"""A whole farm for acceptance tests: real Redis, real S3, a coordinator and two one-thread workers as processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from styled import styled_cache

from farm.client import Farm
from farm.contract.params import Params
from farm.settings import Settings
from farm.stack import Stack

QUICK = Params(steps=4, steps_anchor=3, steps_next=2, pyramid=1, blend_frames=3)
"""Enough optimisation to show that it happened; these tests judge the farm, not the picture."""


@pytest.fixture(scope="session")
def farm_stack(tmp_path_factory: pytest.TempPathFactory, kept_styles: Path) -> Iterator[Stack]:
    home = tmp_path_factory.mktemp("farm-home")
    cache = styled_cache(home, kept_styles)
    base = replace(Settings(home=home, cache_dir=cache), threads=2, lease_s=3.0, sweep_s=0.5, device="cpu")
    stack = Stack(home, base)
    try:
        stack.up(workers=2, flower=True)
        yield stack
    finally:
        stack.down()


@pytest.fixture
def farm(farm_stack: Stack) -> Farm:
    return Farm.from_settings(farm_stack.status().settings)
