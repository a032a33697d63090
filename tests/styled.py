"""A cache that has the built-in styles which earlier tests painted: each takes ten seconds on a slow core."""

from __future__ import annotations

from pathlib import Path


def styled_cache(home: Path, kept_styles: Path) -> Path:
    """`home`/cache, whose styles are those of the fixture `kept_styles`."""
    cache = home / "cache"
    cache.mkdir(parents=True)
    (cache / "styles").symlink_to(kept_styles)
    return cache
