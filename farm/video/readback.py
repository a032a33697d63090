"""Reading back what was written: it is held against what was meant, before anybody is told that it is there.

Every segment is decoded once, by itself. The film, which is made of their packets as they are, is read by packets: its
length then costs seconds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from farm.contract.errors import FilmMismatch, InvalidClip
from farm.contract.plan import FrameRange
from farm.contract.spec import Output
from farm.video.clock import film_times
from farm.video.encoder import film_profile
from farm.video.source import UNLIMITED, packets, pictures_of, reading
from farm.video.timeline import FrameIndex, Sound, SoundSpans, time_base

if TYPE_CHECKING:
    import av

_SOUND_SLACK_US = 100_000
_SOUND_SLACK_SAMPLES = 2 * 1024
"""Encoders pad sound to whole packets: AAC's are 1024 samples, 128 ms at 8 kHz, and it starts one or two early."""

OnBeat = Callable[[], None]


def check_segment(
    path: Path | str,
    source: FrameIndex,
    segment: FrameRange,
    output: Output,
    size_wh: tuple[int, int],
    *,
    on_beat: OnBeat = lambda: None,
) -> int:
    """Decode the segment at `path`; FilmMismatch at the first difference to what it should be.

    Compared: number of frames, every frame's time on the segment's own clock, size; and that it stands for itself.
    Returns how many places a frame is decoded late at the most: those ahead of it in decode order, and shown later.
    `on_beat()` is called at every packet.
    """
    found = _Packets()
    shown: list[Fraction] = []
    try:
        with reading(path, UNLIMITED) as (container, stream):
            base = time_base(stream)
            for packet in packets(container, stream):
                on_beat()
                found.add(packet)
                for frame in pictures_of(packet):
                    shown.append(Fraction(frame.pts if frame.pts is not None else -1) * base)
                    _check_size(path, (frame.width, frame.height), size_wh)
    except InvalidClip as error:
        raise _mismatch(path, f"it can't be read: {error}") from error
    _check_segment_times(path, shown, source, segment, output)
    if len(found.pts) != len(shown) or not found.keys[0]:
        raise _mismatch(path, f"it has {len(found.pts)} packets for {len(shown)} frames, or begins without a key frame")
    return found.reorder_frames


def read_back(
    path: Path | str,
    source: FrameIndex,
    size_wh: tuple[int, int] | None = None,
    *,
    left_out: Sequence[Sound] = (),
    on_beat: OnBeat = lambda: None,
) -> tuple[str, ...]:
    """Read the packets of the film at `path`, hold them against its clip's index; FilmMismatch at the first difference.

    Compared: number of frames, every frame's time, that decoders get them in order, size (where `size_wh` is given),
    start and end of each sound track but those `left_out` of the film. What differs of the sound alone is returned, for
    the artist: a painted film is not given up for it. `on_beat()` is called at every packet.
    """
    found, spans = _Packets(), SoundSpans()
    try:
        with reading(path, UNLIMITED) as (container, stream):
            size, tick_s = (stream.codec_context.width, stream.codec_context.height), time_base(stream)
            slack_us = _sound_slack_us(container.streams.audio)
            for packet in packets(container, stream, *container.streams.audio):
                on_beat()
                if packet.stream.index == stream.index:
                    found.add(packet)
                else:
                    spans.add(packet)
    except InvalidClip as error:
        raise _mismatch(path, f"it can't be read: {error}") from error
    if len(found.pts) != source.frame_count:
        raise _mismatch(path, f"it has {len(found.pts)} frames, the clip {source.frame_count}")
    if size_wh is not None:
        _check_size(path, size, size_wh)
    _check_order(path, found)
    _check_times(path, [pts * tick_s for pts in sorted(found.pts)], source, tick_s)
    return _sound_notices(spans.sound(), source, left_out, slack_us)


@dataclass
class _Packets:
    """A video stream's packets, in decode order."""

    pts: list[int] = field(default_factory=list)
    dts: list[int] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)

    def add(self, packet: av.Packet[Any]) -> None:
        if packet.size and packet.pts is not None:
            self.pts.append(packet.pts)
            self.dts.append(packet.pts if packet.dts is None else packet.dts)
            self.keys.append(packet.is_keyframe)

    @property
    def reorder_frames(self) -> int:
        shown = sorted(self.pts)
        return max(place - bisect_left(shown, pts) for place, pts in enumerate(self.pts))


