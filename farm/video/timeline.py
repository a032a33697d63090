"""The frame index: when each decoded frame is shown, found by decoding the whole clip once.

Containers lie about counts and rates (edit lists, open GOPs, missing PTS); what the decoder gives is what counts.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, cast

import numpy as np

from farm.contract.codec import LATER, sha256_hex, to_json
from farm.contract.errors import InvalidClip
from farm.contract.excerpt import Excerpt
from farm.video.color import ColorTags, tags_of
from farm.video.geometry import Orientation, orientation_of
from farm.video.picture import Converter
from farm.video.source import LIMITS, UNLIMITED, Beat, Limits, packets, pictures_of, reading
from farm.video.stamps import Stamps
from farm.video.wanted import KEYFRAMES_BEFORE, Wanted, first_packet, outside

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

INDEX_VERSION = 1
WATCH_PX = 256
"""Longer side of the pictures an `on_frame` watcher sees."""
_MIN_RATE, _MAX_RATE = Fraction(1, 1000), 1000
_MAX_START_S = 60
"""A clip that starts later than this has an arbitrary clock (a recorded broadcast): the film starts at 0 instead."""

INTERLEAVED_US = 10_000_000
"""No packet comes after one of its own track that is so much later."""

Watcher = Callable[[int, "NDArray[np.uint8]"], None]


@dataclass(frozen=True, slots=True)
class Sound:
    """When a sound track is heard, in microseconds of the clip's clock."""

    codec: str
    start_us: int
    stop_us: int


@dataclass(frozen=True, slots=True)
class Part:
    """Where an excerpt lies in its clip."""

    frames_before: int  # those decoded before it: in a clip without PTS, all of them, as frames are counted there
    start_us: int  # of its first frame, on the clip's clock
    stop_us: int | None  # of the first frame after it; None: the excerpt goes to the clip's end

    def holds(self, packet: av.Packet[Any]) -> bool:
        """Whether a packet of sound or subtitles begins in it; not, where it has no time."""
        if packet.pts is None:
            return False
        at_us = _microseconds(packet)
        return self.start_us <= at_us and (self.stop_us is None or at_us < self.stop_us)

    def reach(self, packets: Iterable[av.Packet[Any]], streams: Sequence[Stream]) -> Iterator[av.Packet[Any]]:
        """`packets`, of these streams, until each has left the part for good: what comes later is not in it."""
        within = {stream.index for stream in streams}
        for packet in packets:
            yield packet
            if self.stop_us is None or packet.pts is None or _microseconds(packet) < self.stop_us + INTERLEAVED_US:
                continue
            within.discard(packet.stream.index)
            if not within:
                return


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Every decoded frame of a clip, or of a part of it, in presentation order."""

    VERSION: ClassVar[int] = INDEX_VERSION

    time_base: tuple[int, int]  # seconds per tick, as a fraction
    pts: tuple[int, ...]  # ticks, strictly increasing
    last_duration: int  # ticks the last frame is shown
    checksums: tuple[int, ...]  # CRC-32 of each decoded luma plane
    keyframe_pts: tuple[int, ...]
    seekable: bool  # False: PTS were missing or out of order, and frames are found by counting
    width: int  # as shown: turned, with square pixels
    height: int
    coded_width: int
    coded_height: int
    pixel_aspect: tuple[int, int]
    orientation: Orientation
    color: ColorTags
    average_rate: tuple[int, int]
    sound: tuple[Sound, ...]
    origin: int = 0  # the clip's PTS that is the film's 0
    version: int = INDEX_VERSION
    part: Part | None = field(default=None, metadata=LATER)  # None: the whole clip

    @property
    def frame_count(self) -> int:
        """How many frames there are to paint."""
        return len(self.pts)

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON."""
        return sha256_hex(to_json(self))

    @property
    def seconds_per_tick(self) -> Fraction:
        """The time base as a Fraction."""
        return Fraction(*self.time_base)

    @property
    def film_pts(self) -> tuple[int, ...]:
        """The film's PTS: the clip's, unless its clock starts at an arbitrary time."""
        return tuple(pts - self.origin for pts in self.pts)

    @property
    def durations(self) -> tuple[int, ...]:
        """Ticks each frame is shown."""
        return (*(after - pts for pts, after in zip(self.pts, self.pts[1:], strict=False)), self.last_duration)

    @property
    def duration_s(self) -> float:
        """Seconds from the first frame to the end of the last."""
        return float((self.pts[-1] + self.last_duration - self.pts[0]) * self.seconds_per_tick)


