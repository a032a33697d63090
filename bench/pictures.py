"""The pictures in `docs/`, from the demo's film: `make pictures`.

`docs/demo.webp`: the source beside its painting, moving. `docs/demo.png`: four source frames over their paintings.
`docs/styles.png`: the built-in styles under their names.
"""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import av
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
NAME_PX, NAME_BAND_PX, NAME_WEIGHT = 16, 30, 600
NAME_COLOUR = (60, 60, 64)
QUALITY = "55"
"""Of the moving picture, in libwebp's terms: a page that opens at once, and strokes that can be told apart."""


def main(film: Path) -> None:
    """Write the pictures of a demo film."""
    if not film.is_file():
        sys.exit(f"{film}: no such film; run `make demo` first")
    DOCS.mkdir(exist_ok=True)
    painted = _frames(film)
    height, width = painted[0].shape[:2]
    source = _frames(sample_clip(), (width, height), len(painted))
    _write_moving(DOCS / "demo.webp", [_row([left, right]) for left, right in zip(source, painted, strict=True)])
    rows = [_row([images[number] for number in FRAMES]) for images in (source, painted)]
    (DOCS / "demo.png").write_bytes(png_bytes(_rows(rows)))
    pictures = [_named(styles.paint(name, *STYLE_WH), name) for name in styles.names()]
    rows = [_row(pictures[at : at + COLUMNS]) for at in range(0, len(pictures), COLUMNS)]
    (DOCS / "styles.png").write_bytes(png_bytes(_rows(rows)))


def _frames(clip: Path, size_wh: tuple[int, int] | None = None, count: int | None = None) -> list[Frame]:
    """The first `count` frames of a clip; None: all."""
    index = video.index(clip)
    return list(video.decode(clip, index, 0, count or index.frame_count, size_wh))


def _write_moving(path: Path, frames: list[Frame]) -> None:
    """An animated WebP that loops, at the clip's rate."""
    with av.open(str(sample_clip())) as clip:
        rate = Fraction(clip.streams.video[0].average_rate or 25)
    with av.open(str(path), "w", format="webp", options={"loop": "0"}) as target:
        stream = target.add_stream("libwebp_anim", rate=rate, options={"quality": QUALITY, "compression_level": "6"})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for frame in frames:
            target.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        target.mux(stream.encode(None))


def _named(image: Frame, name: str) -> Frame:
    """A picture over its name."""
    band = cv2.copyMakeBorder(image, 0, NAME_BAND_PX, 0, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))
    place = (2, image.shape[0] + NAME_BAND_PX - 10)
    cv2.putText(band, name, place, NAME_COLOUR, cv2.FontFace("sans"), NAME_PX, NAME_WEIGHT)
    return np.asarray(band, np.uint8)


def _row(images: list[Frame]) -> Frame:
    return _joined(images, axis=1)


def _rows(images: list[Frame]) -> Frame:
    return _joined(images, axis=0)


def _joined(images: list[Frame], axis: int) -> Frame:
    after = (0, GAP_PX, 0, 0) if axis == 0 else (0, 0, 0, GAP_PX)
    white = [cv2.copyMakeBorder(image, *after, cv2.BORDER_CONSTANT, value=(255, 255, 255)) for image in images[:-1]]
    return np.concatenate([*white, images[-1]], axis=axis)


main(Path(sys.argv[1] if len(sys.argv) > 1 else "out/demo.mp4"))
