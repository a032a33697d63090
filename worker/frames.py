"""A task's frames: the source's as they come, painted ones put in the store and found there. Knows no Celery."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from farm.contract.messages import FrameRecord, Stage, StoredFrame, TaskId
from farm.executor import Run
from farm.png import png_bytes
from worker.engine import Frame, Painted, StepProgress


def timed(run: Run, frames: Iterable[Frame]) -> Iterator[Frame]:
    """Frames as they come, their decoding timed."""
    source = iter(frames)
    while True:
        with run.span("decode"):
            frame = next(source, None)
        if frame is None:
            return
        yield frame


def anchor_of(start: int) -> StoredFrame:
    """A chunk's anchor, by the task that paints it."""
    return StoredFrame(TaskId(Stage.ANCHOR, start), start)


def stored(run: Run, key: str, number: int) -> FrameRecord | None:
    """The record of a frame that an earlier attempt stored, or None."""
    info = run.store.head(key)
    return None if info is None else FrameRecord(number, info.sha256, adopted=True)


def put_frame(run: Run, key: str, number: int, painted: Painted) -> FrameRecord:
    """Store a painted frame; where another executor was first, its frame is adopted."""
    with run.span("png"):
        data = png_bytes(painted.frame)
    with run.span("put"):
        result = run.store.put_once(key, data, "image/png")
    losses = painted.losses if result.written else {}
    return FrameRecord(number, result.sha256, losses, painted.steps, adopted=not result.written)


def checking(run: Run) -> Callable[[StepProgress], None]:
    """Ask at every optimisation step whether to stop."""

    def on_step(_progress: StepProgress) -> None:
        run.check()

    return on_step
