"""Films written as the farm writes them: segment by segment, each checked, then joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from farm import video
from farm.contract.plan import FrameRange
from farm.contract.spec import Output


def write_segments(
    folder: Path, frames: Iterable[Any], index: video.FrameIndex, output: Output, joins: Sequence[int] = ()
) -> tuple[list[Path], int]:
    """The film's segments, which join before the frames `joins`, and how many places late a frame is decoded."""
    images, files, late = iter(frames), [], 0
    for start, stop in pairwise((0, *joins, index.frame_count)):
        segment, file = FrameRange(start, stop), folder / f"{start:08d}{output.suffix}"
        own = list(islice(images, len(segment)))
        video.encode_segment(file, own, index=index, segment=segment, output=output)
        size_wh = own[0].shape[1], own[0].shape[0]
        late = max(late, video.check_segment(file, index, segment, output, size_wh))
        files.append(file)
    return files, late


def write_film(
    film: Path, frames: Iterable[Any], index: video.FrameIndex, source: Path, output: Output, joins: Sequence[int] = (),
    **how: Any,
) -> video.FilmInfo:  # fmt: skip
    """The film of a clip, of segments that join before the frames `joins`."""
    folder = film.with_name(f"{film.name}.segments")
    folder.mkdir()
    files, late = write_segments(folder, frames, index, output, joins)
    info = video.join_segments(film, files, index=index, source=source, output=output, reorder_frames=late, **how)
    for file in files:
        file.unlink()
    folder.rmdir()
    return info
