"""Writing a segment of the film: painted frames, encoded at the clip's own intervals, without sound.

A segment stands for itself: its clock starts at 0, it begins with a key frame, and nothing in it refers to another
segment. All segments of a film are written by the same settings, so that `muxer` can join them by copying.
The same frames give the same bytes: no dates, no versions, a fixed number of encoder threads. Frames stream through;
the file appears under its name only when it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error
import numpy as np
from av.codec.context import Flags
from av.container import Flags as ContainerFlags
from av.video.reformatter import Interpolation, VideoReformatter

from farm.contract.errors import FilmMismatch, InvalidParameter
from farm.contract.plan import FrameRange
from farm.contract.spec import Output
from farm.video.clock import Times, film_times
from farm.video.color import SWS_MATRIX, ColorTags
from farm.video.faults import writing_failed
from farm.video.profiles import THREADS, Profile, profile
from farm.video.timeline import FrameIndex

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

_TO_YUV = Interpolation.AREA | Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INP


def encode_segment(
    path: Path | str,
    frames: Iterable[NDArray[np.uint8]],
    *,
    index: FrameIndex,
    segment: FrameRange,
    output: Output,
    on_frame: Callable[[int], None] = lambda _count: None,
) -> None:
    """Write `frames`, (H, W, 3) uint8 sRGB, H and W even, as the frames `segment` of the film of a clip with `index`.

    `on_frame(count)` hears of every frame written. FilmMismatch where there are not as many frames as in the segment;
    MachineFault where the disk is full or broken, or there is no memory left.
    """
    file = Path(path)
    part = file.with_name(file.name + ".part")
    how = film_profile(index, output)
    try:
        with film_file(part, how, how.container.time_base(index.seconds_per_tick)) as film:
            _write(film, iter(frames), how, index, segment, on_frame)
        part.replace(file)
    except av.error.FFmpegError as error:
        raise writing_failed(error, f"{file.name} can't be encoded", part, output.codec, path=path) from error
    finally:
        part.unlink(missing_ok=True)


def film_profile(index: FrameIndex, output: Output) -> Profile:
    """How the film of a clip is written: the same for all of its segments."""
    return profile(output, Fraction(*index.average_rate), index.frame_count)


def film_file(part: Path, how: Profile, base: Fraction) -> OutputContainer:
    """A file of the film's container, opened for writing."""
    options = {"avoid_negative_ts": "disabled", **how.container.options}
    if how.container.holds_ticks:
        # The edit list that holds a first PTS ≠ 0 counts in the movie's scale: give it the track's.
        options |= {"video_track_timescale": str(base.denominator), "movie_timescale": str(base.denominator)}
    film = av.open(f"file:{part}", "w", format=how.container.format, container_options=options)
    film.flags |= cast("int", ContainerFlags.bitexact.value)
    return film


def _write(
    film: OutputContainer,
    images: Iterator[NDArray[np.uint8]],
    how: Profile,
    index: FrameIndex,
    segment: FrameRange,
    on_frame: Callable[[int], None],
) -> None:
    times = film_times(index, how.container.time_base(index.seconds_per_tick), segment)
    first = _first(images, segment)
    height, width = first.shape[:2]
    tags = how.tags(index.color.film(index.coded_width, index.coded_height))
    writer = _Writer(film, _video_stream(film, how, index, (width, height), tags), times, tags)
    writer.add(first)
    on_frame(1)
    for image in images:
        writer.add(image)
        on_frame(writer.count)
    writer.finish()


class _Writer:
    """Frames in, packets into the file."""

    def __init__(self, film: OutputContainer, stream: VideoStream, times: Times, tags: ColorTags) -> None:
        self._film, self._stream, self._tags, self._base = film, stream, tags, times.base
        self._pts = [pts - times.pts[0] for pts in times.pts]
        self._duration_at = dict(zip(self._pts, times.durations, strict=True))
        self._scaler = VideoReformatter()
        self.count = 0

    def add(self, image: NDArray[np.uint8]) -> None:
        """Encode the next frame."""
        if self.count == len(self._pts):
            raise FilmMismatch(
                f"more frames than the segment's {len(self._pts)}; paint the job again", frames=self.count + 1
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
        """Write what the encoder still holds back."""
        if self.count != len(self._pts):
            raise FilmMismatch(
                f"{self.count} frames for a segment of {len(self._pts)}; paint the missing ones", frames=self.count
            )
        self._mux(self._stream.encode(None))

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
            packet.duration = self._duration_at[cast("int", packet.pts)]
            self._film.mux(packet)


def _first(images: Iterator[NDArray[np.uint8]], segment: FrameRange) -> NDArray[np.uint8]:
    image = next(images, None)
    if image is None:
        raise FilmMismatch(f"no frames for the segment at frame {segment.start}; paint the job first", frames=0)
    height, width = image.shape[:2]
    if height % 2 or width % 2:
        raise InvalidParameter(
            f"frames of {width}×{height} can't be encoded; both sides must be even", value=(width, height)
        )
    return image


def _video_stream(
    film: OutputContainer, how: Profile, index: FrameIndex, size_wh: tuple[int, int], tags: ColorTags
) -> VideoStream:
    base = how.container.time_base(index.seconds_per_tick)
    rate = Fraction(*index.average_rate)
    stream = cast("VideoStream", film.add_stream(how.encoder, rate=rate, options=dict(how.options)))
    context = stream.codec_context
    context.width, context.height = size_wh
    context.pix_fmt = how.pix_fmt
    context.time_base = base
    context.thread_count = THREADS
    context.flags |= Flags.bitexact.value
    context.color_primaries, context.color_trc = tags.primaries, tags.transfer
    context.colorspace, context.color_range = tags.matrix, tags.range
    context.sample_aspect_ratio = Fraction(1)
    if how.codec_tag:
        context.codec_tag = how.codec_tag
    stream.time_base = base
    return stream
