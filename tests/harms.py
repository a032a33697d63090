"""What may befall a stored frame."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from farm.png import png_bytes, png_read
from farm.testing import MemoryStore

Harm = Callable[[MemoryStore, str], None]


def lose(store: MemoryStore, key: str) -> None:
    store.delete([key])


def truncate(store: MemoryStore, key: str) -> None:
    data, sha256 = store.objects[key]
    store.objects[key] = (data[: len(data) // 2], sha256)


def alter(store: MemoryStore, key: str) -> None:
    """Written by somebody who knows how: only the manifest tells."""
    store.put(key, png_bytes(np.full_like(png_read(store.get(key)), 99)))
