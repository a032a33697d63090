"""The pictures in `docs/`, from the demo's film: `make pictures`.

`docs/demo.png`: four source frames over their paintings. `docs/frame_<n>.png`: the four painted frames as they are in
the film. `docs/styles.png`: the built-in styles.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

from farm import styles, video
from farm.cli.demo import sample_clip
from farm.png import png_bytes
from worker.engine import Frame

DOCS = Path(__file__).parents[1] / "docs"
FRAMES = (4, 20, 34, 44)  # 34 lies inside a blend window
GAP_PX = 8
STYLE_WH = (280, 210)
COLUMNS = 3


def main(film: Path) -> None:
    """Write the pictures of a demo film."""
    if not film.is_file():
        sys.exit(f"{film}: no such film; run `make demo` first")
    DOCS.mkdir(exist_ok=True)
    painted = _frames(film)
    height, width = painted[0].shape[:2]
    source = _frames(sample_clip(), (width, height))
    for number, frame in zip(FRAMES, painted, strict=True):
        (DOCS / f"frame_{number:02d}.png").write_bytes(png_bytes(frame))
    (DOCS / "demo.png").write_bytes(png_bytes(_rows([_row(source), _row(painted)])))
    pictures = [styles.paint(name, *STYLE_WH) for name in styles.names()]
    rows = [_row(pictures[at : at + COLUMNS]) for at in range(0, len(pictures), COLUMNS)]
    (DOCS / "styles.png").write_bytes(png_bytes(_rows(rows)))


def _frames(clip: Path, size_wh: tuple[int, int] | None = None) -> list[Frame]:
    index = video.index(clip)
    return [next(video.decode(clip, index, number, number + 1, size_wh)) for number in FRAMES]


def _row(images: list[Frame]) -> Frame:
    return _joined(images, axis=1)


def _rows(images: list[Frame]) -> Frame:
    return _joined(images, axis=0)


def _joined(images: list[Frame], axis: int) -> Frame:
    after = (0, GAP_PX, 0, 0) if axis == 0 else (0, 0, 0, GAP_PX)
    white = [cv2.copyMakeBorder(image, *after, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for image in images[:-1]]
    return np.concatenate([*white, images[-1]], axis=axis)


main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo.mp4"))
