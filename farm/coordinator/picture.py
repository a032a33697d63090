"""The film's figures, measured segment by segment while it is being encoded: frames are read and decoded once.

Figures are no reason to lose a film: whatever goes wrong here ends in one line of the report.
"""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm import video
from farm.contract import keys
from farm.contract.codec import to_plain
from farm.contract.plan import FrameRange
from farm.coordinator.segments import Segment
from farm.executor import Run
from farm.measure import (
    FilmMeasurer,
    FrameFigures,
    PictureReport,
    film_report,
    joined,
    plot,
    seam_windows,
)
from farm.video import FrameIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Frame = NDArray[np.uint8]

log = logging.getLogger(__name__)

PENDING_FRAMES = 4
"""Frames that wait to be measured; then the encoder waits, too."""
KEPT_SERIES = ("error", "detail")
"""What the report keeps by frame; `farm measure --json` gives all."""


class SegmentWatcher:
    """Measures a segment's frames on their way to the encoder, in a thread of its own. Context manager."""

    def __init__(self, run: Run, segment: FrameRange, source: Path, index: FrameIndex) -> None:
        plan = run.plan
        cuts = [shot.start for shot in plan.shots]
        self.start = segment.start if segment.start in cuts else segment.start - 1
        """First frame needed: the one before the segment, but at a cut, as no step over one is measured."""
        self._run = run
        self._contents = video.decode(source, index, self.start, segment.stop, (plan.width, plan.height), run.check)
        self._film = FilmMeasurer(cuts, segment.start)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="measure")
        self._pending: deque[Future[None]] = deque()
        self._failure: Exception | None = None

    def __enter__(self) -> SegmentWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._film.__exit__()

    def lead_in(self, frame: Frame) -> None:
        """The final frame before the segment, `(H, W, 3) uint8 sRGB`."""
        self._submit(self._film.lead_in, frame)

    def watched(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames, `(H, W, 3) uint8 sRGB`, each also measured."""
        for frame in frames:
            if len(self._pending) >= PENDING_FRAMES:
                self._settle()
            self._submit(self._film.add, frame)
            yield frame

    def figures(self) -> tuple[FrameFigures | None, str]:
        """The figures by frame; where there are none, why."""
        while self._pending:
            self._settle()
        if self._failure is None:
            return self._film.figures, ""
        return None, f"{type(self._failure).__name__}: {self._failure}"

    def _submit(self, measure: Callable[[Frame, Frame], None], painted: Frame) -> None:
        if self._failure is None:
            self._pending.append(self._thread.submit(lambda: measure(next(self._contents), painted)))

    def _settle(self) -> None:
        try:
            self._pending.popleft().result()
        except Exception as error:
            if self._failure is None:
                log.warning("the segment is not measured: %s", error, extra={"job": self._run.job})
            self._failure = self._failure or error


def film_picture(run: Run, segments: Sequence[Segment], style_losses: Mapping[int, float]) -> dict[str, Any]:
    """The film's figures as plain JSON values, their plot stored beside it; `error` says why there are none."""
    failure = next((segment.failure for segment in segments if segment.figures is None), "")
    if not failure:
        try:
            return _finished(run, [item.figures for item in segments if item.figures is not None], style_losses)
        except Exception as error:
            log.warning("the film's figures are lost: %s", error, extra={"job": run.job})
            failure = f"{type(error).__name__}: {error}"
    return {"error": f"not measured: {failure}"}


def _finished(run: Run, parts: Sequence[FrameFigures], style_losses: Mapping[int, float]) -> dict[str, Any]:
    plan, spec = run.plan, run.spec
    report = film_report(
        joined(parts),
        (plan.height, plan.width),
        shots=plan.shots,
        boundaries=seam_windows(plan),
        style_losses=style_losses,
    )
    picture = plot(report, title=f"{spec.title}  ·  {spec.style_name}")
    gc.collect()  # a drawn figure is megabytes in circles, which Python by itself leaves for dozens of films
    run.store.put(keys.output(run.job, "measure.png"), picture, "image/png")
    return summary(report)


def summary(report: PictureReport) -> dict[str, Any]:
    """The report without the series by frame that nobody reads there."""
    plain: dict[str, Any] = to_plain(report)
    plain["frames"] = {name: plain["frames"][name] for name in KEPT_SERIES}
    return plain
