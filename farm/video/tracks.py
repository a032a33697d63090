"""Sound and subtitles of the clip on their way to the film.

Copied packet by packet where the film's container can hold them, encoded anew where it can't, left out only where
neither works; the last two with a notice for the artist.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, cast

import av
import av.error
from av.codec.context import Flags
from av.subtitles.subtitle import SubtitleSet

from farm.video.source import packets

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

    from farm.video.profiles import Container

    Packet = av.Packet[Any]

_TEXT_TITLES = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "text", "mov_text"})
_BIT_RATE_PER_CHANNEL = 96_000
_PLAIN_ASS_HEADER = b"""[Script Info]
ScriptType: v4.00+
PlayResX: 384
PlayResY: 288

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


class Track(Protocol):
    """One track: packets of the clip in, packets of the film out."""

    def feed(self, packet: Packet) -> list[Packet]:
        """The film's packets that this one completes."""

    def flush(self) -> list[Packet]:
        """What is still held back at the end."""


class CopiedTrack:
    """Packets as they are, on the film's clock; those a damaged clip gives out of order are left out."""

    def __init__(self, stream: Stream, shift_s: Fraction) -> None:
        self._stream, self._shift_s = stream, shift_s
        self._last_dts: int | None = None

    def feed(self, packet: Packet) -> list[Packet]:
        """The packet itself; also the priming packets before a sound's first moment, which the decoder needs."""
        if packet.pts is None:
            return []
        shift = round(self._shift_s / packet.time_base)
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        if packet.dts > packet.pts or (self._last_dts is not None and packet.dts <= self._last_dts):
            return []
        self._last_dts = packet.dts
        packet.stream = self._stream
        return [packet]

    def flush(self) -> list[Packet]:
        """Nothing is held back."""
        return []


class EncodedSound:
    """Sound decoded and encoded anew."""

    def __init__(self, stream: Any, shift_s: Fraction) -> None:
        self._stream, self._shift_s = stream, shift_s
        context = stream.codec_context
        self._resampler = av.AudioResampler(
            format=context.format, layout=context.layout, rate=context.sample_rate, frame_size=_frame_samples(context)
        )

    def feed(self, packet: Packet) -> list[Packet]:
        """The packets that encoding the packet's sound completes."""
        if packet.pts is None:
            return []
        try:
            frames = cast("list[av.AudioFrame]", packet.decode())
        except av.error.InvalidDataError:
            return []
        return [done for frame in frames for done in self._encoded(frame)]

    def flush(self) -> list[Packet]:
        """The rest of the sound."""
        return [*self._encoded(None), *self._stream.encode(None)]

    def _encoded(self, frame: av.AudioFrame | None) -> list[Packet]:
        if frame is not None and frame.pts is not None and frame.time_base:
            frame.pts -= round(self._shift_s / frame.time_base)
        return [packet for piece in self._resampler.resample(frame) for packet in self._stream.encode(piece)]


class EncodedTitles:
    """Text subtitles in the container's own text format."""

    def __init__(self, stream: Any, shift_s: Fraction) -> None:
        self._stream, self._shift_s = stream, shift_s

    def feed(self, packet: Packet) -> list[Packet]:
        """The packet's text, encoded; none where it has none."""
        if packet.pts is None or packet.size == 0:
            return []
        text = _ass_text(packet)
        if not text:
            return []
        time_base = packet.time_base
        subtitle = SubtitleSet.create(text=text, start=0, end=packet.duration or 0, pts=packet.pts)
        done = self._stream.codec_context.encode_subtitle(subtitle)
        done.stream, done.time_base = self._stream, time_base
        done.pts = done.dts = packet.pts - round(self._shift_s / time_base)
        done.duration = packet.duration or 0
        return [done]

    def flush(self) -> list[Packet]:
        """Nothing is held back."""
        return []


