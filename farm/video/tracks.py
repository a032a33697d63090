"""Sound and subtitles of the clip on their way to the film.

Copied packet by packet where the film's container can hold them, encoded anew where it can't, left out only where
neither works; the last two with a notice for the artist. Each way is tried in a throw-away film first: the real one
keeps a stream once it has it, and one that its container or encoder refuses would cost the whole film.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

import av
import av.error
from av.codec.context import Flags
from av.format import Flags as FormatFlags
from av.subtitles.subtitle import SubtitleSet

from farm.video.faults import is_machine_fault
from farm.video.source import packets
from farm.video.timeline import Part, Sound, SoundSpans

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.stream import Stream

    from farm.video.profiles import Container

    Packet = av.Packet[Any]

_MAY_COINCIDE = cast("int", FormatFlags.ts_nonstrict.value)
_TEXT_TITLES = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "text", "mov_text"})
_BIT_RATE_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}
"""By number of channels, what every encoder of ours and every player knows; all others become stereo."""
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

    lost: int
    """Packets that could not be kept: broken, without a time, or out of order."""

    def feed(self, packet: Packet) -> list[Packet]:
        """The film's packets that this one completes."""

    def flush(self) -> list[Packet]:
        """What is still held back at the end."""


class CopiedTrack:
    """Packets as they are, on the film's clock; those a damaged clip gives out of order are left out, and counted.

    `may_coincide`: whether the film takes two packets of one instant: subtitles, sound in less than the clock's tick.
    """

    def __init__(self, stream: Stream, shift_s: Fraction, *, may_coincide: bool) -> None:
        self._stream, self._shift_s, self._may_coincide = stream, shift_s, may_coincide
        self._last_dts: int | None = None
        self.lost = 0

    def feed(self, packet: Packet) -> list[Packet]:
        """The packet itself; also the priming packets before a sound's first moment, which the decoder needs."""
        if packet.pts is None:
            self.lost += 1
            return []
        shift = round(self._shift_s / packet.time_base)
        packet.pts -= shift
        packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        if packet.dts > packet.pts or not self._is_next(packet.dts):
            self.lost += 1
            return []
        self._last_dts = packet.dts
        packet.stream = self._stream
        return [packet]

    def flush(self) -> list[Packet]:
        """Nothing is held back."""
        return []

    def _is_next(self, dts: int) -> bool:
        last = self._last_dts
        return last is None or dts > last or (dts == last and self._may_coincide)


class EncodedSound:
    """Sound decoded and encoded anew."""

    def __init__(self, stream: Any, shift_s: Fraction) -> None:
        self._stream, self._shift_s = stream, shift_s
        context = stream.codec_context
        self._resampler = av.AudioResampler(
            format=context.format, layout=context.layout, rate=context.sample_rate, frame_size=_frame_samples(context)
        )
        self.lost = 0

    def feed(self, packet: Packet) -> list[Packet]:
        """The packets that encoding the packet's sound completes."""
        try:
            frames = cast("list[av.AudioFrame]", packet.decode()) if packet.pts is not None else None
        except av.error.InvalidDataError:
            frames = None
        if frames is None:
            self.lost += 1
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
    """Text subtitles in the container's own text format; those of one instant are one, as MP4 shows one at a time."""

    def __init__(self, stream: Any, shift_s: Fraction) -> None:
        self._stream, self._shift_s = stream, shift_s
        self._texts: list[bytes] = []  # of the one that is held back
        self._pts, self._duration, self._time_base = 0, 0, Fraction(1)
        self.lost = 0

    def feed(self, packet: Packet) -> list[Packet]:
        """The text before this packet's, encoded, once this one is of a later time."""
        if packet.pts is None:
            self.lost += 1
            return []
        texts = _texts(packet) if packet.size else []
        if not texts:
            return []
        done = [] if packet.pts == self._pts else self.flush()
        self._texts += texts
        self._pts, self._time_base = packet.pts, packet.time_base
        self._duration = max(self._duration, packet.duration or 0)
        return done

    def flush(self) -> list[Packet]:
        """The last text."""
        if not self._texts:
            return []
        text = b"0,0,Default,,0,0,0,," + rb"\N".join(self._texts)
        subtitle = SubtitleSet.create(text=text, start=0, end=self._duration, pts=self._pts)
        done = self._stream.codec_context.encode_subtitle(subtitle)
        done.stream, done.time_base = self._stream, self._time_base
        done.pts = done.dts = self._pts - round(self._shift_s / self._time_base)
        done.duration = self._duration
        self._texts, self._duration = [], 0
        return [done]