@dataclass
class _Track:
    """What indexing has seen so far."""

    wanted: Wanted
    first_packet: int = 0  # where decoding began
    frames_before: int = 0
    keyframes_before: int = 0
    next_pts: int | None = None  # of the first frame after those wanted
    pts: list[int] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    keyframe_pts: list[int] = field(default_factory=list)
    seekable: bool = True
    last_duration: int = 0
    first: VideoFrame | None = None
    latest: int | None = None  # PTS

    @property
    def astray(self) -> bool:
        """Whether decoding began amid the clip, and the decoder met too few keyframes before the first frame wanted:
        containers may call any packet a keyframe.
        """
        return self.first_packet > 0 and len(self.pts) == 1 and self.keyframes_before < KEYFRAMES_BEFORE - 1

    @property
    def done(self) -> bool:
        """Whether a frame after those wanted has come."""
        return self.next_pts is not None

    def add(self, frame: VideoFrame, nominal: int) -> bool:
        """The next frame; whether it is wanted."""
        pts, previous = frame.pts, self.latest
        if pts is None:
            pts, self.seekable = (0 if previous is None else previous + nominal), False
        if previous is not None and pts <= previous:
            pts, self.seekable = previous + 1, False
        self.latest = pts
        if self.wanted.is_after(pts):
            self.next_pts = pts
            return False
        if frame.key_frame:
            self.keyframe_pts.append(pts)
        if self.wanted.is_before(pts):
            self.frames_before += 1
            self.keyframes_before += frame.key_frame
            return False
        if self.first is None:
            self.first = frame
        self.pts.append(pts)
        self.checksums.append(checksum(frame))
        self.last_duration = frame.duration or 0
        return True


def index(
    path: Path | str,
    on_frame: Watcher | None = None,
    *,
    excerpt: Excerpt | None = None,
    limits: Limits = LIMITS,
    on_beat: Beat = lambda: None,
) -> FrameIndex:
    """Decode the whole clip once and note when each frame is shown; of an excerpt, the clip from a little before it.

    `on_frame(number, image)` sees every frame, (h, w, 3) uint8 BGR, longer side at most 256 px, so that scene cuts
    are found in the same pass. `on_beat()` is called at every packet. InvalidClip where there is no frame, and where
    the clip's clock starts again.
    """
    first = 0 if excerpt is None else _first_packet(path, excerpt, limits, on_beat)
    try:
        found, track = _walked(path, on_frame, excerpt, first, limits, on_beat)
    except _NoKeyframe:
        found, track = _walked(path, on_frame, excerpt, 0, limits, on_beat)
    if track.first_packet and not track.seekable:
        found, track = _counted(path, found, excerpt, limits, on_beat)
    return found if excerpt is None else _as_part(found, track, path, limits, on_beat)


def _first_packet(path: Path | str, excerpt: Excerpt, limits: Limits, on_beat: Beat) -> int:
    with reading(path, limits) as (container, stream):
        return first_packet(container, stream, Wanted(excerpt, container, time_base(stream)), on_beat)


def _walked(
    path: Path | str, on_frame: Watcher | None, excerpt: Excerpt | None, first: int, limits: Limits, on_beat: Beat
) -> tuple[FrameIndex, _Track]:
    """The clip decoded from its packet `first` on; _NoKeyframe where that was none, though the container said so."""
    with reading(path, limits) as (container, stream):
        nominal, base = nominal_ticks(stream), time_base(stream)
        track = _Track(Wanted(excerpt, container, base), first_packet=first)
        spans, stamps, watch, number = SoundSpans(), Stamps(path, base), _watching(on_frame), -1
        for packet in packets(container, stream, *container.streams.audio):
            on_beat()
            if packet.stream.index != stream.index:
                spans.add(packet)
                continue
            number += 1
            for frame in pictures_of(packet) if number >= first else ():
                stamps.add(frame.pts)
                if track.add(frame, nominal):
                    if track.astray:
                        raise _NoKeyframe
                    watch(len(track.pts) - 1, frame)
                _check_limits(path, track, base, limits)
            if track.done:
                break
        if track.first is None:
            raise _NoKeyframe if first else _without_frames(path, track)
        return _frame_index(container, stream, track, spans.sound()), track


