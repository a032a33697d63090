"""The farm's own coordinator, that takes its time over every frame it encodes, and may hang in its first segment.

FRAME_S=0.5 [HUNG=FILE] python tests/slow_coordinator.py      # FILE comes to be where it hung
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from farm import video
from farm.coordinator import app


def main() -> None:
    encode, frame_s, hung = video.encode_segment, float(os.environ["FRAME_S"]), os.environ.get("HUNG")

    def slowly(frames: Iterable[Any]) -> Iterator[Any]:
        for frame in frames:
            time.sleep(frame_s)
            yield frame

    def encode_slowly(part: Path, frames: Iterable[Any], **how: Any) -> None:
        if hung and not Path(hung).exists():
            part_file = Path(f"{hung}.part")
            part_file.write_text(str(os.getpid()))
            part_file.rename(hung)  # whole, or not there
            time.sleep(600)
        encode(part, slowly(frames), **how)

    video.encode_segment = encode_slowly
    app.main()


if __name__ == "__main__":
    main()
