"""A style before it is submitted: a picture on disk or a built-in name, read and checked.

Refuses what is no picture, and pictures too small or too large, as InvalidStyle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm.contract.errors import InvalidStyle
from farm.contract.spec import Media, Style

MAX_STYLE_BYTES = 256 * 2**20
MAX_STYLE_PIXELS = 16_384 * 16_384

Wanted = str | Path | tuple[str | Path, float]
"""A picture's path or a built-in style's name, alone or with its weight."""


@dataclass(frozen=True, slots=True)
class StyleFile:
    """A style ready to upload."""

    name: str
    data: bytes
    media: Media
    weight: float = 1.0

    @property
    def style(self) -> Style:
        """What the spec says of it."""
        return Style(self.media, self.name[:200], self.weight)


def load_styles(styles: Wanted | Sequence[Wanted]) -> list[StyleFile]:
    """Every style wanted: one, or several with weights; InvalidStyle or InvalidParameter with the cure."""
    several = isinstance(styles, Sequence) and not isinstance(styles, str) and not _is_pair(styles)
    wanted: Sequence[Wanted] = styles if several else [styles]  # type: ignore[assignment, list-item]
    pairs = [item if isinstance(item, tuple) else (item, 1.0) for item in wanted]
    return [replace(load_style(style), weight=weight) for style, weight in pairs]


def _is_pair(styles: object) -> bool:
    return (
        isinstance(styles, tuple)
        and len(styles) == 2
        and isinstance(styles[0], str | Path)
        and isinstance(styles[1], int | float)
    )


def load_style(style: str | Path) -> StyleFile:
    """A style image's bytes, from a file or by a built-in name; InvalidStyle with the cure."""
    path = Path(style)
    if path.is_file():
        return _style_from_file(path)
    text = str(style)
    if path.suffix or "/" in text or path.exists():
        raise InvalidStyle(
            f"--style {text}: no such image file; give a picture, or a name from `farm styles`", path=text
        )
    from farm import styles

    data = styles.png(text)
    return StyleFile(text, data, Media(hashlib.sha256(data).hexdigest(), ".png", len(data)))


def _style_from_file(path: Path) -> StyleFile:
    size_bytes = path.stat().st_size
    if not 0 < size_bytes <= MAX_STYLE_BYTES:
        raise InvalidStyle(f"--style {path}: {size_bytes} bytes is no picture; give a PNG or JPEG", path=str(path))
    data = path.read_bytes()
    import cv2
    import numpy as np

    # The size is read by decoding at an eighth first: a small file can claim a huge picture.
    try:
        small = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_REDUCED_COLOR_8)
        image = (
            None
            if small is None or small.size * 64 // 3 > MAX_STYLE_PIXELS
            else cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        )
    except cv2.error:
        image = None
    if image is None:
        raise InvalidStyle(f"--style {path}: not a picture that can be read; give a PNG or JPEG", path=str(path))
    if min(image.shape[:2]) < 16:
        raise InvalidStyle(
            f"--style {path}: {image.shape[1]}×{image.shape[0]} px is too small; give 16 px or more", path=str(path)
        )
    suffix = path.suffix.lower()
    suffix = suffix if suffix in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff") else ".img"
    return StyleFile(path.stem, data, Media(hashlib.sha256(data).hexdigest(), suffix, size_bytes))
