"""The farm's own coordinator, whose first segment hangs in the encoder, and whose second is slow but alive.

HUNG=FILE python tests/hanging_coordinator.py      # FILE comes to be where it hung
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from farm import video
from farm.coordinator import app

FRAME_S = 0.8


def main() -> None:
    encode, hung = video.encode_segment, Path(os.environ["HUNG"])

    def slowly(frames: Iterable[Any]) -> Iterator[Any]:
        for frame in frames:
            time.sleep(FRAME_S)
            yield frame

    def hang_once(part: Path, frames: Iterable[Any], **how: Any) -> Any:
        if not hung.exists():
            hung.write_text(str(os.getpid()))
            time.sleep(600)
        return encode(part, slowly(frames), **how)

    video.encode_segment = hang_once
    app.main()


if __name__ == "__main__":
    main()