def _check_segment_times(
    path: Path | str, shown: Sequence[Fraction], source: FrameIndex, segment: FrameRange, output: Output
) -> None:
    how = film_profile(source, output)
    times = film_times(source, how.container.time_base(source.seconds_per_tick), segment)
    wanted = [(pts - times.pts[0]) * times.base for pts in times.pts]
    if len(shown) != len(wanted):
        raise _mismatch(path, f"it has {len(shown)} frames, not {len(wanted)}")
    for number, (got_s, wanted_s) in enumerate(zip(shown, wanted, strict=True), start=segment.start):
        if got_s != wanted_s:
            raise _mismatch(path, f"frame {number} is shown at {float(got_s):.6f} s, not at {float(wanted_s):.6f} s")


def _check_size(path: Path | str, got: tuple[int, int], wanted: tuple[int, int]) -> None:
    if got != wanted:
        raise _mismatch(path, f"it is {got[0]}×{got[1]}, not {wanted[0]}×{wanted[1]}")


def _check_order(path: Path | str, found: _Packets) -> None:
    for place, (before, after) in enumerate(pairwise(found.dts), start=1):
        if after <= before:
            raise _mismatch(path, f"packet {place} is to be decoded at {after}, the one before at {before}")
    for place, (dts, pts) in enumerate(zip(found.dts, found.pts, strict=True)):
        if dts > pts:
            raise _mismatch(path, f"packet {place} is shown at {pts}, before it is decoded at {dts}")


def _check_times(path: Path | str, shown: Sequence[Fraction], source: FrameIndex, tick_s: Fraction) -> None:
    before_s: Fraction | None = None
    for number, (got_s, wanted) in enumerate(zip(shown, source.film_pts, strict=True)):
        wanted_s = wanted * source.seconds_per_tick
        if got_s != wanted_s and not _is_rounded(got_s, wanted_s, tick_s, before_s):
            raise _mismatch(
                path, f"frame {number} is shown at {float(got_s):.6f} s, in the clip at {float(wanted_s):.6f} s"
            )
        before_s = got_s


def _is_rounded(got_s: Fraction, wanted_s: Fraction, tick_s: Fraction, before_s: Fraction | None) -> bool:
    """Whether a container that can't hold the clip's ticks holds the nearest of its own, or the next that is free."""
    nearest = (wanted_s / tick_s).denominator != 1 and abs(got_s - wanted_s) <= tick_s / 2
    return nearest or (before_s is not None and before_s >= wanted_s - tick_s / 2 and got_s == before_s + tick_s)


def _sound_slack_us(streams: Sequence[av.AudioStream]) -> int:
    rates = [stream.codec_context.sample_rate for stream in streams if stream.codec_context is not None]
    return max([_SOUND_SLACK_US, *(_SOUND_SLACK_SAMPLES * 1_000_000 // rate for rate in rates if rate)])


def _sound_notices(
    found: Sequence[Sound], source: FrameIndex, left_out: Sequence[Sound], slack_us: int
) -> tuple[str, ...]:
    kept = list(source.sound)
    for sound in left_out:
        if sound in kept:
            kept.remove(sound)
    if len(found) != len(kept):
        without = f", {len(left_out)} of them left out" if left_out else ""
        return (f"the film has {len(found)} sound tracks, the clip {len(source.sound)}{without}",)
    shift_us = round(source.origin * source.seconds_per_tick * 1_000_000)
    return tuple(
        f"sound track {number} {what} at {got_us / 1e6:.3f} s, in the clip at {(wanted_us - shift_us) / 1e6:.3f} s"
        for number, (got, wanted) in enumerate(zip(found, kept, strict=True))
        for what, got_us, wanted_us in (
            ("starts", got.start_us, wanted.start_us),
            ("ends", got.stop_us, wanted.stop_us),
        )
        if abs(got_us - (wanted_us - shift_us)) > slack_us
    )


def _mismatch(path: Path | str, why: str) -> FilmMismatch:
    return FilmMismatch(f"{path} is not what was written: {why}; assemble the job again", path=str(path))
