"""A job's film made from its frames: in the coordinator where segments do not go together, and wherever an artist wants
it in another codec or quality. Nothing is painted for it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from farm import __version__, video
from farm.frames import read_final_frames
from farm.media import MediaCache
from farm.segments import segments
from farm.video import FilmInfo, FrameIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from farm.contract.plan import Plan
    from farm.contract.spec import Output
    from farm.job import Job
    from farm.store import OnBytes, Store

    Frame = NDArray[np.uint8]

OnFrame = Callable[[int], None]
"""Called with the number of frames done."""


def encoded_segments(
    store: Store, job: str, plan: Plan, index: FrameIndex, output: Output, folder: Path, on_frame: OnFrame
) -> tuple[list[Path], int]:
    """All segments encoded into `folder` and checked, and the most places that any of them decodes a frame late.

    FrameDamaged where a frame is missing or was changed, FilmMismatch where a segment is not what was asked for.
    """
    films, late, size_wh = [], 0, (plan.width, plan.height)
    for segment in segments(plan):
        film = folder / f"{segment.start:08d}{output.suffix}"
        frames = _counted(read_final_frames(store, job, plan, segment), segment.start, on_frame)
        video.encode_segment(film, frames, index=index, segment=segment, output=output)
        beat = partial(on_frame, segment.stop)
        late = max(late, video.check_segment(film, index, segment, output, size_wh, on_beat=beat))
        films.append(film)
    return films, late


def _counted(frames: Iterator[Frame], start: int, on_frame: OnFrame) -> Iterator[Frame]:
    for number, frame in enumerate(frames, start):
        on_frame(number)
        yield frame


def make_film(
    job: Job, plan: Plan, index: FrameIndex, output: Output, target: Path, on_frame: OnFrame,
    on_source: OnBytes | None = None,
) -> FilmInfo:  # fmt: skip
    """Encode a finished job's film to `target`, with the source's times and sound, and check it as the farm does.

    It appears under its name only when it is whole. Errors as of `encoded_segments`, and the store's.
    """
    store, spec = job.farm.store, job.spec
    source = MediaCache.from_settings(store, job.farm.settings).path(spec.source, on_source)
    with tempfile.TemporaryDirectory(prefix=".farm-film-", dir=target.parent) as folder:
        film = Path(folder) / ("film" + output.suffix)
        films, late = encoded_segments(store, job.name, plan, index, output, Path(folder), on_frame)
        joint = video.join_segments(
            film, films, index=index, source=source, output=output, reorder_frames=late,
            metadata=film_metadata(job.name, spec.title),
        )  # fmt: skip
        odd = video.read_back(film, index, (plan.width, plan.height), left_out=joint.left_out)
        film.replace(target)
    return replace(joint, notices=(*joint.notices, *odd))


def film_metadata(job: str, title: str) -> dict[str, str]:
    """What a film says of itself."""
    return {"title": title, "comment": f"painted by the farm {__version__}, job {job}"}
