"""Work beside the painter, in threads: what it needs next is made ahead of it, what it has made is put away behind it.

Knows no frames and no store. Both ends are bounded, keep the order, hand errors to the painter's own thread, and have
no thread left once their `with` is over, however it ends.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)


class Ahead(Generic[T]):
    """The items of a generator that runs in a thread of its own, at most `bound` of them before they are asked for.

    What the generator raises is raised where its next item would have come, after all those before it. Leaving the
    `with` stops it where it stands, at the latest when the item in hand is made, and closes it in its own thread.
    """

    def __init__(self, source: Generator[T, None, None], bound: int, name: str = "ahead") -> None:
        self._source = source
        self._room = threading.Semaphore(bound)
        self._made: SimpleQueue[tuple[T] | BaseException] = SimpleQueue()
        self._stopped = False
        self._thread = threading.Thread(target=self._make, name=name, daemon=True)

    def __enter__(self) -> Ahead[T]:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stopped = True
        self._room.release()
        self._thread.join()

    def __iter__(self) -> Ahead[T]:
        return self

    def __next__(self) -> T:
        made = self._made.get()
        if isinstance(made, BaseException):
            self._made.put(made)  # the end is the end, however often one asks
            raise made
        self._room.release()
        return made[0]

    def _make(self) -> None:
        end: BaseException = StopIteration()
        try:
            while self._room.acquire() and not self._stopped:
                self._made.put((next(self._source),))
        except BaseException as error:  # also what is no Exception: the painter must not wait for ever
            end = error
        self._made.put(end)
        self._source.close()


class Behind(Generic[T]):
    """One call at a time in a thread of its own, while the caller goes on: `start` it, and take its `result`.

    Leaving the `with` waits for a call under way. Where an error ends the `with`, that error counts; one of the call is
    logged.
    """

    def __init__(self, name: str = "behind") -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._call: Future[T] | None = None

    def __enter__(self) -> Behind[T]:
        return self

    def __exit__(self, *_error: object) -> None:
        self._pool.shutdown(wait=True)
        if self._call is not None and (error := self._call.exception()) is not None:
            log.warning("beside what ended the work: %s", error)

    @property
    def busy(self) -> bool:
        """Whether there is a call whose result was not taken yet."""
        return self._call is not None

    @property
    def ready(self) -> bool:
        """Whether its result, or its error, can be taken without a wait."""
        return self._call is not None and self._call.done()

    def start(self, call: Callable[[], T]) -> None:
        """Begin a call; the result of the one before must have been taken."""
        assert self._call is None, "one call at a time"
        self._call = self._pool.submit(call)

    def result(self) -> T:
        """What the call gave, or its error; waits for it."""
        assert self._call is not None, "no call was started"
        call, self._call = self._call, None
        return call.result()
