"""The child's side of `farm.sandbox`: take limits, run one function of a fixed list on one file, answer, end.

Reads one line of JSON from stdin, and ends when stdin does: with its parent. Answers on stdout: empty lines as signs of
life, then one line of JSON, then a picture's pixels where one was asked for.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from farm.contract.codec import from_json, to_plain
from farm.contract.errors import FarmError, InvalidStyle
from farm.sandbox import Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from farm.video import Limits

BEAT_S = 0.2
OPEN_FILES = 64
CPU_GRACE_S = 5
"""From the signal that says why to the one that can't be caught."""

Answer = tuple[dict[str, Any], bytes]
Beat = Callable[[], None]


def check(request: Request, beat: Beat) -> Answer:
    """Probe the clip and read it through; about how many frames it has."""
    from farm import video

    info = video.check(request.path, request.size_px, request.excerpt, limits=_limits(request), on_beat=beat)
    frames = info.declared_frames or round(info.duration_s * Fraction(*(info.average_rate or (25, 1))))
    if request.excerpt is not None and info.duration_s > 0:
        frames = math.ceil(frames * request.excerpt.share(info.duration_s))
    return {"frames": frames}, b""


def index(request: Request, beat: Beat) -> Answer:
    """Decode the clip, or an excerpt of it: its frame index, its cuts, and how much moves."""
    from farm import shots, video

    detector = shots.CutDetector()
    found = video.index(request.path, detector.add, excerpt=request.excerpt, limits=_limits(request), on_beat=beat)
    return {"index": to_plain(found), "cuts": list(detector.cuts()), "motion": detector.motion}, b""


def frame_shown(request: Request, beat: Beat) -> Answer:
    """When a frame begins."""
    from farm import video

    return {"begins_ms": video.frame_shown(request.path, request.at_ms, limits=_limits(request), on_beat=beat)}, b""


def picture_size(request: Request, _beat: Beat) -> Answer:
    """Decode a picture, for its size."""
    height, width = _picture(request).shape[:2]
    return {"size": [width, height]}, b""


def picture(request: Request, _beat: Beat) -> Answer:
    """Decode a picture."""
    image = _picture(request)
    return {"size": [image.shape[1], image.shape[0]]}, image.tobytes()


FUNCTIONS = {
    "check": check,
    "index": index,
    "frame shown": frame_shown,
    "picture size": picture_size,
    "picture": picture,
}


def _limits(request: Request) -> Limits:
    from farm.video import Limits

    return Limits(request.max_pixels, request.max_frames, request.max_duration_s)


def _picture(request: Request) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 sRGB, on white where it can be seen through.

    OpenCV refuses by `OPENCV_IO_MAX_IMAGE_PIXELS` before it allocates.
    """
    import cv2

    from farm.contract.errors import CorruptObject
    from farm.png import png_read_on_white

    path, data = request.path, Path(request.path).read_bytes()
    try:
        return png_read_on_white(data)
    except CorruptObject as error:
        raise InvalidStyle(f"{path}: not a picture that can be read; give a PNG or JPEG") from error
    except cv2.error as error:
        if "MAX_IMAGE" in str(error):
            raise InvalidStyle(f"{path}: more than {request.max_pixels} pixels; export it smaller") from error
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise InvalidStyle(f"{path}: not a picture that can be read; give a PNG or JPEG") from error


def main() -> None:
    """Answer one request."""
    request = from_json(Request, sys.stdin.buffer.readline())
    out = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)  # libraries that print must not spoil the answer
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _take_limits(request)
    beat = _Beat(out)
    beat()
    try:
        answer, data = FUNCTIONS[request.function](request, beat)
    except FarmError as error:
        answer, data = {"error": type(error).__name__, "message": error.message}, b""
    except MemoryError:
        answer, data = {"error": "MemoryError", "message": ""}, b""
    except Exception as error:
        answer, data = {"error": type(error).__name__, "message": str(error)}, b""
    for part in (json.dumps(answer).encode(), b"\n", data):
        _write(out, part)
    sys.stderr.flush()
    os._exit(0)  # a decoder's threads may not want to end


class _Beat:
    """Signs of life, a few a second at most."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self._at_s = 0.0

    def __call__(self) -> None:
        now_s = time.monotonic()
        if now_s - self._at_s >= BEAT_S:
            self._at_s = now_s
            self._out.write(b"\n")


def _write(out: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[out.write(view) :]


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def _take_limits(request: Request) -> None:
    with contextlib.suppress(ImportError):  # not on Windows: the parent's clock alone
        import resource

        for kind, soft, hard in (
            ("RLIMIT_AS", request.memory_bytes, request.memory_bytes),
            ("RLIMIT_CPU", request.cpu_s, request.cpu_s + CPU_GRACE_S),
            ("RLIMIT_FSIZE", request.answer_bytes, request.answer_bytes),
            ("RLIMIT_NOFILE", OPEN_FILES, OPEN_FILES),
            ("RLIMIT_CORE", 0, 0),
        ):
            with contextlib.suppress(AttributeError, ValueError, OSError):  # lower already, or not known here
                resource.setrlimit(getattr(resource, kind), (soft, hard))


if __name__ == "__main__":
    main()