def _counted(
    path: Path | str, found: FrameIndex, excerpt: Excerpt | None, limits: Limits, on_beat: Beat
) -> tuple[FrameIndex, _Track]:
    """An excerpt whose packets have PTS, but not its frames: they are counted, from the clip's start on."""
    whole, track = _walked(path, None, excerpt, 0, limits, on_beat)
    if whole.checksums != found.checksums:
        raise InvalidClip(f"{path}: its frames have no clear times; export it again", path=str(path))
    return whole, track


def _without_frames(path: Path | str, track: _Track) -> InvalidClip:
    excerpt, latest = track.wanted.excerpt, track.latest
    if excerpt is None or latest is None:
        return InvalidClip(f"{path} has no frame that can be decoded; export it again", path=str(path))
    return outside(path, excerpt, "the next one" if track.done else "its last one", track.wanted.at_ms(latest))


def _as_part(whole: FrameIndex, track: _Track, path: Path | str, limits: Limits, on_beat: Beat) -> FrameIndex:
    """`whole`, of the frames wanted, as that of a part of its clip: a film of it begins with its first frame."""
    first, after, tick_s = track.pts[0], track.next_pts, whole.seconds_per_tick
    stop_us = None if after is None else math.floor(after * tick_s * 1_000_000)
    part = Part(track.frames_before, math.floor(first * tick_s * 1_000_000), stop_us)
    last = whole.last_duration if after is None else after - track.pts[-1]
    return replace(whole, last_duration=last, origin=first, part=part, sound=_sound_of(path, part, limits, on_beat))


def _sound_of(path: Path | str, part: Part, limits: Limits, on_beat: Beat) -> tuple[Sound, ...]:
    spans = SoundSpans(part)
    with reading(path, limits) as (container, _):
        streams = container.streams.audio
        for packet in part.reach(packets(container, *streams), streams) if streams else ():
            on_beat()
            spans.add(packet)
    return spans.sound()


def planned_limits(index: FrameIndex) -> Limits:
    """What decoding an indexed clip may take. Sizes change within some streams: up to four times the first frame's."""
    pixels = max(4 * index.coded_width * index.coded_height, 2**20)
    return Limits(pixels, UNLIMITED.frames, UNLIMITED.duration_s)


