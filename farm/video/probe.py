"""What a clip is, found quickly, and whether it is whole: what is asked before anything is uploaded."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error

from farm.contract.errors import InvalidClip
from farm.contract.excerpt import Excerpt
from farm.video.color import ColorTags, tags_of
from farm.video.geometry import orientation_of, painted_size
from farm.video.source import LIMITS, Beat, Limits, decoded, packets, reading
from farm.video.stamps import Stamps
from farm.video.timeline import pixel_aspect, shown_size, time_base
from farm.video.wanted import Wanted, outside

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_STATES_DURATION = ("matroska", "flv", "asf")
_MAX_GOP_BYTES = 64 * 1024 * 1024
_MAX_GOP_FRAMES = 600
_MAX_GOP_PIXELS = 4 * 10**9
_TAIL_S = 1.0
"""A clip whose last packet ends this much before the duration its header states is cut short."""


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """A sound or subtitle track."""

    codec: str
    language: str | None
    channels: int = 0  # of sound
    rate_hz: int = 0


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a clip says of itself, and what its first frame shows."""

    path: str
    container: str
    codec: str
    width: int  # as shown: turned, with square pixels
    height: int
    rotation_deg: int  # clockwise, 0 90 180 270
    pixel_aspect: tuple[int, int]
    time_base: tuple[int, int]
    average_rate: tuple[int, int] | None
    duration_s: float
    declared_frames: int | None  # None: the container does not say
    color: ColorTags
    audio: tuple[TrackInfo, ...]
    subtitles: tuple[TrackInfo, ...]


def probe(path: Path | str, *, limits: Limits = LIMITS) -> VideoInfo:
    """Open the clip and decode its first frame; InvalidClip in one line where that does not go."""
    with reading(path, limits) as (container, stream):
        return _info(path, container, stream, _first_frame(path, container, stream))


def check(
    path: Path | str,
    size_px: int | None = None,
    excerpt: Excerpt | None = None,
    *,
    limits: Limits = LIMITS,
    on_beat: Beat = lambda: None,
) -> VideoInfo:
    """`probe`, then read every packet and decode the last GOP: InvalidClip where the clip can't be painted.

    That is where a film with a longer side of `size_px` (None: the clip's) would be too large, where the file is cut
    short, where it ends before the `excerpt` begins, and where its clock starts again. `on_beat()` is called at every
    packet and picture.
    """
    info = probe(path, limits=limits)
    painted_size(path, (info.width, info.height), size_px, limits.pixels)
    with reading(path, limits) as (container, stream):
        _check_index(path, container, stream)
        found = _read_packets(path, container, stream, on_beat)
        _check_packets(path, info, found, (container.duration or 0) / av.time_base)
        _check_reach(path, found, excerpt, Wanted(excerpt, container, time_base(stream)))
        _check_last_frames(path, stream, found.last_gop, on_beat)
        return info


def _first_frame(path: Path | str, container: InputContainer, stream: VideoStream) -> VideoFrame:
    frame = next(decoded(container, stream), None)
    if frame is None:
        raise InvalidClip(f"{path} has no frame that can be decoded; export it again", path=str(path))
    return frame


def _info(path: Path | str, container: InputContainer, stream: VideoStream, frame: VideoFrame) -> VideoInfo:
    aspect, orientation, base = pixel_aspect(stream), orientation_of(frame), time_base(stream)
    width, height = shown_size(frame, aspect, orientation)
    rate = stream.average_rate
    return VideoInfo(
        path=str(path),
        container=container.format.name,
        codec=stream.codec_context.codec.canonical_name,
        width=width,
        height=height,
        rotation_deg=orientation.rotation_deg,
        pixel_aspect=(aspect.numerator, aspect.denominator),
        time_base=(base.numerator, base.denominator),
        average_rate=(rate.numerator, rate.denominator) if rate else None,
        duration_s=_declared_s(container, stream),
        declared_frames=stream.frames or None,
        color=tags_of(frame),
        audio=tuple(_track(item) for item in container.streams.audio),
        subtitles=tuple(_track(item) for item in container.streams.subtitles),
    )


def _track(stream: Any) -> TrackInfo:
    context = stream.codec_context
    if context is None:
        return TrackInfo("unknown", stream.language)
    codec = context.codec.canonical_name
    if stream.type != "audio":
        return TrackInfo(codec, stream.language)
    return TrackInfo(codec, stream.language, context.layout.nb_channels, context.sample_rate)


