"""The film's figures, measured while it is being encoded: the frames are read and decoded once.

Figures are no reason to lose a film: whatever goes wrong here ends in one line of the report.
"""

from __future__ import annotations

import gc
import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm import video
from farm.contract import keys
from farm.contract.codec import to_plain
from farm.executor import Run
from farm.measure import FilmMeasurer, PictureReport, other_method, plot, seam_windows
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


class FilmWatcher:
    """Measures frames on their way to the encoder, in a thread of its own. Context manager."""

    def __init__(self, run: Run, source: Path, index: FrameIndex) -> None:
        plan = run.plan
        self._run = run
        self._contents = video.decode(source, index, 0, plan.frame_count, (plan.width, plan.height))
        self._film = FilmMeasurer(other_method(run.spec.params.flow), [shot.start for shot in plan.shots])
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="measure")
        self._pending: deque[Future[None]] = deque()
        self._failure: Exception | None = None

    def __enter__(self) -> FilmWatcher:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown(cancel_futures=True)
        self._film.__exit__()

    def watched(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """The same frames, `(H, W, 3) uint8 sRGB`, each also measured."""
        for frame in frames:
            if len(self._pending) >= PENDING_FRAMES:
                self._settle()
            if self._failure is None:
                self._pending.append(self._thread.submit(self._measure, frame))
            yield frame

    def figures(self, style_losses: Mapping[int, float]) -> dict[str, Any]:
        """The figures as plain JSON values, their plot stored beside the film; `error` says why there are none."""
        while self._pending:
            self._settle()
        if self._failure is None:
            try:
                return self._finished(style_losses)
            except Exception as error:
                self._fail(error)
        return {"error": f"not measured: {type(self._failure).__name__}: {self._failure}"}

    def _measure(self, painted: Frame) -> None:
        self._film.add(next(self._contents), painted)

    def _settle(self) -> None:
        try:
            self._pending.popleft().result()
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            log.warning("the film is not measured: %s", error, extra={"job": self._run.job})
        self._failure = self._failure or error

    def _finished(self, style_losses: Mapping[int, float]) -> dict[str, Any]:
        plan, spec = self._run.plan, self._run.spec
        report = self._film.report(shots=plan.shots, boundaries=seam_windows(plan), style_losses=style_losses)
        picture = plot(report, title=f"{spec.name}  ·  {spec.style_name}")
        gc.collect()  # a drawn figure is megabytes in circles, which Python by itself leaves for dozens of films
        self._run.store.put(keys.output(self._run.job, "measure.png"), picture, "image/png")
        return summary(report)


def summary(report: PictureReport) -> dict[str, Any]:
    """The report without the series by frame that nobody reads there."""
    plain: dict[str, Any] = to_plain(report)
    plain["frames"] = {name: plain["frames"][name] for name in KEPT_SERIES}
    return plain