def checksum(frame: VideoFrame) -> int:
    """CRC-32 of the first plane's pixels, without the padding at the lines' ends."""
    plane = frame.planes[0]
    data: Any = plane
    lines = np.frombuffer(data, np.uint8).reshape(-1, abs(plane.line_size))[: frame.height]
    bits = frame.format.components[0].bits
    pixel_bytes = max(1, plane.line_size // max(1, plane.width)) if frame.format.is_rgb else 1 + (bits > 8)
    return zlib.crc32(np.ascontiguousarray(lines[:, : frame.width * pixel_bytes]).data)


def nominal_ticks(stream: VideoStream) -> int:
    """One frame's ticks at the stream's average rate; at least 1."""
    rate = average_rate(stream)
    return max(1, round(1 / rate / time_base(stream)))


def average_rate(stream: VideoStream) -> Fraction:
    """Frames a second, as the container has it; 25 where it does not say or says nonsense."""
    rates = (stream.average_rate, stream.guessed_rate)
    return next((rate for rate in rates if rate and _MIN_RATE <= rate <= _MAX_RATE), Fraction(25))


def time_base(stream: VideoStream) -> Fraction:
    """Seconds per tick."""
    return stream.time_base or Fraction(1, 1000)


def _microseconds(packet: av.Packet[Any]) -> Fraction:
    """When a packet that has a time is presented."""
    return cast("int", packet.pts) * packet.time_base * 1_000_000


class _NoKeyframe(Exception):
    """Decoding began where no frame can be decoded by itself."""


class SoundSpans:
    """First and last moment of each sound track, or of what `part` has of it."""

    def __init__(self, part: Part | None = None) -> None:
        self._part = part
        self._spans: dict[int, tuple[str, Fraction, Fraction]] = {}

    def add(self, packet: av.Packet[Any]) -> None:
        """A sound packet."""
        stream = packet.stream
        if packet.pts is None or packet.size == 0 or stream.codec_context is None:
            return
        if self._part is not None and not self._part.holds(packet):
            return
        start = packet.pts * packet.time_base
        stop = start + (packet.duration or 0) * packet.time_base
        _, low, high = self._spans.get(stream.index, ("", start, stop))
        self._spans[stream.index] = (stream.codec_context.name, min(low, start), max(high, stop))

    def sound(self) -> tuple[Sound, ...]:
        """All tracks of which there were packets, in the file's order."""
        return tuple(
            Sound(codec, round(low * 1_000_000), round(high * 1_000_000))
            for _, (codec, low, high) in sorted(self._spans.items())
        )


def _watching(on_frame: Watcher | None) -> Callable[[int, VideoFrame], None]:
    if on_frame is None:
        return lambda _number, _frame: None
    watcher, converter = on_frame, Converter()
    size: tuple[int, int] | None = None  # of the first one: sizes change within some streams, what is compared must not

    def watch(number: int, frame: VideoFrame) -> None:
        nonlocal size
        if size is None:
            scale = min(1.0, WATCH_PX / max(frame.width, frame.height))
            size = (max(2, round(frame.width * scale)), max(2, round(frame.height * scale)))
        watcher(number, converter.small_bgr(frame, size))

    return watch


def _check_limits(path: Path | str, track: _Track, base: Fraction, limits: Limits) -> None:
    if track.frames_before + len(track.pts) > limits.frames:
        raise InvalidClip(f"{path} has more than {limits.frames} frames; cut it", path=str(path))
    if track.pts and (track.pts[-1] - track.pts[0]) * base > limits.duration_s:
        raise InvalidClip(f"{path} is longer than {limits.duration_s:.0f} s; cut it", path=str(path))


def _frame_index(container: InputContainer, stream: VideoStream, track: _Track, sound: tuple[Sound, ...]) -> FrameIndex:
    frame, base, nominal = cast("VideoFrame", track.first), time_base(stream), nominal_ticks(stream)
    orientation = orientation_of(frame)
    aspect = pixel_aspect(stream)
    width, height = shown_size(frame, aspect, orientation)
    rate = average_rate(stream)
    last = track.last_duration
    if last <= 0:
        last = track.pts[-1] - track.pts[-2] if len(track.pts) > 1 else nominal
    return FrameIndex(
        time_base=(base.numerator, base.denominator),
        pts=tuple(track.pts),
        last_duration=last,
        checksums=tuple(track.checksums),
        keyframe_pts=tuple(track.keyframe_pts),
        seekable=track.seekable,
        width=width,
        height=height,
        coded_width=frame.width,
        coded_height=frame.height,
        pixel_aspect=(aspect.numerator, aspect.denominator),
        orientation=orientation,
        color=tags_of(frame),
        average_rate=(rate.numerator, rate.denominator),
        sound=sound,
        origin=_origin(container, track.pts[0], base),
    )


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Width of a pixel over its height; 1 where the clip does not say or says nonsense."""
    aspect = stream.sample_aspect_ratio
    return aspect if aspect and Fraction(1, 16) <= aspect <= 16 else Fraction(1)


def shown_size(frame: VideoFrame, aspect: Fraction, orientation: Orientation) -> tuple[int, int]:
    """(width, height) a player shows: square pixels, turned."""
    return orientation.size(max(1, round(frame.width * aspect)), frame.height)


def _origin(container: InputContainer, first_pts: int, base: Fraction) -> int:
    first_s = first_pts * base
    if 0 <= first_s <= _MAX_START_S:
        return 0
    start_s = Fraction(container.start_time or 0, 1_000_000)
    return math.floor(min(start_s, first_s) / base)
