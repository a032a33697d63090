"""What there is to work with besides the network: where pictures are bent and mixed, and threads to look for motion."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Machine:
    """A worker's share of its machine."""

    device: str = "cpu"
    """As torch names it: pictures are bent and mixed there. Flow is looked for on the CPU in any case."""
    threads: int = 1
    """So many frames' motion is looked for at once, beside the painter. On a CPU one: the painter has the others."""


ONE_CORE = Machine()


def spread(work: Callable[[T], R], items: Iterable[T], threads: int) -> Generator[R, None, None]:
    """`work(item)` of each item, in order, by `threads` threads; at most so many are done before they are asked for.

    Items are drawn by the caller's thread. What drawing or work raises is raised where its result would have come.
    With one thread there is no other: each item is drawn, and worked on, when it is asked for.
    """
    if threads == 1:
        yield from map(work, items)
        return
    under_way: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads, "spread") as pool:
        try:
            for item in items:
                under_way.append(pool.submit(work, item))
                if len(under_way) > threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
