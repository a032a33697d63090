"""Joining a film's segments: their packets are copied, none is encoded again, and the clip's sound and subtitles join.

A segment's clock starts at 0, so every packet is put on the film's clock (`clock`). The same segments give the same
bytes. The file appears under its name only when it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import av
import av.error

from farm.contract.codec import sha256_hex
from farm.contract.errors import FilmMismatch, SegmentsDiffer
from farm.contract.spec import Output
from farm.video.clock import decode_times, film_times, time_notices
from farm.video.encoder import film_file, film_profile
from farm.video.faults import is_machine_fault, writing_failed
from farm.video.profiles import Profile
from farm.video.source import UNLIMITED, opened, packets
from farm.video.timeline import FrameIndex, Sound, planned_limits
from farm.video.tracks import Tracks

if TYPE_CHECKING:
    from av.container import OutputContainer
    from av.video.stream import VideoStream

Closing = Callable[[int], AbstractContextManager[object]]
"""Makes what a film of so many bytes is closed within."""


@dataclass(frozen=True, slots=True)
class FilmInfo:
    """What was written."""

    frame_count: int
    width: int
    height: int
    size_bytes: int
    notices: tuple[str, ...]  # for the artist: what could not be kept as it was
    left_out: tuple[Sound, ...] = ()  # the clip's sound tracks that are not in the film


def join_segments(
    path: Path | str,
    segments: Iterable[Path],
    *,
    index: FrameIndex,
    source: Path | str,
    output: Output,
    reorder_frames: int,
    metadata: Mapping[str, str] | None = None,
    on_frame: Callable[[int], None] = lambda _count: None,
    on_beat: Callable[[], None] = lambda: None,
    closing: Closing = nullcontext,
) -> FilmInfo:
    """Write the film of the clip `source` with frame index `index` from all of its segments, in order.

    `reorder_frames`: the most that any segment decodes a frame late, as `check_segment` found it. Each segment is asked
    for when the one before is written. `on_frame(count)` hears of every frame, `on_beat()` of every packet of sound and
    subtitles, and neither of the film's closing, within `closing(size_bytes)`: there FFmpeg writes all of an MP4 once
    more, its index first. FilmMismatch where the segments are not of one film, or not all of it, SegmentsDiffer where
    they were not encoded alike; MachineFault where the disk is full or broken, or there is no memory left.
    """
    film = Path(path)
    part = film.with_name(film.name + ".part")
    how = film_profile(index, output)
    try:
        joint = _join(
            part, iter(segments), how, index, Path(source), reorder_frames, dict(metadata or {}), on_frame, on_beat,
            closing,
        )  # fmt: skip
        part.replace(film)
    except av.error.FFmpegError as error:
        what = f"{source} can't be made into {film.name}"
        raise writing_failed(error, what, part, output.codec, path=source) from error
    finally:
        part.unlink(missing_ok=True)
    return joint


def _join(
    part: Path,
    segments: Iterator[Path],
    how: Profile,
    index: FrameIndex,
    source: Path,
    reorder_frames: int,
    metadata: dict[str, str],
    on_frame: Callable[[int], None],
    on_beat: Callable[[], None],
    closing: Closing,
) -> FilmInfo:
    base = how.container.time_base(index.seconds_per_tick)
    first = next(segments, None)
    if first is None:
        raise FilmMismatch(f"no segments for the film of {source}; encode them first", frames=0)
    with ExitStack() as files:
        clip, _ = files.enter_context(opened(source, planned_limits(index)))
        film = files.enter_context(film_file(part, how, base))
        film.metadata.update(metadata)
        stream = _video_stream(film, first, how, Fraction(*index.average_rate), base)
        shift_s = index.origin * index.seconds_per_tick
        tracks = Tracks(clip, film, how.container, shift_s, on_beat, part=index.part)
        film.start_encoding()
        joint = _Joint(film, stream, tracks, index, base, reorder_frames, on_frame)
        for segment in chain((first,), segments):
            joint.add(segment)
        joint.finish()
        size_wh = stream.codec_context.width, stream.codec_context.height
        with closing(part.stat().st_size):
            film.close()
    notices = [*tracks.notices, *time_notices(index, base)]
    if index.color.wide:
        notices.append("the clip is HDR or BT.2020; the film is BT.709 in 8 bits, its highlights rolled off")
    if lost := tracks.lost + joint.lost:
        notices.append(f"{lost} packets of sound or subtitles are left out: broken or out of order")
    return FilmInfo(joint.count, *size_wh, part.stat().st_size, tuple(notices), tracks.left_out)


class _Joint:
    """Segments in; their packets, and those of sound and subtitles, out, interleaved by time."""

    def __init__(
        self,
        film: OutputContainer,
        stream: VideoStream,
        tracks: Tracks,
        index: FrameIndex,
        base: Fraction,
        reorder_frames: int,
        on_frame: Callable[[int], None],
    ) -> None:
        times = film_times(index, base)
        self._film, self._stream, self._tracks, self._base, self._on_frame = film, stream, tracks, base, on_frame
        self._pts, self._dts = times.pts, decode_times(times.pts, min(reorder_frames, len(times.pts) - 1))
        self._duration_at = dict(zip(times.pts, times.durations, strict=True))
        self._kind = _kind(stream)
        self.count = 0
        self.lost = 0  # packets of sound and subtitles that the film does not take

    def add(self, segment: Path) -> None:
        """Copy the next segment."""
        start = self.count
        with opened(segment, UNLIMITED) as (container, stream):
            if (kind := _kind(stream)) != self._kind:
                raise SegmentsDiffer(
                    f"the segment at frame {start} is {kind}, the first one {self._kind}: they can't be joined; "
                    "encode all of them with one release of the farm",
                    frames=start,
                )
            for packet in packets(container, stream):
                if packet.size:
                    self._add_packet(packet, start)

    def finish(self) -> None:
        """Write what is left of all tracks."""
        if self.count != len(self._pts):
            raise FilmMismatch(
                f"segments of {self.count} frames for a film of {len(self._pts)}; encode the missing ones",
                frames=self.count,
            )
        self._mux_tracks(self._tracks.rest())

    def _add_packet(self, packet: av.Packet[Any], start: int) -> None:
        if self.count == len(self._pts):
            raise FilmMismatch(
                f"more frames in the segments than the film's {len(self._pts)}; encode them again", frames=self.count
            )
        pts = self._pts[start] + round(cast("int", packet.pts) * packet.time_base / self._base)
        if pts not in self._duration_at:
            raise FilmMismatch(
                f"the segment at frame {start} shows a frame at {float(pts * self._base):.6f} s, the film none; "
                "encode it again",
                frames=self.count,
            )
        packet.stream, packet.time_base = self._stream, self._base
        packet.pts, packet.dts, packet.duration = pts, self._dts[self.count], self._duration_at[pts]
        self.count += 1
        self._mux_tracks(self._tracks.until(packet.dts * self._base))
        self._film.mux(packet)
        self._on_frame(self.count)

    def _mux_tracks(self, found: Iterator[av.Packet[Any]]) -> None:
        """A painted film is not given up for a broken sound packet."""
        for packet in found:
            try:
                self._film.mux(packet)
            except av.error.FFmpegError as error:
                if is_machine_fault(error):
                    raise
                self.lost += 1


def _video_stream(film: OutputContainer, segment: Path, how: Profile, rate: Fraction, base: Fraction) -> VideoStream:
    """A stream for packets like the segment's."""
    with opened(segment, UNLIMITED) as (_, template):
        stream = film.add_stream_from_template(template, opaque=True)
    context = stream.codec_context
    context.framerate = rate
    context.sample_aspect_ratio = Fraction(1)
    if how.codec_tag:
        context.codec_tag = how.codec_tag
    stream.time_base = base
    return stream


def _kind(stream: VideoStream) -> tuple[str, int, int, str | None, str]:
    """What must be the same in all segments; the codec's own header by its digest."""
    context = stream.codec_context
    header = sha256_hex(context.extradata or b"")[:12]
    return context.codec.canonical_name, context.width, context.height, context.pix_fmt, header
