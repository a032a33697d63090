"""Opening a clip as the hostile input it is: local files and real video containers only, within limits.

What a header says is checked when the clip is opened; what the stream then does, by the decoder's own `max_pixels`, by
the callers' counts of frames, and by `packets`, which ends a file that gives out more data than it can hold.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import av.error
from av.stream import Disposition

from farm.contract.errors import InvalidClip
from farm.settings import usable_cores

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# Containers that hold their own data. No playlists (hls, dash, concat), no still images, no devices.
FORMATS = (
    "3gp,asf,av1,avi,dv,flv,gxf,h264,hevc,ivf,m4v,matroska,mov,mp4,mpeg,mpegts,mpegvideo,mxf,nut,obu,ogg,"
    "rm,vc1,webm,wtv,yuv4mpegpipe"
)
PACKET_RATIO = 100
"""Times its own size that a file's packets may be in all: an index can name the same bytes again and again."""
PACKET_SLACK_BYTES = 64 * 2**20
_PACKET_COST_BYTES = 64  # so that empty packets are counted, too

MAX_THREADS = 8
"""Each keeps a frame or two, so that memory would grow with the machine's cores."""

Beat = Callable[[], None]
"""Called at every packet or picture: decoding goes on."""

_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": FORMATS, "max_streams": "64"}

_IMAGES = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"8BPS", "Photoshop"),
    (b"v/1\x01", "OpenEXR"),
)
_IMAGE_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of a clip the farm takes on."""

    pixels: int = 8192 * 8192
    frames: int = 1_000_000
    duration_s: float = 24 * 3600.0


LIMITS = Limits()
UNLIMITED = Limits(pixels=2**31 - 1, frames=2**62, duration_s=math.inf)
"""For films of our own making."""


@contextmanager
def opened(path: Path | str, limits: Limits = LIMITS) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its video stream; InvalidClip in one line where the file has none."""
    file = local_file(path)
    try:
        container = av.open(
            f"file:{file}", mode="r", metadata_errors="replace", options=_OPTIONS | {"max_pixels": str(limits.pixels)}
        )
    except (av.error.FFmpegError, ValueError, OSError) as error:
        _raise_lack_of_memory(error)
        raise _not_a_clip(file, error) from error
    with container:
        yield container, _video_stream(container, file, limits)


@contextmanager
def reading(path: Path | str, limits: Limits = LIMITS) -> Iterator[tuple[InputContainer, VideoStream]]:
    """`opened`, for those who only read: whatever FFmpeg says of the clip's content becomes InvalidClip."""
    with opened(path, limits) as clip:
        try:
            yield clip
        except av.error.FFmpegError as error:
            _raise_lack_of_memory(error)
            message = f"{path} can't be read: {error.strerror or error}; export or download it again"
            raise InvalidClip(message, path=str(path)) from error


def packets(container: InputContainer, *streams: Stream) -> Iterator[av.Packet[Any]]:
    """Every packet of `streams` (none: of all); InvalidClip where they are more than the file can hold."""
    left_bytes = PACKET_RATIO * container.size + PACKET_SLACK_BYTES
    for packet in container.demux(*streams):
        left_bytes -= packet.size + _PACKET_COST_BYTES
        if left_bytes < 0:
            name = container.name.removeprefix("file:")
            raise InvalidClip(
                f"{name} gives out more than {PACKET_RATIO} times its {container.size} bytes; export it again",
                path=name,
            )
        yield packet


def decoded(container: InputContainer, stream: VideoStream) -> Iterator[VideoFrame]:
    """Every picture the stream yields from here on; broken packets are passed over as players do."""
    for packet in packets(container, stream):
        yield from pictures_of(packet)


def pictures_of(packet: av.Packet[VideoStream]) -> list[VideoFrame]:
    """The pictures a packet completes; none for a broken packet."""
    try:
        return packet.decode()
    except (av.error.InvalidDataError, av.error.EOFError):
        return []


