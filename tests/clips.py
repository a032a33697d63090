"""Small clips for tests, painted and encoded by our own code: textured grounds that pan, discs that move, cuts.

`make_clip` writes one; its keywords are the ways in which real clips are awkward. The PTS written are returned,
so that a test has them from the hand that made them and not from the code under test.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

RATE = 48_000
_PALETTES = (
    ((38, 70, 83), (233, 196, 106), (231, 111, 81)),
    ((30, 20, 60), (120, 200, 220), (240, 240, 200)),
    ((200, 60, 70), (40, 30, 30), (250, 220, 180)),
    ((20, 90, 40), (220, 240, 140), (90, 40, 120)),
)


@dataclass(frozen=True)
class Clip:
    """What was written: the file, each frame's PTS in `time_base`, in order, and the last frame's duration."""

    path: Path
    pts: tuple[int, ...]
    time_base: Fraction
    last_duration: int


def picture(frame: int, size: tuple[int, int] = (96, 64), scene: int = 0) -> np.ndarray:
    """Frame number `frame` of a scene as (H, W, 3) uint8 RGB: a ground panning right, a disc crossing it."""
    width, height = size
    dark, light, disc = (np.array(colour, np.float32) for colour in _PALETTES[scene % len(_PALETTES)])
    noise = np.random.default_rng(scene).random((height // 6 + 4, width // 3 + 8)).astype(np.float32)
    ground = cv2.resize(noise, (noise.shape[1] * 6, noise.shape[0] * 6), interpolation=cv2.INTER_CUBIC)
    shift = frame % max(1, ground.shape[1] - width)
    crop = np.clip(ground[:height, shift : shift + width, None], 0, 1)
    image = dark + (light - dark) * crop
    centre = ((width // 4 + 2 * frame) % width, height // 2)
    cv2.circle(image, centre, max(3, height // 6), disc.tolist(), thickness=-1, lineType=cv2.LINE_AA)
    return image.clip(0, 255).astype(np.uint8)


def pictures(frames: int, size: tuple[int, int] = (96, 64), cuts: Sequence[int] = ()) -> Iterator[np.ndarray]:
    """`frames` pictures; a new scene starts at each of `cuts`."""
    for frame in range(frames):
        yield picture(frame, size, sum(cut <= frame for cut in cuts))


def make_clip(
    path: Path,
    *,
    frames: int = 24,
    fps: Fraction | int = 25,
    size: tuple[int, int] = (96, 64),
    audio: str | None = None,
    layout: str = "stereo",
    sound_hz: int = RATE,
    packet_samples: int = 1024,
    heard: Sequence[int] | None = None,
    vfr: bool = False,
    rotation: int = 0,
    hflip: bool = False,
    codec: str = "libx264",
    pix_fmt: str | None = None,
    start: int = 0,
    cuts: Sequence[int] = (),
    gop: int = 8,
    b_frames: int = 0,
    open_gop: bool = False,
    time_base: Fraction | None = None,
    subtitles: Sequence[tuple[float, float, str]] = (),
    pixel_aspect: Fraction | None = None,
    color: tuple[int, int, int, int] | None = None,
    audio_start_s: float = 0.0,
    pictures_from: Iterator[np.ndarray] | None = None,
    pts: Sequence[int] | None = None,
) -> Clip:
    """Write a clip; the container follows the path's suffix.

    `rotation`: degrees counter-clockwise a player turns it; `start`: first PTS in ticks; `vfr`: frames last 1, 2,
    3, 1 nominal durations; `pts`: each frame's ticks, in the place of `start` and `vfr`; `audio`: an encoder, e.g.
    "aac", of a tone in `layout` at `sound_hz`, in the channels `heard` (None: in all), in
    packets of `packet_samples` where the encoder leaves the choice; `color`: (primaries, transfer,
    matrix, range) of H.273.
    """
    fps = Fraction(fps)
    base = time_base or Fraction(
        1, 1000 if path.suffix in (".mkv", ".webm") else 90_000 if path.suffix == ".ts" else 12_800
    )
    if pts is None:
        pts, last = _timeline(frames, fps, base, vfr=vfr, start=start)
    else:
        frames, last = len(pts), pts[-1] - pts[-2]
    options = {"strict": "experimental"}
    if path.suffix in (".mp4", ".mov"):
        options |= {"video_track_timescale": str(base.denominator), "movie_timescale": str(base.denominator)}
    with av.open(str(path), "w", container_options=options) as container:
        video = container.add_stream(codec, rate=fps, width=size[0], height=size[1], time_base=base)
        video.pix_fmt = pix_fmt or "yuv420p"
        video.options = _encoder_options(codec, gop, b_frames, open_gop=open_gop)
        context = video.codec_context
        context.gop_size, context.thread_count = gop, 1
        if codec not in ("ffv1", "prores_ks", "libvpx-vp9"):
            context.max_b_frames = b_frames
        if pixel_aspect:
            context.sample_aspect_ratio = pixel_aspect
        if color:
            context.color_primaries, context.color_trc, context.colorspace, context.color_range = color
        if rotation or hflip:
            video.set_display_rotation(rotation, hflip=hflip)
        sound = _add_sound(container, audio, layout, sound_hz) if audio else None
        titles = container.add_mux_stream("subrip") if subtitles else None
        container.start_encoding()
        seconds = float((pts[-1] + last - pts[0]) * base)
        if sound is not None:
            _write_sound(container, sound, seconds, float(pts[0] * base) + audio_start_s, heard, packet_samples)
        for begin_s, end_s, text in subtitles:
            _write_title(container, titles, begin_s, end_s, text)
        _write_pictures(container, video, pts, last, pictures_from or pictures(frames, size, cuts))
    return Clip(path, tuple(pts), base, last)


def make_raw(path: Path, frames: int) -> Path:
    """A clip in raw H.264, which carries no PTS."""
    clip = make_clip(path.with_suffix(".mp4"), frames=frames)
    with av.open(str(clip.path)) as source, av.open(str(path), "w", format="h264") as raw:
        stream = raw.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                raw.mux(packet)
    return path


def _timeline(frames: int, fps: Fraction, base: Fraction, *, vfr: bool, start: int) -> tuple[list[int], int]:
    step = 1 / fps / base
    lasts = [(1, 2, 3, 1)[n % 4] if vfr else 1 for n in range(frames)]
    ends = [sum(lasts[:n]) for n in range(frames + 1)]
    ticks = [start + round(end * step) for end in ends]
    return ticks[:-1], ticks[-1] - ticks[-2]


def _encoder_options(codec: str, gop: int, b_frames: int, *, open_gop: bool) -> dict[str, str]:
    if codec == "libx264":
        extra = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop={int(open_gop)}"
        return {"preset": "veryfast", "crf": "18", "x264-params": extra}
    if codec == "libx265":
        extra = f"keyint={gop}:min-keyint={gop}:scenecut=0:bframes={b_frames}:b-adapt=0:open-gop={int(open_gop)}"
        extra += ":pools=1:log-level=none"
        return {"preset": "ultrafast", "crf": "20", "x265-params": extra}
    return {}


def _write_pictures(container, video, pts, last, images) -> None:
    for n, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
        matrix = {1: "ITU709", 9: "BT2020"}.get(video.codec_context.colorspace, "ITU601")
        full = video.codec_context.color_range == 2
        color_range = "JPEG" if full else "MPEG"
        frame = frame.reformat(format=video.pix_fmt, dst_colorspace=matrix, dst_color_range=color_range, threads=1)
        frame.pts, frame.time_base = pts[n], video.codec_context.time_base
        frame.duration = (pts[n + 1] if n + 1 < len(pts) else pts[n] + last) - pts[n]
        container.mux(video.encode(frame))
    container.mux(video.encode(None))


def _add_sound(container, codec: str, layout: str, rate: int):
    sound = container.add_stream(codec, rate=rate, options={"strict": "experimental"})  # FFmpeg's own vorbis
    sound.codec_context.layout = layout
    return sound


def _write_sound(
    container, sound, seconds: float, start_s: float, heard: Sequence[int] | None, packet_samples: int
) -> None:
    context = sound.codec_context
    rate = context.sample_rate
    total = round(seconds * rate)
    wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(total) / rate)).astype(np.float32)
    resampler = av.AudioResampler(
        format=context.format, layout=context.layout, rate=rate, frame_size=context.frame_size or packet_samples
    )
    volume = [heard is None or channel in heard for channel in range(context.layout.nb_channels)]
    samples = np.outer(wave, np.array(volume, np.float32)).reshape(1, -1)
    whole = av.AudioFrame.from_ndarray(samples, format="flt", layout=context.layout.name)
    whole.sample_rate, whole.time_base, whole.pts = rate, Fraction(1, rate), round(start_s * rate)
    for frame in [*resampler.resample(whole), *resampler.resample(None)]:
        container.mux(sound.encode(frame))
    container.mux(sound.encode(None))


def _write_title(container, stream, begin_s: float, end_s: float, text: str) -> None:
    packet = av.Packet(text.encode())
    packet.stream = stream
    packet.time_base = Fraction(1, 1000)
    packet.pts = packet.dts = round(begin_s * 1000)
    packet.duration = round((end_s - begin_s) * 1000)
    container.mux(packet)
