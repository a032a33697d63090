"""How each codec is written: encoder, pixel format, options, container, and what that container can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import av
import av.codec

from farm.contract.spec import Codec, Output
from farm.video.color import FULL, RGB, ColorTags

THREADS = 4
"""Encoder threads. Fixed: x264 and x265 write other bytes with another number of threads."""

_GOP_S = 2
_MIN_B_FRAMES = 8
"""x265 gives films shorter than its reordering delay (2 frames) an uninitialised DTS; far below this, no B-frames.
A film's segments are longer (`farm.segments`), where there is more than one."""
_COPIED_MP4 = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac", "mp2", "dts"})
_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le", "pcm_u8"})
_TITLES_MKV = frozenset({"subrip", "ass", "ssa", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"})


@dataclass(frozen=True, slots=True)
class Container:
    """A file format and the tracks it holds as they are."""

    format: str
    sounds: frozenset[str]  # codecs copied
    sound_encoder: str  # for all others
    titles: frozenset[str]
    title_encoder: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def holds_ticks(self) -> bool:
        """Whether it keeps the clip's time base; Matroska, as FFmpeg writes it, counts milliseconds."""
        return self.format != "matroska"

    def time_base(self, own: Fraction) -> Fraction:
        """The time base a film with the clip's is written in: one in which every tick is whole, where it can be."""
        return Fraction(1, own.denominator) if self.holds_ticks else Fraction(1, 1000)


MP4 = Container("mp4", _COPIED_MP4, "aac", frozenset({"mov_text"}), "mov_text", {"movflags": "+faststart"})
MOV = Container("mov", _PCM | {"aac", "mp3", "ac3", "alac"}, "pcm_s16le", frozenset({"mov_text"}), "mov_text")
MKV = Container("matroska", _PCM | _COPIED_MP4 | {"vorbis", "truehd"}, "flac", _TITLES_MKV, "subrip")


@dataclass(frozen=True, slots=True)
class Profile:
    """One codec's way of being written."""

    encoder: str
    pix_fmt: str
    container: Container
    codec_tag: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)

    def tags(self, film: ColorTags) -> ColorTags:
        """The film's tags in this pixel format."""
        if self.pix_fmt == "bgr0":
            return ColorTags(film.primaries, film.transfer, RGB, FULL)
        return film


def profile(output: Output, rate: Fraction, frame_count: int) -> Profile:
    """How `output` is written: a film of `frame_count` frames at about `rate` a second.

    Closed GOPs: each stands for itself, so that players find their way into a film, and segments join.
    """
    gop = str(max(1, round(_GOP_S * rate)))
    if output.codec is Codec.H264:
        # cpu-independent: the same bytes whichever vector instructions a machine has.
        params = "cpu-independent=1:open-gop=0"
        options = {"preset": "medium", "crf": str(output.crf), "g": gop, "x264-params": params}
        return Profile("libx264", "yuv420p", MP4, None, options)
    if output.codec is Codec.HEVC:
        params = f"log-level=none:pools={THREADS}:frame-threads=1:keyint={gop}:open-gop=0"
        if frame_count < _MIN_B_FRAMES:
            params += ":bframes=0"
        options = {"preset": "medium", "crf": str(output.crf), "x265-params": params}
        return Profile("libx265", "yuv420p", MP4, "hvc1", options)
    if output.codec is Codec.FFV1:
        options = {"level": "3", "coder": "1", "context": "1", "slices": "4", "slicecrc": "1", "g": "1"}
        return Profile("ffv1", "bgr0", MKV, None, options)
    return Profile("prores_ks", "yuv422p10le", MOV, None, {"profile": "hq", "vendor": "apl0"})


def codecs() -> dict[Codec, bool]:
    """Which codecs this build of FFmpeg can write."""
    return {codec: _has_encoder(profile(Output(codec=codec), Fraction(25), 1).encoder) for codec in Codec}


def _has_encoder(name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True