def _declared_s(container: InputContainer, stream: VideoStream) -> float:
    if stream.duration:
        return float(stream.duration * time_base(stream))
    return (container.duration or 0) / av.time_base


def _check_index(path: Path | str, container: InputContainer, stream: VideoStream) -> None:
    """MP4 and MOV list where each frame lies: none may lie past the end of the file."""
    if not container.format.name.startswith("mov"):
        return
    size_bytes = container.size
    entries = [entry for entry in stream.index_entries if entry.size > 0]
    whole = sum(entry.pos + entry.size <= size_bytes for entry in entries)
    if whole < len(entries):
        raise _cut_short(path, f"{whole} of {max(stream.frames, len(entries))} frames are there")


@dataclass(frozen=True, slots=True)
class _Packets:
    """What reading every packet found."""

    count: int  # of the video stream
    corrupt: int
    stop_s: float  # end of the last packet of any stream
    shown: tuple[int, int] | None  # first and last PTS of the video stream; None where it has none
    last_gop: list[av.Packet[Any]]  # from the last keyframe on


def _read_packets(path: Path | str, container: InputContainer, stream: VideoStream, on_beat: Beat) -> _Packets:
    stamps = Stamps(path, time_base(stream))
    count, corrupt, held_bytes, stop_s = 0, 0, 0, Fraction(0)
    shown: tuple[int, int] | None = None
    last_gop: list[av.Packet[Any]] = []
    frame_pixels = max(1, stream.codec_context.width * stream.codec_context.height)
    max_frames = min(_MAX_GOP_FRAMES, max(2, _MAX_GOP_PIXELS // frame_pixels))
    for packet in packets(container):
        on_beat()
        if packet.pts is not None:
            stop_s = max(stop_s, (packet.pts + (packet.duration or 0)) * packet.time_base)
        if packet.stream.index != stream.index or (packet.size == 0 and packet.dts is None):
            continue
        stamps.add(packet.dts, packet.pts)
        count += 1
        corrupt += packet.is_corrupt
        if packet.pts is not None:
            first, last = shown or (packet.pts, packet.pts)
            shown = min(first, packet.pts), max(last, packet.pts)
        if packet.is_keyframe:
            last_gop, held_bytes = [], 0
        held_bytes += packet.size
        if held_bytes <= _MAX_GOP_BYTES and len(last_gop) < max_frames:
            last_gop.append(packet)
    return _Packets(count, corrupt, float(stop_s), shown, last_gop)


def _check_packets(path: Path | str, info: VideoInfo, found: _Packets, declared_s: float) -> None:
    """AVI states its number of frames, Matroska, FLV and ASF their duration: the packets must reach it."""
    if found.corrupt:
        raise _cut_short(path, f"{found.corrupt} of {found.count} frames are broken")
    declared = info.declared_frames or 0
    if info.container == "avi" and found.count < declared:
        raise _cut_short(path, f"{found.count} of {declared} frames are there")
    if info.container.startswith(_STATES_DURATION) and found.stop_s < declared_s - _TAIL_S:
        raise _cut_short(path, f"{found.stop_s:.1f} of {declared_s:.1f} s are there")


def _check_reach(path: Path | str, found: _Packets, excerpt: Excerpt | None, wanted: Wanted) -> None:
    """The plan has the last word: what a decoder gives is known then."""
    if excerpt is None or found.shown is None:
        return
    _first_ms, last_ms = map(wanted.at_ms, found.shown)
    if last_ms < excerpt.start_ms:
        raise outside(path, excerpt, "its last one", last_ms)


def _check_last_frames(path: Path | str, stream: VideoStream, last_gop: list[av.Packet[Any]], on_beat: Beat) -> None:
    stream.codec_context.flush_buffers()
    decoder = stream.codec_context
    try:
        frames = 0
        for packet in (*last_gop, None):
            on_beat()
            frames += len(decoder.decode(packet))
    except av.error.FFmpegError as error:
        raise _cut_short(path, f"its last frames can't be decoded ({error.strerror})") from error
    if frames == 0:
        raise _cut_short(path, "its last frames can't be decoded")


def _cut_short(path: Path | str, what: str) -> InvalidClip:
    return InvalidClip(f"{path} is cut short: {what}; export or download it again", path=str(path))
