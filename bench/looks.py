"""The films themselves, frame by frame: what the figures are about, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from bench.findings import seam_excess
from bench.jobs import plan_of
from bench.sheets import Frame, Row, difference, strip
from farm import video
from farm.client import Job
from farm.contract import keys
from farm.contract.codec import from_json
from farm.frames import FinalFrames
from farm.measure.flow import EstimatedMotion
from farm.measure.report import PictureReport
from farm.motion import places
from farm.png import png_read
from farm.video import FrameIndex

BEFORE, AFTER = 2, 6
"""Frames before and after a boundary's first frame that its strip shows."""
CELL_PX = 176


def final_frames(job: Job, numbers: Sequence[int]) -> list[Frame]:
    """Final painted frames of a job."""
    final = FinalFrames(job.name, plan_of(job))
    return [png_read(job.farm.store.get(final.key(number))) for number in numbers]


def source_frames(job: Job, clip: Path, numbers: Sequence[int]) -> list[Frame]:
    """The source's frames at the painted size, in order."""
    plan, index = plan_of(job), from_json(FrameIndex, job.farm.store.get(keys.index(job.name)))
    size_wh = (plan.width, plan.height)
    first, stop, wanted = min(numbers), max(numbers) + 1, set(numbers)
    frames = enumerate(video.decode(clip, index, first, stop, size_wh), start=first)
    return [frame for number, frame in frames if number in wanted]


def boundary_frames(start: int, count: int) -> range:
    """s − 2 … s + 6, as far as the film has them."""
    return range(max(0, start - BEFORE), min(count, start + AFTER + 1))


def boundary_strip(ours: Job, whole: Job, clip: Path, start: int, report: PictureReport, title: str) -> Frame:
    """The frames around a boundary: source, in one piece, the farm's; and what motion does not explain of both."""
    numbers = boundary_frames(start, report.frame_count)
    ahead = range(max(0, numbers.start - 1), numbers.stop)
    source = source_frames(ours, clip, ahead)
    pieces, one = final_frames(ours, ahead), final_frames(whole, ahead)
    extra = len(ahead) - len(numbers)
    unexplained_one, unexplained_ours = (unexplained(source, film)[extra:] for film in (one, pieces))
    excess = seam_excess(report)[start]
    rows = [
        Row("source", source[extra:]),
        Row("in one piece", one[extra:], ("one chunk for the shot",)),
        Row("the farm's", pieces[extra:], (f"seam excess {max(excess):.2f}",) if excess else ()),
        Row("change, one piece", unexplained_one, ("that motion does", "not explain")),
        Row("change, the farm's", unexplained_ours, ("that motion does", "not explain")),
    ]
    captions = [caption(number, start) for number in numbers]
    return strip(rows, captions, title=title, cell_px=CELL_PX, marked=start - numbers.start)


def caption(number: int, start: int) -> str:
    """`32 (s−2)`: a frame, and where it lies from its boundary."""
    offset = number - start
    return f"{number} (s{offset:+d})".replace("-", "−") if offset else f"{number} (s)"


def unexplained(source: Sequence[Frame], painted: Sequence[Frame]) -> list[Frame]:
    """Per frame, the change against the frame before that the source's motion does not explain; the first is black."""
    changes = [np.zeros_like(painted[0])]
    with ThreadPoolExecutor(2) as pool:
        judge = EstimatedMotion(pool)
        for number in range(1, len(painted)):
            motion = judge.motion(source[number - 1], source[number], cut=False)
            assert motion is not None
            x, y = places(motion.flow_ba)
            carried = cv2.remap(painted[number - 1], x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)
            changes.append(difference(painted[number], carried, motion.trust))
    return changes