def local_file(path: Path | str) -> Path:
    """The file at `path`, looked at but not opened as a clip; InvalidClip where there is none, or it is a picture."""
    if "://" in str(path):
        raise InvalidClip(f"{path} is an address, not a file; download the clip first", path=str(path))
    file = Path(path)
    try:
        exists = file.exists()
    except OSError as error:  # a name too long, a folder one may not enter
        raise InvalidClip(f"{file} can't be read: {error.strerror}; check the path", path=str(file)) from error
    if not exists:
        raise InvalidClip(f"{file} does not exist; check the path", path=str(file))
    if not file.is_file():
        raise InvalidClip(f"{file} is not a file; give one video file", path=str(file))
    if file.stat().st_size == 0:
        raise InvalidClip(f"{file} is empty (0 bytes); export or download it again", path=str(file))
    kind = image_kind(file)
    if kind:
        raise InvalidClip(f"{file} is a still image ({kind}), not a clip; give a video, e.g. an mp4", path=str(file))
    return file.absolute()


def image_kind(file: Path) -> str | None:
    """The image format a file's first bytes say it is, or None."""
    try:
        with file.open("rb") as stream:
            head = stream.read(64)
    except OSError as error:
        raise InvalidClip(f"{file} can't be read: {error.strerror}; check its permissions", path=str(file)) from error
    for magic, kind in _IMAGES:
        if head.startswith(magic):
            return kind
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return _IMAGE_BRANDS.get(head[8:12]) if head[4:8] == b"ftyp" else None


def _raise_lack_of_memory(error: Exception) -> None:
    """Not the clip's fault, or not the clip's alone; EAGAIN is a decoder's thread that found none."""
    if getattr(error, "errno", None) in (errno.ENOMEM, errno.EAGAIN):
        raise MemoryError(str(error)) from error


def _not_a_clip(file: Path, error: Exception) -> InvalidClip:
    if isinstance(error, PermissionError):
        return InvalidClip(f"{file} can't be read: permission denied; check its permissions", path=str(file))
    with file.open("rb") as stream:
        head = stream.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"free", b"wide"):
        message = f"{file} is cut short: its index (the moov box) is missing or broken; export or download it again"
        return InvalidClip(message, path=str(file))
    if head.isascii() and not any(byte < 9 for byte in head):
        why = "it looks like text; give a video file, e.g. an mp4"
    else:
        why = "no container the farm reads is in it; export it as mp4, mov, mkv or webm"
    return InvalidClip(f"{file} is not a video: {why}", path=str(file))


def _video_stream(container: InputContainer, file: Path, limits: Limits) -> VideoStream:
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams:
        raise InvalidClip(f"{file} has no video in it, only {_kinds(container)}; give a video file", path=str(file))
    stream = next((item for item in streams if item.disposition & Disposition.default), streams[0])
    context = stream.codec_context
    if context is None:
        raise InvalidClip(f"{file} has a video codec this build can't decode; export it as H.264", path=str(file))
    if context.width * context.height > limits.pixels:
        raise InvalidClip(
            f"{file} is {context.width}×{context.height}, more than {limits.pixels} pixels; export it smaller",
            path=str(file),
        )
    if stream.frames > limits.frames:
        raise InvalidClip(f"{file} has {stream.frames} frames, more than {limits.frames}; cut it", path=str(file))
    seconds = (container.duration or 0) / av.time_base
    if seconds > limits.duration_s:
        raise InvalidClip(
            f"{file} is {seconds:.0f} s long, more than {limits.duration_s:.0f} s; cut it", path=str(file)
        )
    context.options = {"max_pixels": str(_decoder_pixels(context.width, context.height, limits))}
    context.thread_type = "AUTO"
    context.thread_count = min(MAX_THREADS, usable_cores())
    return stream


def _decoder_pixels(width: int, height: int, limits: Limits) -> int:
    """What the decoder may allocate: sizes change within streams, and its buffers are padded by up to 128 px a side."""
    padded = limits.pixels + min(128 * (width + height), limits.pixels) + 128 * 128
    return min(padded, 2**31 - 1)  # FFmpeg's own limit of the option


def _kinds(container: InputContainer) -> str:
    kinds = sorted({"sound" if stream.type == "audio" else str(stream.type) for stream in container.streams})
    return " and ".join(kinds) or "nothing"
