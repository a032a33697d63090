"""A job's stored frames: who made which, which are final, and that each is the one its maker's manifest names."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

from farm.contract import keys
from farm.contract.codec import from_json, sha256_hex
from farm.contract.errors import CorruptObject, FrameDamaged, InvalidInput, ObjectNotFound
from farm.contract.messages import FrameRecord, Manifest, Stage, StoredFrame, TaskId
from farm.contract.plan import FrameRange, Plan
from farm.png import png_read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from farm.store import Store

READ_AHEAD = 16
READERS = 4


class FinalFrames:
    """A job's final frames: the blended one inside a boundary's window, else the stylized one.

    A look-up costs the logarithm of the number of chunks.
    """

    def __init__(self, job: str, plan: Plan) -> None:
        self._job = job
        self._windows = [boundary.frames for boundary in plan.boundaries]
        self._window_starts = [window.start for window in self._windows]
        self._chunk_starts = [chunk.start for chunk in plan.chunks]

    def stored(self, frame: int) -> StoredFrame:
        """The final frame, by the task that made it."""
        at = bisect_right(self._window_starts, frame) - 1
        if at >= 0 and frame in self._windows[at]:
            return StoredFrame(TaskId(Stage.BLEND, self._window_starts[at]), frame)
        chunk = self._chunk_starts[bisect_right(self._chunk_starts, frame) - 1]
        return StoredFrame(TaskId(Stage.STYLIZE, chunk), frame)

    def key(self, frame: int) -> str:
        """The final frame's key."""
        return keys.frame(self._job, self.stored(frame))


class FrameReader:
    """Reads a job's frames and holds each against its maker's manifest; every manifest is read once. Thread-safe.

    FrameDamaged where a frame or its manifest is missing, where the bytes are others, or are no picture.
    """

    def __init__(self, store: Store, job: str) -> None:
        self._store = store
        self._job = job
        self._known: dict[TaskId, dict[int, FrameRecord]] = {}

    def data(self, stored: StoredFrame, sha256: str | None = None) -> bytes:
        """A frame's PNG. `sha256`: where its manifest is not written yet."""
        key = keys.frame(self._job, stored)
        try:
            data = self._store.get(key)
            wanted = self._record(stored).sha256 if sha256 is None else sha256
            if (found := sha256_hex(data)) != wanted:
                raise CorruptObject(f"{key!r} has SHA-256 {found[:12]}…, its manifest names {wanted[:12]}…", key=key)
        except (ObjectNotFound, CorruptObject) as error:
            raise self._damaged(stored, error) from error
        return data

    def picture(self, stored: StoredFrame, data: bytes) -> NDArray[np.uint8]:
        """What `data` gave, `(H, W, 3) uint8 sRGB`."""
        try:
            return png_read(data)
        except CorruptObject as error:
            raise self._damaged(stored, error) from error

    def frame(self, stored: StoredFrame, sha256: str | None = None) -> NDArray[np.uint8]:
        """A frame, `(H, W, 3) uint8 sRGB`. `sha256`: where its manifest is not written yet."""
        return self.picture(stored, self.data(stored, sha256))

    def record(self, stored: StoredFrame) -> FrameRecord:
        """What its maker's manifest says of a frame."""
        try:
            return self._record(stored)
        except (ObjectNotFound, CorruptObject) as error:
            raise self._damaged(stored, error) from error

    def _record(self, stored: StoredFrame) -> FrameRecord:
        if stored.maker not in self._known:
            manifest = read_manifest(self._store, self._job, stored.maker)
            self._known[stored.maker] = {record.frame: record for record in manifest.frames}
        if stored.frame not in (known := self._known[stored.maker]):
            key = keys.manifest(self._job, stored.maker)
            raise CorruptObject(f"{key!r} does not name frame {stored.frame}", key=key)
        return known[stored.frame]

    def _damaged(self, stored: StoredFrame, error: CorruptObject | ObjectNotFound) -> FrameDamaged:
        return FrameDamaged(
            f"frame {stored.frame} of {stored.maker} can't be used ({error}); while its job runs it is made again",
            frame=stored.frame,
            key=keys.frame(self._job, stored),
            stored=str(stored),
        )


def read_manifest(store: Store, job: str, task: TaskId) -> Manifest:
    """A done task's manifest; ObjectNotFound, or CorruptObject where it is damaged."""
    key = keys.manifest(job, task)
    data = store.get(key)
    try:
        return from_json(Manifest, data)
    except InvalidInput as error:
        raise CorruptObject(f"{key!r} is no manifest: {error}", key=key) from error


def read_final_frames(
    store: Store, job: str, plan: Plan, frames: FrameRange | None = None
) -> Iterator[NDArray[np.uint8]]:
    """The final `frames` (None: all), in order, `(H, W, 3) uint8 sRGB`, checked as FrameReader does."""
    reader = FrameReader(store, job)
    for stored, data in _read(reader, FinalFrames(job, plan), frames or FrameRange(0, plan.frame_count)):
        yield reader.picture(stored, data)


def read_final_pngs(store: Store, job: str, plan: Plan) -> Iterator[bytes]:
    """All final frames, in order, as they are stored, checked as FrameReader does."""
    for _, data in _read(FrameReader(store, job), FinalFrames(job, plan), FrameRange(0, plan.frame_count)):
        yield data


def _read(reader: FrameReader, final: FinalFrames, wanted: FrameRange) -> Iterator[tuple[StoredFrame, bytes]]:
    """A few are read ahead."""
    with ThreadPoolExecutor(READERS, thread_name_prefix="frames") as pool:
        ahead: deque[tuple[StoredFrame, Future[bytes]]] = deque()
        for number in range(wanted.start, wanted.stop):
            stored = final.stored(number)
            ahead.append((stored, pool.submit(reader.data, stored)))
            if len(ahead) >= READ_AHEAD:
                yield _next(ahead)
        while ahead:
            yield _next(ahead)


def _next(ahead: deque[tuple[StoredFrame, Future[bytes]]]) -> tuple[StoredFrame, bytes]:
    stored, data = ahead.popleft()
    return stored, data.result()
