"""Whose fault it is that a film or a segment could not be written: the clip's, or the machine's."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from farm.contract.errors import FarmError, InvalidClip, MachineFault
from farm.contract.spec import Codec

if TYPE_CHECKING:
    from av.error import FFmpegError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_NO_MEMORY = (errno.ENOMEM, errno.EAGAIN)  # EAGAIN is a codec's thread that found none
_MACHINES = (*_NO_ROOM, *_NO_MEMORY, errno.EIO)


def is_machine_fault(error: FFmpegError | OSError) -> bool:
    """Whether it says nothing about the clip: the same call may go through later, or elsewhere."""
    return error.errno in _MACHINES


def writing_failed(error: FFmpegError, what: str, part: Path, codec: Codec, *, path: Path | str) -> FarmError:
    """What to raise where `part` could not be written; `what` says so in words: "a.mp4 can't be encoded".

    `path`: the file to name where nothing is wrong with the machine.
    """
    if not is_machine_fault(error):
        other = Codec.H264 if codec is Codec.FFV1 else Codec.FFV1
        return InvalidClip(f"{what}: {error}; try --codec {other}", path=str(path))
    return machine_fault(error, what, part)


def machine_fault(error: FFmpegError | OSError, what: str, part: Path) -> MachineFault:
    """A full or broken disk, or no memory, in words; `part` is what was to be written."""
    why = error.strerror or str(error)
    if error.errno in _NO_ROOM:
        folder = next(parent for parent in part.parents if parent.exists())
        free_gb = shutil.disk_usage(folder).free / 1e9
        cure = "give that place more disk, or a coordinator another FARM_CACHE_DIR"
        why = f"no room in {folder} ({why}): {free_gb:.1f} GB free; {cure}"
    elif error.errno in _NO_MEMORY:
        why = f"no memory ({why}); give this process more"
    else:
        why = f"{_file(error, part)}: {why}; check the disk it is on, or choose another FARM_CACHE_DIR"
    return MachineFault(f"{what}: {why}", path=str(part), errno=error.errno)


def _file(error: FFmpegError | OSError, part: Path) -> str:
    """The file the error is of: that which is written, or one that is read for it."""
    name = str(error.filename or "")  # where no file is involved, the call
    return name.removeprefix("file:") if name.startswith("file:") else str(part)
