"""A film measured frame by frame, as it streams by: two frames and their flow are held, however long it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Protocol

import cv2
import numpy as np

from farm.contract.errors import InvalidInput
from farm.contract.plan import FrameRange, Plan
from farm.measure import figures
from farm.measure.flow import EXACT, EstimatedMotion, Judge, KnownMotion, Motion
from farm.measure.report import FrameFigures, PictureReport
from farm.measure.summary import Tally, summarized
from farm.motion import Frame, Trust

MAX_SIDE_PX = 640
"""Larger films are measured at this longer side: the time it takes to find motion grows with the pixels."""
MIN_SIDE_PX = 16
UNBLENDED_WINDOW_FRAMES = 6
"""Length of a boundary's window where no blend gives it one."""
THREADS = 2

OnFrame = Callable[[int], None]
"""Called with the number of frames measured so far."""


class Range(Protocol):
    """Frames `[start, stop)`: a `FrameRange`, `Boundary` or `Chunk`."""

    @property
    def start(self) -> int:
        """First frame."""
        ...

    @property
    def stop(self) -> int:
        """The frame after the last."""
        ...


def measure_film(
    source_frames: Iterable[Frame],
    painted_frames: Iterable[Frame],
    *,
    shots: Sequence[Range] | None = None,
    boundaries: Sequence[Range] = (),
    style_losses: Mapping[int, float] | None = None,
    motions: Iterable[Motion | None] | None = None,
    reference: Iterable[Frame] | None = None,
    on_frame: OnFrame | None = None,
) -> PictureReport:
    """Measure a painted film against its source.

    Frames are `(H, W, 3) uint8 sRGB`; sources of another size are scaled to the painted frames'. `shots`: frame
    ranges between cuts (None: one shot); `boundaries`: the windows `[s, s+K)` of the blends; `style_losses` by frame;
    `motions`: the exact ones, if known, one for each frame but the first, None at cuts, else they are estimated;
    `reference`: the same film painted in one chunk per shot. InvalidInput where the films differ in length.
    """
    cuts = {shot.start for shot in shots} if shots is not None else set()
    with FilmMeasurer(cuts, motions=motions) as film:
        for source, painted, other in _together(source_frames, painted_frames, reference):
            film.add(source, painted, other)
            if on_frame:
                on_frame(film.frame_count)
        return film.report(shots=shots, boundaries=boundaries, style_losses=style_losses)


class FilmMeasurer:
    """Takes a film's frames in order, and has its figures at the end. Context manager: it holds threads.

    It may begin at any frame `start`; `lead_in` then gives it the one before. `motions`: the exact ones, if known.
    """

    def __init__(
        self, cuts: Iterable[int] = (), start: int = 0, *, motions: Iterable[Motion | None] | None = None
    ) -> None:
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="measure")
        self._judge: Judge = EstimatedMotion(self._pool) if motions is None else KnownMotion(motions)
        self._cuts = frozenset(cuts)
        self._start = start
        self._size_hw = self._measured_hw = (0, 0)
        self._before: tuple[Frame, Frame, Frame | None] | None = None
        self._tally = Tally()

    def __enter__(self) -> FilmMeasurer:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    @property
    def frame_count(self) -> int:
        """How many frames were added."""
        return self._tally.count

    @property
    def figures(self) -> FrameFigures:
        """The figures by frame of all frames added."""
        return self._tally.series()

    def lead_in(self, source: Frame, painted: Frame) -> None:
        """The frame before the first: only the step from it is measured."""
        self._before = self._fitted(source, painted, None)

    def add(self, source: Frame, painted: Frame, reference: Frame | None = None) -> None:
        """Measure the next frame. `source` is scaled to `painted`'s size; `reference` must have it."""
        frames = self._fitted(source, painted, reference)
        motion = None
        if self._before is not None:
            cut = self._start + self._tally.count in self._cuts
            motion = self._judge.motion(self._before[0], frames[0], cut=cut)
        own = self._pool.submit(self._tally.add_picture, *frames)  # beside the error: OpenCV lets go of the GIL
        self._tally.add_error(*self._errors(frames, motion))
        own.result()
        self._before = frames

    def report(
        self,
        *,
        shots: Sequence[Range] | None = None,
        boundaries: Sequence[Range] = (),
        style_losses: Mapping[int, float] | None = None,
    ) -> PictureReport:
        """The figures of all frames added; InvalidInput where there was none."""
        if not self._tally.count:
            raise InvalidInput("a film of no frames has nothing to measure; give one with frames")
        return film_report(
            self.figures,
            self._size_hw,
            self._judge.name,
            shots=shots,
            boundaries=boundaries,
            style_losses=style_losses,
        )

    def _fitted(self, source: Frame, painted: Frame, reference: Frame | None) -> tuple[Frame, Frame, Frame | None]:
        """The frames at the size they are measured at, the first frame's for all."""
        if self._before is None:
            self._size_hw = (painted.shape[0], painted.shape[1])
            self._measured_hw = measured_size(self._size_hw, self._judge.name)
        for frame in (painted, reference):
            if frame is not None and frame.shape[:2] != self._size_hw:
                raise InvalidInput(
                    f"frame {self._tally.count} is {frame.shape[1]}×{frame.shape[0]}, the film "
                    f"{self._size_hw[1]}×{self._size_hw[0]}; give films of one size"
                )
        scaled = [None if frame is None else _scaled(frame, self._measured_hw) for frame in (painted, reference)]
        assert scaled[0] is not None
        return _scaled(source, self._measured_hw), scaled[0], scaled[1]

    def _errors(
        self, frames: tuple[Frame, Frame, Frame | None], motion: Motion | None
    ) -> tuple[float | None, float | None, float | None, float | None]:
        """E, E over flat areas, the share of the picture trusted, and the reference's E."""
        if motion is None or self._before is None:
            return None, None, None, None
        flat: Trust | None = figures.flat_mask(frames[0])
        if flat is not None and flat.mean() < figures.MIN_FLAT_SHARE:
            flat = None
        squared = _squared(self._before[1], frames[1], motion)
        error = figures.warping_error(squared, motion.trust)
        flat_error = None if flat is None else figures.warping_error(squared, motion.trust & flat)
        other_error = None
        if self._before[2] is not None and frames[2] is not None:
            other_error = figures.warping_error(_squared(self._before[2], frames[2], motion), motion.trust)
        return error, flat_error, float(motion.trust.mean()), other_error


