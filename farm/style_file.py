"""A style before it is submitted: a picture on disk or a built-in name, read and checked.

Refuses what is no picture, and pictures too small or too large, as InvalidStyle.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from farm import sandbox
from farm.contract.errors import InvalidStyle
from farm.contract.spec import Media, Style
from farm.settings import Settings

MAX_STYLE_BYTES = 256 * 2**20

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


def load_styles(styles: Wanted | Sequence[Wanted], settings: Settings | None = None) -> list[StyleFile]:
    """Every style wanted: one, or several with weights; InvalidStyle or InvalidParameter with the cure."""
    settings = settings or Settings.load()
    several = isinstance(styles, Sequence) and not isinstance(styles, str) and not _is_pair(styles)
    wanted: Sequence[Wanted] = styles if several else [styles]  # type: ignore[assignment, list-item]
    pairs = [item if isinstance(item, tuple) else (item, 1.0) for item in wanted]
    return [replace(load_style(style, settings), weight=weight) for style, weight in pairs]


def shown_name(path: Path) -> str:
    """A file's name without its suffix, for people: what is no UTF-8 or can't be printed is replaced."""
    text = path.stem.encode(errors="replace").decode()
    return "".join(char if char.isprintable() else "�" for char in text)


def _is_pair(styles: object) -> bool:
    return (
        isinstance(styles, tuple)
        and len(styles) == 2
        and isinstance(styles[0], str | Path)
        and isinstance(styles[1], int | float)
    )


def load_style(style: str | Path, settings: Settings | None = None) -> StyleFile:
    """A style image's bytes, from a file or by a built-in name; InvalidStyle with the cure."""
    path = find_style(style)
    if path is not None:
        return _style_from_file(path, settings or Settings.load())
    from farm import styles

    name = str(style)
    data = styles.kept_png(name, (settings or Settings.load()).cache_dir / "styles")
    return StyleFile(name, data, Media(hashlib.sha256(data).hexdigest(), ".png", len(data)))


def find_style(style: str | Path) -> Path | None:
    """The file that `style` names, or None where it is a built-in name; InvalidStyle where it is neither."""
    path, text = Path(style), str(style)
    if "://" in text:
        raise InvalidStyle(f"--style {text} is an address, not a file; download the picture first", path=text)
    try:
        is_file, exists = path.is_file(), path.exists()
    except OSError as error:  # a name too long, a folder one may not enter
        raise InvalidStyle(f"--style {text}: {error.strerror}; give a picture's path", path=text) from error
    if is_file:
        return path
    if exists:
        raise InvalidStyle(f"--style {text} is not a file; give one picture, or a name from `farm styles`", path=text)
    if path.suffix or "/" in text:
        raise InvalidStyle(
            f"--style {text}: no such image file; give a picture, or a name from `farm styles`", path=text
        )
    from farm import styles

    styles.describe(text)
    return None


def _style_from_file(path: Path, settings: Settings) -> StyleFile:
    size_bytes = path.stat().st_size
    if not 0 < size_bytes <= MAX_STYLE_BYTES:
        raise InvalidStyle(f"--style {path}: {size_bytes} bytes is no picture; give a PNG or JPEG", path=str(path))
    try:
        width, height = sandbox.check_picture(path, settings)
        data = path.read_bytes()
    except InvalidStyle as error:
        raise InvalidStyle(f"--style {error.message}", path=str(path)) from error
    except OSError as error:
        raise InvalidStyle(f"--style {path} can't be read: {error.strerror}; check it", path=str(path)) from error
    if min(width, height) < 16:
        raise InvalidStyle(f"--style {path}: {width}×{height} px is too small; give 16 px or more", path=str(path))
    suffix = path.suffix.lower()
    suffix = suffix if suffix in (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff") else ".img"
    return StyleFile(shown_name(path), data, Media(hashlib.sha256(data).hexdigest(), suffix, size_bytes))