AddTrack = Callable[["OutputContainer"], Track]
"""One way of getting a track into a film."""


class Tracks:
    """All sound and subtitle tracks of a clip, pulled as the film's clock goes on; `on_beat` hears of each packet.

    Of a clip's `part` they have what begins in it, and subtitles that are on then.
    """

    def __init__(
        self,
        source: InputContainer,
        film: OutputContainer,
        container: Container,
        shift_s: Fraction,
        on_beat: Callable[[], None] = lambda: None,
        *,
        part: Part | None = None,
    ) -> None:
        self.notices: list[str] = []
        self._part = part
        self._on_beat = on_beat
        self._tracks: dict[int, Track] = {}
        for stream in source.streams:
            track = self._track(stream, film, container, shift_s)
            if track is not None:
                self._tracks[stream.index] = track
        wanted = [item for item in source.streams if item.index in self._tracks or item.type == "audio"]
        found = packets(source, *wanted) if wanted else iter(())
        self._packets = found if part is None else part.reach(found, wanted)
        self._waiting: list[Packet] = []
        self._left_out = SoundSpans(part)

    @property
    def left_out(self) -> tuple[Sound, ...]:
        """The clip's sound that is not in the film; complete after `rest`."""
        return self._left_out.sound()

    @property
    def lost(self) -> int:
        """Packets of the film's tracks that could not be kept."""
        return sum(track.lost for track in self._tracks.values())

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
            self._on_beat()
            if packet.stream.index not in self._tracks:
                self._left_out.add(packet)
            elif (packet.size or packet.pts is not None) and (self._part is None or _trimmed(packet, self._part)):
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
        if codec in (container.sounds if kind == "sound" else container.titles):
            copied, why = _tried(film, [partial(_copied, stream, shift_s)])
            if copied is not None:
                return copied
        if kind == "sound":
            track, why = _tried(film, _ways_to_encode_sound(stream, encoder, shift_s))
            why = f"no {encoder} can be made of it ({why})"
        elif codec in _TEXT_TITLES:
            track, why = _tried(film, [partial(_encoded_titles, stream, encoder, shift_s)])
        else:
            track, why = None, f"{container.format} can't hold it"
        if track is None:
            self.notices.append(f"{kind} track {stream.index} ({codec}) is left out: {why}")
        else:
            self.notices.append(f"{kind} track {stream.index} becomes {encoder}: {container.format} can't hold {codec}")
        return track


def _trimmed(packet: Packet, part: Part) -> bool:
    """Whether a part has the packet; a subtitle is made to begin and to end with the part."""
    if packet.stream.type != "subtitle" or packet.pts is None or not packet.duration:
        return part.holds(packet)
    tick_us = packet.time_base * 1_000_000
    start, stop = max(packet.pts, math.ceil(part.start_us / tick_us)), packet.pts + packet.duration
    if part.stop_us is not None:
        stop = min(stop, math.floor(part.stop_us / tick_us))
    packet.pts, packet.dts, packet.duration = start, start, stop - start
    return start < stop


def _tried(film: OutputContainer, ways: list[AddTrack]) -> tuple[Track | None, str]:
    """The track, added in the first way that a film like this one takes; or why it took none."""
    why = ""
    for way in ways:
        trial = av.open(io.BytesIO(), "w", format=film.format.name)
        try:
            way(trial)
            trial.start_encoding()
        except (av.error.FFmpegError, ValueError) as error:
            if isinstance(error, av.error.FFmpegError) and is_machine_fault(error):
                raise
            why = str(error)
        else:
            return way(film), ""
        finally:
            with suppress(av.error.FFmpegError):  # some containers take no end without a packet
                trial.close()
    return None, why