def film_report(
    measured: FrameFigures,
    size_hw: tuple[int, int],
    judge: str = EstimatedMotion.name,
    *,
    shots: Sequence[Range] | None = None,
    boundaries: Sequence[Range] = (),
    style_losses: Mapping[int, float] | None = None,
) -> PictureReport:
    """The report of a film of that size, from the figures of all of its frames."""
    count = len(measured.error)
    whole = shots if shots is not None else (FrameRange(0, count),)
    return summarized(
        measured,
        size_hw=size_hw,
        measured_hw=measured_size(size_hw, judge),
        judge=judge,
        shots=[FrameRange(shot.start, min(shot.stop, count)) for shot in whole],
        windows=[FrameRange(item.start, item.stop) for item in boundaries],
        style_losses=style_losses or {},
    )


def measured_size(size_hw: tuple[int, int], judge: str) -> tuple[int, int]:
    """The size a film is measured at: its own, or, where flow is estimated, its longer side `MAX_SIDE_PX`.

    A ribbon keeps `MIN_SIDE_PX` of its shorter side: of less, no motion can be told.
    """
    scale = 1.0 if judge == EXACT else min(1.0, MAX_SIDE_PX / max(size_hw))
    height, width = (max(min(side, MIN_SIDE_PX), round(side * scale)) for side in size_hw)
    return height, width


def seam_windows(plan: Plan) -> tuple[FrameRange, ...]:
    """A plan's blend windows; where it blends none, the first frames of each chunk that follows one in its shot."""
    if plan.boundaries:
        return tuple(boundary.frames for boundary in plan.boundaries)
    joins = [later for earlier, later in pairwise(plan.chunks) if earlier.shot == later.shot]
    return tuple(FrameRange(chunk.start, min(chunk.stop, chunk.start + UNBLENDED_WINDOW_FRAMES)) for chunk in joins)


def _squared(before: Frame, now: Frame, motion: Motion) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return figures.squared_error(figures.image_from_frame(before), figures.image_from_frame(now), motion)


def _scaled(frame: Frame, size_hw: tuple[int, int]) -> Frame:
    if frame.shape[:2] == size_hw:
        return frame
    kernel = cv2.INTER_AREA if size_hw[0] < frame.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(frame, size_hw[::-1], interpolation=kernel), dtype=np.uint8)


def _together(
    source: Iterable[Frame], painted: Iterable[Frame], reference: Iterable[Frame] | None
) -> Iterator[tuple[Frame, Frame, Frame | None]]:
    """The films frame by frame; InvalidInput where one ends before the others."""
    films = {"source": iter(source), "film": iter(painted)}
    if reference is not None:
        films["reference"] = iter(reference)
    count = 0
    while True:
        frames = {name: next(film, None) for name, film in films.items()}
        ended = [name for name, frame in frames.items() if frame is None]
        if len(ended) == len(films):
            return
        if ended:
            raise InvalidInput(f"the {ended[0]} ends after {count} frames, the others go on; give films of one length")
        now, painting = frames["source"], frames["film"]
        assert now is not None
        assert painting is not None
        yield now, painting, frames.get("reference")
        count += 1
