"""Decoding what strangers wrote, in a process of its own that may die. This is the parent's side of it.

Each call starts `python -m farm.sandboxed` (a fifth of a second of CPU), which runs one function of a fixed list under
limits of memory, CPU time and silence, and dies with its parent. It has none of our secrets in its environment. What it
sends back is JSON, checked like any message. A crash, a hang or a memory bomb ends the child and is one DecoderFailed.

In a child: the check at submit, the plan's decode of the whole clip, and style pictures on whichever machine. These see
a file first, or all of it. Not in a child: the frames of a chunk, and those a segment or an assembly looks at. They are
the same bytes by SHA-256, each frame is held to the plan's index, the decoder is given no more pixels than the plan
saw, and the process is a pool process that may die, which costs the task an attempt. Frames through a pipe would cost
every chunk.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import farm
from farm.contract.codec import from_plain, to_plain
from farm.contract.errors import DecoderFailed, FarmError, InvalidClip, InvalidStyle
from farm.contract.excerpt import Excerpt
from farm.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from farm.video import FrameIndex

OnWait = Callable[[], None]
"""Called several times a second while the child is at work; what it raises ends the child."""

POLL_S = 0.1
START_S = 60.0
"""A child that has not begun by then never will; it has not touched the file yet."""
MOST_STARVED = 20
"""A child that waits for a core is waited for, up to so many times its silence."""
KEPT_ENVIRON = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT", "LD_LIBRARY_PATH", "VIRTUAL_ENV")
_REFUSALS = {kind.__name__: kind for kind in (InvalidClip, InvalidStyle)}
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Looked:
    """What a clip is, found by decoding it."""

    index: FrameIndex
    cuts: tuple[int, ...]  # the first frames of all its shots but the first
    motion: tuple[int, ...]  # how much each frame differs from the one before it


@dataclass(frozen=True, slots=True)
class Request:
    """What a child is to do, and what it may take for it."""

    function: str
    path: str
    max_pixels: int
    max_frames: int
    max_duration_s: float
    memory_bytes: int
    cpu_s: int
    answer_bytes: int
    size_px: int | None = None  # of the film, for a check
    excerpt: Excerpt | None = None
    at_ms: int | None = None  # of a frame; None: amid the clip


def check_clip(path: Path | str, settings: Settings, size_px: int | None = None, excerpt: Excerpt | None = None) -> int:
    """About how many frames the clip, or an excerpt of it, has, by what it says of itself.

    InvalidClip if it can't be painted with a longer side of `size_px` (None: its own), DecoderFailed if that took too
    much to find out.
    """
    answer, _ = _answer("check", path, settings, _MIB, size_px=size_px, excerpt=excerpt)
    frames = answer.get("frames")
    if not isinstance(frames, int):
        raise _failed(path, f"answered nonsense ({answer})")
    return frames


def frame_shown(path: Path | str, settings: Settings, at_ms: int | None) -> int:
    """When the frame begins that is seen at `at_ms`, both in ms; None: amid the clip. InvalidClip past its end."""
    answer, _ = _answer("frame shown", path, settings, _MIB, at_ms=at_ms)
    begins_ms = answer.get("begins_ms")
    if not isinstance(begins_ms, int):
        raise _failed(path, f"answered nonsense ({answer})")
    return begins_ms


def index_clip(
    path: Path | str, settings: Settings, on_wait: OnWait = lambda: None, *, excerpt: Excerpt | None = None
) -> Looked:
    """Decode the clip, or an excerpt of it."""
    from farm.video import FrameIndex

    most_bytes = (64 + settings.max_frames // 2**13) * _MIB
    answer, _ = _answer("index", path, settings, most_bytes, on_wait, excerpt=excerpt)
    try:
        cuts, motion = (tuple(int(number) for number in answer[name]) for name in ("cuts", "motion"))
        found = Looked(from_plain(FrameIndex, answer["index"]), cuts, motion)
        if len(motion) != found.index.frame_count:
            raise ValueError(f"{len(motion)} motions of {found.index.frame_count} frames")
        return found
    except (FarmError, KeyError, TypeError, ValueError) as error:
        raise _failed(path, f"answered nonsense ({error})") from error


def check_picture(path: Path | str, settings: Settings) -> tuple[int, int]:
    """A picture's (width, height); InvalidStyle where it can't be decoded."""
    answer, _ = _answer("picture size", path, settings, _MIB)
    return _size(path, answer)


def read_picture(path: Path | str, settings: Settings) -> NDArray[np.uint8]:
    """The picture (H, W, 3) uint8 sRGB; InvalidStyle where it can't be decoded."""
    import numpy as np

    answer, pixels = _answer("picture", path, settings, 3 * settings.max_pixels + _MIB)
    width, height = _size(path, answer)
    if len(pixels) != width * height * 3:
        raise _failed(path, f"sent {len(pixels)} bytes for {width}×{height} pixels")
    return np.frombuffer(pixels, np.uint8).reshape(height, width, 3).copy()


def _size(path: Path | str, answer: Any) -> tuple[int, int]:
    try:
        width, height = (int(length) for length in answer["size"])
    except (KeyError, TypeError, ValueError) as error:
        raise _failed(path, f"answered nonsense ({error})") from error
    return width, height


