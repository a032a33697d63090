"""glibc's heap in a process that paints on its CPU: what one step frees, the next one takes.

As it comes, glibc hands large blocks back to the system when they are freed, and the system clears each page when it is
asked for again: a fifth of VGG19's step at 512×384. So large blocks are kept, and handed back when a task has ended.
"""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
"""`mallopt`'s names of what it sets, as in `malloc.h`."""
NEVER = 2**31 - 1


def keep_freed() -> bool:
    """From now on freed memory stays this process's; False where its C library is another than glibc."""
    libc = _glibc()
    return libc is not None and all(libc.mallopt(name, to) for name, to in ((M_TRIM_THRESHOLD, NEVER), (M_MMAP_MAX, 0)))


def hand_back() -> None:
    """What is free goes back to the system."""
    libc = _glibc()
    if libc is not None:
        libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
