"""The gallery: which styles there are, and the one way to have one painted."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from farm.contract.errors import InvalidParameter, InvalidStyle

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

SMALLEST_PX, LARGEST_PX = 16, 2048


@dataclass(frozen=True)
class Style:
    """One built-in style: painted by the module of its name in this package."""

    name: str
    line: str
    seed: int


STYLES = {
    style.name: style
    for style in (
        Style("swirl", "Night of blue eddies and golden spirals, in short loaded strokes", 7),
        Style("wheat", "Wind-bent field of ochre and gold under a turquoise sky, thick impasto", 11),
        Style("ember", "Burning sky of long screaming curves over a dark teal fjord", 3),
        Style("pond", "Lilies on violet and green water, in broad melting dabs", 5),
        Style("dots", "Sunset over water in pure dots of colour, left to the eye to mix", 13),
        Style("mosaic", "Glass and gold tesserae in rings and waves, set in dark grout", 17),
        Style("glass", "Jewel-coloured shards of stained glass in dark lead", 19),
        Style("wave", "Woodblock seas: flat indigo washes, carved lines, curling foam", 23),
        Style("ink", "Mountains in mist, brushed wet and dry in black ink, one red sun", 29),
    )
}


def names() -> tuple[str, ...]:
    """The built-in styles' names."""
    return tuple(STYLES)


def describe(name: str) -> str:
    """One line about a style, for people."""
    return _style(name).line


def paint(name: str, width: int = 768, height: int = 576) -> npt.NDArray[np.uint8]:
    """(height, width, 3) uint8 sRGB: the style's picture, the same bytes each time."""
    from farm.styles.sheet import Sheet

    style = _style(name)
    _check_side("width", width)
    _check_side("height", height)
    sheet = Sheet(width, height, style.seed)
    painter = import_module(f"farm.styles.{style.name}")
    return sheet.finish(painter.paint(sheet))


def png(name: str, width: int = 768, height: int = 576) -> bytes:
    """The style's picture as a PNG file."""
    import cv2

    rgb = paint(name, width, height)
    _, data = cv2.imencode(".png", rgb[..., ::-1], [cv2.IMWRITE_PNG_COMPRESSION, 6])
    return bytes(data.tobytes())


def _style(name: str) -> Style:
    if name in STYLES:
        return STYLES[name]
    close = difflib.get_close_matches(name.lower(), STYLES, n=2, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise InvalidStyle(f"no built-in style {name!r}: {hint}choose one of {', '.join(STYLES)}", name=name)


def _check_side(side: str, pixels: int) -> None:
    if not SMALLEST_PX <= pixels <= LARGEST_PX:
        raise InvalidParameter(
            f"a style's {side} can't be {pixels} px: choose {SMALLEST_PX} to {LARGEST_PX}", name=side, value=pixels
        )
