"""The awkward clips, made once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from awkward import CLIPS
from clips import Clip, make_clip


@pytest.fixture(scope="session")
def clip_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Clip]:
    """The clip of a name in CLIPS, made once."""
    folder, made = tmp_path_factory.mktemp("clips"), {}

    def clip(name: str) -> Clip:
        if name not in made:
            suffix, how = CLIPS[name]
            made[name] = make_clip(folder / f"{len(made)}.{suffix}", **how)
        return made[name]

    return clip