def _answer(
    function: str,
    path: Path | str,
    settings: Settings,
    answer_bytes: int,
    on_wait: OnWait = lambda: None,
    *,
    size_px: int | None = None,
    excerpt: Excerpt | None = None,
    at_ms: int | None = None,
) -> tuple[Any, bytes]:
    """What the child answered: JSON on the first line, and the bytes after it."""
    request = Request(
        function, str(path), settings.max_pixels, settings.max_frames, settings.max_duration_s,
        settings.decode_memory_mb * _MIB, settings.decode_cpu_s, answer_bytes, size_px, excerpt, at_ms,
    )  # fmt: skip
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        code = _run(request, settings, out, err, on_wait)
        out.seek(0)
        line, _, rest = out.read().lstrip(b"\n").partition(b"\n")
        if code != 0:
            raise _died(path, code, settings, _last_line(err))
    try:
        answer = json.loads(line)
        if "error" not in answer:
            return answer, rest
        kind, message = str(answer["error"]), str(answer["message"])
    except (ValueError, TypeError, KeyError) as error:
        raise _failed(path, f"answered nonsense ({error})") from error
    raise _refusal(path, kind, message, settings)


def _run(request: Request, settings: Settings, out: IO[bytes], err: IO[bytes], on_wait: OnWait) -> int:
    """The child's exit status, once it ended by itself; it is gone at return in any case."""
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "farm.sandboxed"],  # -P: the current folder may hold a stranger's modules
        stdin=subprocess.PIPE, stdout=out, stderr=err, env=_environ(settings), start_new_session=True,
    )  # fmt: skip
    try:
        _send(child, request)
        _await(child, out, request, settings, on_wait)
        return int(child.returncode)
    finally:
        child.kill()
        child.wait()
        if child.stdin is not None:
            child.stdin.close()


def _send(child: subprocess.Popen[bytes], request: Request) -> None:
    assert child.stdin is not None, "it was asked for"
    line = json.dumps(to_plain(request)).encode() + b"\n"  # ASCII: a file's name may be no UTF-8
    with suppress(BrokenPipeError):  # it died at its start: its exit status says more
        os.write(child.stdin.fileno(), line)  # and the pipe stays open: its end tells the child that its parent is gone


def _await(
    child: subprocess.Popen[bytes], out: IO[bytes], request: Request, settings: Settings, on_wait: OnWait
) -> None:
    """Return when the child has ended; DecoderFailed where it is silent. A growing answer is its sign of life."""
    size_bytes, moved_s, starved_s = 0, time.monotonic(), _starved_s(child.pid)
    while True:
        try:
            child.wait(POLL_S)
            return
        except subprocess.TimeoutExpired:
            on_wait()
        now_bytes, now_s = os.fstat(out.fileno()).st_size, time.monotonic()
        if now_bytes != size_bytes:
            size_bytes, moved_s, starved_s = now_bytes, now_s, _starved_s(child.pid)
            continue
        silent_s, most_s = now_s - moved_s, settings.decode_silent_s if size_bytes else START_S
        if silent_s > most_s + min(_starved_s(child.pid) - starved_s, MOST_STARVED * most_s):
            raise _failed(
                request.path, f"hung on it, silent for {silent_s:.0f} s; export it again, or raise FARM_DECODE_SILENT_S"
            )


def _starved_s(pid: int) -> float:
    """How long the process' threads have waited for a core in all: on a busy machine, that is no silence of theirs."""
    waited_ns = 0
    with suppress(OSError, ValueError, IndexError):  # not Linux, or just gone
        for task in Path(f"/proc/{pid}/task").iterdir():
            waited_ns += int((task / "schedstat").read_text().split()[1])
    return waited_ns / 1e9


def _environ(settings: Settings) -> dict[str, str]:
    """Little, and no secret."""
    kept = {name: os.environ[name] for name in KEPT_ENVIRON if name in os.environ}
    return kept | {
        "PYTHONPATH": str(Path(farm.__file__).parents[1]),
        "OPENCV_IO_MAX_IMAGE_PIXELS": str(settings.max_pixels),  # refused by the header, before anything is allocated
        "OPENCV_LOG_LEVEL": "SILENT",
        "OPENBLAS_NUM_THREADS": "1",  # each thread costs address space
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
    }


def _refusal(path: Path | str, kind: str, message: str, settings: Settings) -> FarmError:
    if kind in _REFUSALS:
        return _REFUSALS[kind](message, path=str(path))
    if kind == MemoryError.__name__:
        return _too_much_memory(path, settings)
    return _failed(path, f"failed on it ({kind}: {message[:300]}); export it again")


def _died(path: Path | str, code: int, settings: Settings, said: str) -> DecoderFailed:
    if code > 0:
        return _failed(path, f"ended with code {code} ({said or 'nothing said'})")
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    if -code == getattr(signal, "SIGXCPU", None):
        return _failed(path, f"took more than {settings.decode_cpu_s} s of CPU; cut it, or raise FARM_DECODE_CPU_S")
    if "alloc" in said or "memory" in said.lower():
        return _too_much_memory(path, settings)
    return _failed(path, f"crashed on it ({name}); export it again")


def _too_much_memory(path: Path | str, settings: Settings) -> DecoderFailed:
    most = settings.decode_memory_mb
    return _failed(path, f"needs more than {most} MB of memory; export it smaller, or raise FARM_DECODE_MEMORY_MB")


def _failed(path: Path | str, what: str) -> DecoderFailed:
    return DecoderFailed(f"{path}: the decoder {what}", path=str(path))


def _last_line(err: IO[bytes]) -> str:
    """The last thing the child said, for people."""
    err.seek(max(0, err.seek(0, os.SEEK_END) - 4096))
    lines = err.read().decode(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else ""