def _copied(stream: Stream, shift_s: Fraction, film: OutputContainer) -> Track:
    may_coincide = stream.type == "subtitle" or bool(film.format.flags & _MAY_COINCIDE)
    return CopiedTrack(_copied_stream(stream, film), shift_s, may_coincide=may_coincide)


def _copied_stream(stream: Stream, film: OutputContainer) -> Stream:
    copied = film.add_stream_from_template(stream, opaque=True)
    _carry(stream, copied)
    return copied


def _carry(stream: Stream, copied: Stream) -> None:
    for key in ("language", "title"):
        if key in stream.metadata:
            copied.metadata[key] = stream.metadata[key]
    copied.disposition = stream.disposition


def _ways_to_encode_sound(stream: Any, encoder: str, shift_s: Fraction) -> list[AddTrack]:
    """In the clip's own layout where it has one that players know, in the usual one of as many channels, in stereo.

    AVI and Matroska name no layout for PCM: it is "2 channels", which AAC's encoder refuses.
    """
    own = stream.codec_context.layout
    layouts = [_LAYOUTS.get(own.nb_channels, "stereo"), "stereo"]
    if own.nb_channels in _LAYOUTS and not own.name.endswith("channels"):
        layouts.insert(0, own.name)
    return [partial(_encoded_sound, stream, encoder, layout, shift_s) for layout in dict.fromkeys(layouts)]


def _encoded_sound(stream: Any, encoder: str, layout: str, shift_s: Fraction, film: OutputContainer) -> Track:
    source = stream.codec_context
    rates = av.Codec(encoder, "w").audio_rates
    rate = source.sample_rate if not rates or source.sample_rate in rates else 48_000
    sound = cast("av.AudioStream", film.add_stream(encoder, rate=rate))
    sound.codec_context.layout = layout
    sound.codec_context.time_base = Fraction(1, rate)
    sound.codec_context.flags |= Flags.bitexact.value
    if encoder == "aac":
        sound.codec_context.bit_rate = _BIT_RATE_PER_CHANNEL * sound.codec_context.layout.nb_channels
    sound.codec_context.open()
    _check_resampling(source, sound.codec_context)
    _carry(stream, sound)
    return EncodedSound(sound, shift_s)


def _check_resampling(source: Any, wanted: Any) -> None:
    """Raise what FFmpeg says where it can't make the encoder's sound of the clip's: not every layout can be mixed."""
    if source.format is not None:
        frame = av.AudioFrame(source.format, source.layout, samples=1024)
        frame.sample_rate = source.sample_rate
        av.AudioResampler(wanted.format, wanted.layout, wanted.sample_rate).resample(frame)


def _encoded_titles(stream: Any, encoder: str, shift_s: Fraction, film: OutputContainer) -> Track:
    titles = cast("Any", film.add_stream(encoder))
    source = stream.codec_context
    source.open(strict=False)
    titles.codec_context.subtitle_header = source.subtitle_header or _PLAIN_ASS_HEADER
    titles.codec_context.time_base = Fraction(1, 1000)
    titles.time_base = Fraction(1, 1000)
    _carry(stream, titles)
    return EncodedTitles(titles, shift_s)


def _texts(packet: Packet) -> list[bytes]:
    """The packet's texts, each the last field of an ASS event line.

    `ReadOrder,Layer,Style,Name,MarginL,MarginR,MarginV,Effect,Text`
    """
    try:
        events = packet.decode()
    except (av.error.FFmpegError, ValueError):
        return []
    lines = [event.ass for event in cast("list[Any]", events) if getattr(event, "ass", b"")]
    return [re.split(rb",", line, maxsplit=8)[-1] for line in lines]


def _frame_samples(context: Any) -> int | None:
    return context.frame_size or 1024


def _time_s(packet: Packet) -> Fraction:
    ticks = packet.dts if packet.dts is not None else packet.pts or 0
    return ticks * packet.time_base
