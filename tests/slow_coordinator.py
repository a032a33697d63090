"""The farm's own coordinator, that takes its time over every frame it encodes.

FRAME_S=0.5 python tests/slow_coordinator.py
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
    encode, frame_s = video.encode_segment, float(os.environ["FRAME_S"])

    def slowly(frames: Iterable[Any]) -> Iterator[Any]:
        for frame in frames:
            time.sleep(frame_s)
            yield frame

    def encode_slowly(part: Path, frames: Iterable[Any], **how: Any) -> None:
        encode(part, slowly(frames), **how)

    video.encode_segment = encode_slowly
    app.main()


if __name__ == "__main__":
    main()
