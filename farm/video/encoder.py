"""Writing the film: the painted frames at the clip's own times, with its sound and subtitles.

The same frames give the same bytes: no dates, no versions, a fixed number of encoder threads. Frames stream through;
the file appears under its name only when it is whole.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import Flags as ContainerFlags
from av.video.reformatter import Interpolation, VideoReformatter

from farm.contract.errors import FilmMismatch, InvalidClip, InvalidParameter
from farm.contract.spec import Output
from farm.video.color import SWS_MATRIX, ColorTags
from farm.video.profiles import THREADS, Profile, profile
from farm.video.source import opened
from farm.video.timeline import FrameIndex, planned_limits
from farm.video.tracks import Tracks

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_MACHINE_ERRORS = (errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EACCES, errno.ENOMEM)
"""Not the clip's fault."""
_TO_YUV = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INP


@dataclass(frozen=True, slots=True)
class EncodeResult:
    """What was written."""

    frame_count: int
    width: int
    height: int
    size_bytes: int
    notices: tuple[str, ...]  # for the artist: what could not be kept as it was


@dataclass(frozen=True, slots=True)
class _Job:
    """What one call of `encode` was asked."""

    index: FrameIndex
    source: Path
    output: Output
    metadata: Mapping[str, str]
    on_frame: Callable[[int], None]


def encode(
    path: Path | str,
    frames: Iterable[NDArray[np.uint8]],
    *,
    index: FrameIndex,
    source: Path | str,
    output: Output,
    metadata: Mapping[str, str] | None = None,
    on_frame: Callable[[int], None] | None = None,
) -> EncodeResult:
    """Write `frames`, (H, W, 3) uint8 sRGB, H and W even, as the film of the clip `source` with frame index `index`.

    `on_frame(count)` hears of every frame written. FilmMismatch where there are not as many frames as in the clip.
    """
    film = Path(path)
    part = film.with_name(film.name + ".part")
    try:
        result = _write(
            part, _Job(index, Path(source), output, dict(metadata or {}), on_frame or _silent), iter(frames)
        )
        part.replace(film)
    except av.error.FFmpegError as error:
        raise InvalidClip(
            f"{source} can't be made into {film.name}: {error}; try --codec ffv1", path=str(source)
        ) from error
    finally:
        part.unlink(missing_ok=True)
    return result


@dataclass(frozen=True, slots=True)
class _Times:
    """The film's clock."""

    base: Fraction
    rate: Fraction
    pts: tuple[int, ...]
    durations: tuple[int, ...]


def _write(part: Path, job: _Job, images: Iterator[NDArray[np.uint8]]) -> EncodeResult:
    index, how = job.index, profile(job.output, Fraction(*job.index.average_rate), job.index.frame_count)
    times = _film_times(index, how.container.time_base(index.seconds_per_tick))
    first = _first(images, job.source)
    height, width = first.shape[:2]
    tags = how.tags(index.color.film(index.coded_width, index.coded_height))
    with opened(job.source, planned_limits(index)) as (clip, _), _container(part, how, times.base) as film:
        film.metadata.update(job.metadata)
        stream = _video_stream(film, how, times, (width, height), tags)
        tracks = Tracks(clip, film, how.container, index.origin * index.seconds_per_tick)
        film.start_encoding()
        writer = _Writer(film, stream, tracks, times, tags)
        for image in chain((first,), images):
            writer.add(image)
            job.on_frame(writer.count)
        writer.finish()
    notices = [*tracks.notices, *_time_notices(index, times.base)]
    if writer.lost:
        notices.append(f"{writer.lost} broken packets of sound or subtitles are left out")
    return EncodeResult(writer.count, width, height, part.stat().st_size, tuple(notices))