class Tracks:
    """All sound and subtitle tracks of a clip, pulled as the film's clock goes on."""

    def __init__(self, source: InputContainer, film: OutputContainer, container: Container, shift_s: Fraction) -> None:
        self.notices: list[str] = []
        self._tracks: dict[int, Track] = {}
        for stream in source.streams:
            track = self._track(stream, film, container, shift_s)
            if track is not None:
                self._tracks[stream.index] = track
        streams = [stream for stream in source.streams if stream.index in self._tracks]
        self._packets = packets(source, *streams) if streams else iter(())
        self._waiting: list[Packet] = []

    def until(self, time_s: Fraction) -> Iterator[Packet]:
        """The film's packets due up to `time_s`, in order of time."""
        while True:
            while self._waiting:
                if _time_s(self._waiting[0]) > time_s:
                    return
                yield self._waiting.pop(0)
            packet = next(self._packets, None)
            if packet is None:
                return
            if packet.size or packet.pts is not None:
                self._waiting += self._tracks[packet.stream.index].feed(packet)

    def rest(self) -> Iterator[Packet]:
        """Everything that is left."""
        yield from self.until(Fraction(10**12))
        for track in self._tracks.values():
            yield from track.flush()

    def _track(self, stream: Stream, film: OutputContainer, container: Container, shift_s: Fraction) -> Track | None:
        if stream.type not in ("audio", "subtitle"):
            return None
        kind = "sound" if stream.type == "audio" else "subtitles"
        if stream.codec_context is None:
            self.notices.append(f"{kind} track {stream.index} is left out: this build can't read its codec")
            return None
        codec = stream.codec_context.codec.canonical_name
        encoder = container.sound_encoder if kind == "sound" else container.title_encoder
        try:
            if codec in (container.sounds if kind == "sound" else container.titles):
                return CopiedTrack(_copied_stream(stream, film), shift_s)
            track = _encoded_sound(stream, film, encoder, shift_s) if kind == "sound" else None
            if kind == "subtitles" and codec in _TEXT_TITLES:
                track = _encoded_titles(stream, film, encoder, shift_s)
        except (av.error.FFmpegError, ValueError) as error:
            self.notices.append(f"{kind} track {stream.index} ({codec}) is left out: {error}")
            return None
        if track is None:
            self.notices.append(f"{kind} track {stream.index} ({codec}) is left out: {container.format} can't hold it")
            return None
        self.notices.append(f"{kind} track {stream.index} becomes {encoder}: {container.format} can't hold {codec}")
        return track


def _copied_stream(stream: Stream, film: OutputContainer) -> Stream:
    copied = film.add_stream_from_template(stream, opaque=True)
    _carry(stream, copied)
    return copied


def _carry(stream: Stream, copied: Stream) -> None:
    for key in ("language", "title"):
        if key in stream.metadata:
            copied.metadata[key] = stream.metadata[key]
    copied.disposition = stream.disposition


def _encoded_sound(stream: Any, film: OutputContainer, encoder: str, shift_s: Fraction) -> Track:
    source = stream.codec_context
    rates = av.Codec(encoder, "w").audio_rates
    rate = source.sample_rate if not rates or source.sample_rate in rates else 48_000
    sound = cast("av.AudioStream", film.add_stream(encoder, rate=rate))
    sound.codec_context.layout = source.layout if source.layout.nb_channels in (1, 2, 6, 8) else "stereo"
    sound.codec_context.time_base = Fraction(1, rate)
    sound.codec_context.flags |= Flags.bitexact.value
    if encoder == "aac":
        sound.codec_context.bit_rate = _BIT_RATE_PER_CHANNEL * sound.codec_context.layout.nb_channels
    sound.codec_context.open()
    _carry(stream, sound)
    return EncodedSound(sound, shift_s)


def _encoded_titles(stream: Any, film: OutputContainer, encoder: str, shift_s: Fraction) -> Track:
    titles = cast("Any", film.add_stream(encoder))
    source = stream.codec_context
    source.open(strict=False)
    titles.codec_context.subtitle_header = source.subtitle_header or _PLAIN_ASS_HEADER
    titles.codec_context.time_base = Fraction(1, 1000)
    titles.time_base = Fraction(1, 1000)
    _carry(stream, titles)
    return EncodedTitles(titles, shift_s)


def _ass_text(packet: Packet) -> bytes:
    """The packet's text as one ASS event line: `ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text`."""
    try:
        events = packet.decode()
    except (av.error.FFmpegError, ValueError):
        return b""
    lines = [event.ass for event in cast("list[Any]", events) if getattr(event, "ass", b"")]
    texts = [re.split(rb",", line, maxsplit=8)[-1] for line in lines]
    return b"0,0,Default,,0,0,0,," + rb"\N".join(texts) if texts else b""


def _frame_samples(context: Any) -> int | None:
    return context.frame_size or 1024


def _time_s(packet: Packet) -> Fraction:
    ticks = packet.dts if packet.dts is not None else packet.pts or 0
    return ticks * packet.time_base
