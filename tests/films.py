"""Films written as the farm writes them: segment by segment, each checked, then joined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av

from farm import video
from farm.contract.excerpt import Excerpt
from farm.contract.plan import FrameRange
from farm.contract.spec import Codec, Output


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


def film_of(
    clip_path: Path,
    folder: Path,
    codec: Codec = Codec.H264,
    size_wh: tuple[int, int] | None = None,
    joins: Sequence[int] = (),
    excerpt: Excerpt | None = None,
    **more: Any,
) -> tuple[Path, video.FrameIndex, video.FilmInfo]:
    """The frames of the clip, or of an excerpt of it, as a film, in segments that join at `joins`."""
    output = Output(codec=codec, **more)
    index = video.index(clip_path, excerpt=excerpt)
    size = size_wh or video.frame_size(index.width, index.height, None)
    film = folder / f"film{output.suffix}"
    result = write_film(
        film, video.decode(clip_path, index, 0, index.frame_count, size), index, clip_path, output, joins
    )
    return film, index, result


def packets_of(path: Path, kind: str) -> list[tuple[Fraction, bytes]]:
    """Times and bytes of the packets of a file's first track of a kind."""
    with av.open(str(path)) as container:
        stream = next(stream for stream in container.streams if stream.type == kind)
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in container.demux(stream) if packet.size]


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    index = video.index(path)
    return [pts * index.seconds_per_tick for pts in index.pts]


def times_ms(path: Path) -> list[int]:
    """When each frame begins, as players count, by the packets alone."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        found = sorted(packet.pts for packet in container.demux(stream) if packet.size and packet.pts is not None)
        base, start_us = stream.time_base, container.start_time or 0
    return [round((pts * base - Fraction(start_us, 1_000_000)) * 1000) for pts in found]
