"""A thousand hostile inputs by number: small files of our own making, spoiled by a seeded hand.

`make(number, folder)` writes input `number` below `folder` and returns it. The same number is the same input on every
machine; what is spoiled is up to encoders' versions.
"""

from __future__ import annotations

import os
import random
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
from clips import make_clip, picture

COUNT = 1000
HUGE_PX = 100_000
_EXTREMES = (0, 1, 7, 8, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
_BOXES = b"ftyp moov mvhd trak tkhd mdia mdhd minf stbl stsd stts stss stsc stsz stco ctts elst udta mdat avc1".split()


@dataclass(frozen=True)
class Hostile:
    """One input."""

    number: int
    kind: str
    path: str  # as a user would give it
    is_style: bool = False
    must_fail: bool = False  # to succeed would mean that it was obeyed


class Maker:
    """Makes inputs from bases written once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.good = make_clip(folder / "good.mp4", frames=6, audio="aac", b_frames=2).path
        self.clips = [
            self.good,
            make_clip(folder / "good.mkv", frames=6, audio="libopus", subtitles=[(0.0, 0.1, "x")]).path,
            make_clip(folder / "good.avi", frames=6, codec="mpeg4").path,
            make_clip(folder / "good.ts", frames=6, audio="mp2").path,
        ]
        self.pictures = [_written(folder / "good.png", ".png"), _written(folder / "good.jpg", ".jpg")]
        self._bomb = zlib.compress(bytes(256 * 2**20), 9)

    def make(self, number: int, folder: Path) -> Hostile:
        """Write input `number` (0 … COUNT - 1) below `folder`, which is its own."""
        rng = random.Random(number)
        kinds = (*_SPOILING, *_SPOILING, *_SPECIAL)  # what spoils any file has most room for chance
        kind = kinds[number % len(kinds)]
        folder.mkdir(parents=True)
        return kind(self, number, rng, folder)

    def bomb(self) -> bytes:
        """256 MiB of zeros in 256 kB."""
        return self._bomb

    def spoiled(self, number: int, rng: random.Random, folder: Path, how: Callable[..., bytes]) -> Hostile:
        """A good file after `how(data, rng)`."""
        base = rng.choice([*self.clips, *self.clips, *self.pictures])
        path = folder / f"input{base.suffix}"
        path.write_bytes(how(base.read_bytes(), rng))
        return Hostile(number, how.__name__.replace("_", " "), str(path), base in self.pictures)


def _written(path: Path, suffix: str) -> Path:
    done, data = cv2.imencode(suffix, cv2.cvtColor(picture(0), cv2.COLOR_RGB2BGR))
    assert done
    path.write_bytes(data.tobytes())
    return path


def bits_flipped(data: bytes, rng: random.Random) -> bytes:
    spoiled = bytearray(data)
    head = min(len(data), 1500)
    for _ in range(rng.choice((1, 4, 32, 256))):
        at = rng.randrange(head if rng.random() < 0.5 else len(data))
        spoiled[at] ^= 1 << rng.randrange(8)
    return bytes(spoiled)


def truncated(data: bytes, rng: random.Random) -> bytes:
    return data[: rng.choice((1, 7, 8, 64, rng.randrange(1, len(data)), len(data) - rng.randrange(1, 64)))]


def pieces_repeated(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 3, 9))):
        at, size = rng.randrange(len(data)), rng.choice((16, 256, 4096))
        into = rng.randrange(len(data))
        data = data[:into] + data[at : at + size] * rng.choice((1, 5)) + data[into:]
    return data


def pieces_lost(data: bytes, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 3, 9))):
        at = rng.randrange(len(data))
        data = data[:at] + data[at + rng.choice((1, 16, 512)) :] or b"\0"
    return data


def noise_written(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    noise = rng.randbytes(rng.choice((4, 64, 1024)))
    return data[:at] + noise + data[at + len(noise) :]


def sizes_changed(data: bytes, rng: random.Random) -> bytes:
    """Fields that say how much follows: sizes and counts of boxes, chunks, elements and segments."""
    spoiled = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 5))):
        name = rng.choice(_BOXES)
        at = data.find(name)
        if at >= 4 and rng.random() < 0.9:
            offset = rng.choice((-4, -4, 8, 12, 16, 20, 24))
        else:
            at, offset = rng.randrange(min(len(data), 2000)), 0
        at = max(0, min(at + offset, len(data) - 4))
        order = ">I" if data[4:8] == b"ftyp" or data[:4] == b"\x89PNG" else rng.choice((">I", "<I"))
        struct.pack_into(order, spoiled, at, rng.choice((*_EXTREMES, rng.getrandbits(32), len(data))))
    return bytes(spoiled)


def huge_frames(maker: Maker, number: int, rng: random.Random, folder: Path) -> Hostile:
    """Headers that claim 100,000 × 100,000 px, or as much as their fields hold."""
    path, is_style = folder / "huge.mp4", False
    match rng.randrange(5):
        case 0:
            path.write_bytes(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420\nFRAME\n" % (HUGE_PX, HUGE_PX) + bytes(4096))
        case 1:
            data = bytearray(maker.clips[2].read_bytes())  # AVI: BITMAPINFOHEADER and the main header
            for width, height in ((data.find(b"strf") + 12, 0), (data.find(b"avih") + 40, 0)):
                struct.pack_into("<II", data, width, HUGE_PX, HUGE_PX + height)
            path.write_bytes(data)
        case 2:
            data = bytearray(maker.good.read_bytes())
            struct.pack_into(">HH", data, data.find(b"avc1") + 28, 0xFFFF, 0xFFFF)
            struct.pack_into(">II", data, data.find(b"tkhd") + 80, 0xFFFF0000, 0xFFFF0000)
            path.write_bytes(data)
        case 3:
            path, is_style = folder / "huge.png", True
            path.write_bytes(_png(HUGE_PX, HUGE_PX, zlib.compress(bytes(4096))))
        case _:
            path, is_style = folder / "huge.jpg", True
            data = bytearray(maker.pictures[1].read_bytes())
            struct.pack_into(">HH", data, data.find(b"\xff\xc0") + 5, 0xFFFF, 0xFFFF)
            path.write_bytes(data)
    return Hostile(number, "huge frames", str(path), is_style, must_fail=is_style)


def bombs(maker: Maker, number: int, rng: random.Random, folder: Path) -> Hostile:
    """Little that becomes much."""
    path = folder / "bomb.png"
    match rng.randrange(4):
        case 0:  # more pixels' data than pixels
            path.write_bytes(_png(64, 64, maker.bomb()))
        case 1:  # as many as are allowed
            path.write_bytes(_png(8192, 8192, maker.bomb()))
        case 2:
            path.write_bytes(_png(30_000, 30_000, maker.bomb()))
        case _:  # text that inflates
            text = _chunk(b"zTXt", b"Comment\0\0" + maker.bomb())
            path.write_bytes(_png(64, 64, zlib.compress(bytes(64 * (64 * 3 + 1))), text))
    return Hostile(number, "bombs", str(path), is_style=True)


def endless(maker: Maker, number: int, rng: random.Random, folder: Path) -> Hostile:
    """Clips that claim days, or samples without number."""
    path = folder / "endless.mp4"
    if rng.random() < 0.3:
        data = bytearray(maker.clips[1].read_bytes())
        at = data.find(b"\x44\x89\x88")  # Matroska's Duration, a float of eight bytes
        assert at > 0
        struct.pack_into(">d", data, at + 3, rng.choice((1e9, 1e15, float("inf"), float("nan"), -1.0)))
    else:
        data = bytearray(maker.good.read_bytes())
        box, offset = rng.choice(
            ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24), (b"stts", 8), (b"stts", 12), (b"stts", 16), (b"stsz", 8),
             (b"stsz", 12), (b"stsc", 16), (b"stsc", 8), (b"stco", 8), (b"elst", 12), (b"mdhd", 16), (b"mvhd", 16))
        )  # fmt: skip
        struct.pack_into(">I", data, data.find(box) + offset, rng.choice((1, 0x7FFFFFFF, 0xFFFFFFFE, 10**6, 10**8)))
    path.write_bytes(data)
    return Hostile(number, "endless", str(path))


def playlists(maker: Maker, number: int, rng: random.Random, folder: Path) -> Hostile:
    """Text that asks for other files: a good clip beside it, and what no clip may name."""
    target = rng.choice((str(maker.good), f"file:{maker.good}", "/etc/passwd", "http://127.0.0.1:9/a.mp4", "good.mp4"))
    (folder / "good.mp4").write_bytes(maker.good.read_bytes())
    suffix, text = rng.choice(
        (
            (".m3u8", f"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"),
            (".ffconcat", f"ffconcat version 1.0\nfile '{target}'\n"),
            (".sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n"
                     "a=rtpmap:96 H264/90000\n"),
            (".mpd", f'<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
                     f"<AdaptationSet><Representation><BaseURL>{target}</BaseURL></Representation></AdaptationSet>"
                     "</Period></MPD>"),
            (".rtsp", f"[Reference]\nRef1={target}\n"),
            (".svg", f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{target}"/></svg>'),
        )
    )  # fmt: skip
    path = folder / f"list{rng.choice((suffix, '.mp4', '.mkv'))}"
    path.write_text(text)
    return Hostile(number, "playlists", str(path), must_fail=True)


def no_files(maker: Maker, number: int, rng: random.Random, folder: Path) -> Hostile:
    """Links, pipes, devices, folders."""
    path, is_style, must_fail = folder / "input.mp4", rng.random() < 0.3, True
    match rng.randrange(8):
        case 0:
            path.symlink_to(maker.pictures[0] if is_style else maker.good)
            must_fail = False
        case 1:
            path.symlink_to(path)
        case 2:
            path.symlink_to(folder / "nothing")
        case 3:
            path.symlink_to("/dev/zero")
        case 4:
            os.mkfifo(path)
        case 5:
            path.mkdir()
        case 6:
            path.symlink_to(folder)
        case _:
            path.symlink_to("/proc/self/mem")
    return Hostile(number, "no files", str(path), is_style, must_fail)


def names(maker: Maker, number: int, rng: random.Random, folder: Path) -> Hostile:
    """Good files with bad names, and names that are no files."""
    bad = rng.choice(
        ("../../x", "..\\..\\x.mp4", "a\nb.mp4", "\x1b[31mred\x07.mp4", "\u202egpj.4pm", "a\u200f\u202e.mp4", "-o.mp4",
         "%s%n%x.mp4", "$(touch owned).mp4", "`touch owned`.mp4", "a;b|c&d.mp4", "a'\"b.mp4", ".mp4", "...", " .mp4",
         "é" * 120 + ".mp4", "n" * 250 + ".mp4", "\udcff\udc80.mp4", "[bold]x[/bold].mp4", "{0}.mp4", "CON.mp4",
         "a\0b.mp4", "x" * 4000, "d/" * 1999 + "x", "file:///etc/passwd", "concat:a.mp4|b.mp4", "pipe:0", "data:,x",
         "http://127.0.0.1:9/x.mp4", "subfile,,start,0,end,9,,:x.mp4", "~root/x.mp4", "%2e%2e%2fx.mp4", "\ufffe.mp4")
    )  # fmt: skip
    is_style = rng.random() < 0.3
    path = f"{folder}/{bad}"
    if "/" not in bad and "\0" not in bad and len(os.fsencode(bad)) <= 255:
        base = maker.pictures[0] if is_style else maker.good
        Path(path).write_bytes(base.read_bytes())
        return Hostile(number, "names", path, is_style)
    return Hostile(number, "names", bad if ":" in bad else path, is_style, must_fail=True)


def mixed_kinds(maker: Maker, number: int, rng: random.Random, folder: Path) -> Hostile:
    """The bytes of one format under the name, or behind the head, of another; files in one another."""
    first, second = rng.sample([*maker.clips, *maker.pictures], 2)
    head = rng.choice((0, 4, 16, 64, 512))
    path, is_style = folder / f"input{second.suffix}", rng.random() < 0.3
    path.write_bytes(first.read_bytes()[: head or sys.maxsize] + second.read_bytes()[head:])
    return Hostile(number, "mixed kinds", str(path), is_style)


def _png(width: int, height: int, data: bytes, *chunks: bytes) -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _spoiling(how: Callable[[bytes, random.Random], bytes]) -> Callable[..., Hostile]:
    return lambda maker, number, rng, folder: maker.spoiled(number, rng, folder, how)


_SPOILING = tuple(
    map(_spoiling, (bits_flipped, truncated, pieces_repeated, pieces_lost, noise_written, sizes_changed, sizes_changed))
)
_SPECIAL = (huge_frames, bombs, endless, endless, playlists, no_files, names, names, mixed_kinds)