class _Writer:
    """Frames in; video, sound and subtitle packets out, interleaved by time."""

    def __init__(
        self,
        film: OutputContainer,
        stream: VideoStream,
        tracks: Tracks,
        times: _Times,
        tags: ColorTags,
    ) -> None:
        self._film, self._stream, self._tracks, self._tags = film, stream, tracks, tags
        self._pts, self._base = times.pts, times.base
        self._duration_at = dict(zip(times.pts, times.durations, strict=True))
        self._scaler = VideoReformatter()
        self.count = 0
        self.lost = 0  # broken packets of sound and subtitles

    def add(self, image: NDArray[np.uint8]) -> None:
        """Encode the next frame."""
        if self.count == len(self._pts):
            raise FilmMismatch(
                f"more frames than the clip's {len(self._pts)}; paint the job again", frames=self.count + 1
            )
        size = (self._stream.codec_context.width, self._stream.codec_context.height)
        if image.dtype != np.uint8 or image.shape != (size[1], size[0], 3):
            raise InvalidParameter(
                f"frame {self.count} is {image.dtype} {image.shape}, not uint8 {(size[1], size[0], 3)}",
                frame=self.count,
            )
        frame = self._picture(image)
        frame.color_primaries, frame.color_trc = self._tags.primaries, self._tags.transfer
        frame.colorspace, frame.color_range = self._tags.matrix, self._tags.range
        frame.pts, frame.time_base = self._pts[self.count], self._base
        frame.duration = self._duration_at[frame.pts]
        self.count += 1
        self._mux(self._stream.encode(frame))

    def finish(self) -> None:
        """Write what is left of all tracks."""
        if self.count != len(self._pts):
            raise FilmMismatch(
                f"{self.count} frames for a clip of {len(self._pts)}; paint the missing ones", frames=self.count
            )
        self._mux(self._stream.encode(None))
        self._mux_tracks(self._tracks.rest())

    def _picture(self, image: NDArray[np.uint8]) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        wanted = self._stream.codec_context.pix_fmt
        if wanted == "bgr0":
            return self._scaler.reformat(frame, format="bgr0", threads=1)
        return self._scaler.reformat(
            frame,
            format=wanted,
            src_color_range=2,
            dst_colorspace=SWS_MATRIX[self._tags.matrix],
            dst_color_range=1,
            interpolation=_TO_YUV,
            threads=1,
        )

    def _mux(self, packets: list[av.Packet[Any]]) -> None:
        for packet in packets:
            pts = cast("int", packet.pts)
            packet.duration = self._duration_at[pts]
            due = pts if packet.dts is None else packet.dts
            self._mux_tracks(self._tracks.until(due * packet.time_base))
            self._film.mux(packet)

    def _mux_tracks(self, packets: Iterator[av.Packet[Any]]) -> None:
        """A painted film is not given up for a broken sound packet."""
        for packet in packets:
            try:
                self._film.mux(packet)
            except av.error.FFmpegError:
                self.lost += 1


def _first(images: Any, source: Path) -> NDArray[np.uint8]:
    image = next(images, None)
    if image is None:
        raise FilmMismatch(f"no frames for the film of {source}; paint the job first", frames=0)
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise InvalidParameter(
            f"frames of {width}×{height} can't be encoded; both sides must be even", value=(width, height)
        )
    return cast("NDArray[np.uint8]", image)


def _container(part: Path, how: Profile, base: Fraction) -> OutputContainer:
    options = {"avoid_negative_ts": "disabled", **how.container.options}
    if how.container.holds_ticks:
        # The edit list that holds a first PTS ≠ 0 counts in the movie's scale: give it the track's.
        options |= {"video_track_timescale": str(base.denominator), "movie_timescale": str(base.denominator)}
    film = av.open(f"file:{part}", "w", format=how.container.format, container_options=options)
    film.flags |= cast("int", ContainerFlags.bitexact.value)
    return film


def _video_stream(
    film: OutputContainer, how: Profile, times: _Times, size_wh: tuple[int, int], tags: ColorTags
) -> VideoStream:
    stream = cast("VideoStream", film.add_stream(how.encoder, rate=times.rate, options=dict(how.options)))
    context = stream.codec_context
    context.width, context.height = size_wh
    context.pix_fmt = how.pix_fmt
    context.time_base = times.base
    context.thread_count = THREADS
    context.flags |= Flags.bitexact.value
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    context.colorspace, context.color_range = tags.matrix, tags.range
    context.sample_aspect_ratio = Fraction(1)
    if how.codec_tag:
        context.codec_tag = how.codec_tag
    stream.time_base = times.base
    return stream


def _film_times(index: FrameIndex, base: Fraction) -> _Times:
    """The clip's times in `base`."""
    ticks = index.seconds_per_tick / base
    starts = [round(pts * ticks) for pts in (*index.film_pts, index.film_pts[-1] + index.last_duration)]
    durations = tuple(after - pts for pts, after in pairwise(starts))
    return _Times(base, Fraction(*index.average_rate), tuple(starts[:-1]), durations)


def _time_notices(index: FrameIndex, base: Fraction) -> tuple[str, ...]:
    notices = []
    if index.origin:
        start_s = float(index.pts[0] * index.seconds_per_tick)
        notices.append(f"the clip's clock starts at {start_s:.1f} s; the film's starts at 0")
    if any((pts * index.seconds_per_tick / base).denominator != 1 for pts in index.film_pts):
        notices.append(
            f"times are rounded to {base} s: the container counts no finer, the clip in {index.seconds_per_tick} s"
        )
    return tuple(notices)


def _silent(_count: int) -> None:
    """Nobody listens."""
