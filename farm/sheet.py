"""The contact sheet: source frames over their paintings, or paintings alone, on a dark neutral ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil, log
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from farm.contract.errors import InvalidParameter

Image = NDArray[np.uint8]

_GROUND, _TITLE, _TEXT, _FAINT = (24, 24, 26), (238, 236, 232), (168, 168, 172), (118, 118, 124)
_MARGIN_PX, _GUTTER_PX, _PAIR_GAP_PX, _CAPTION_PX = 40, 20, 6, 34
_TITLE_PX, _LINE_PX, _CAPTION_TEXT_PX = 28, 15, 13
_TITLE_STEP_PX, _LINE_STEP_PX = 40, 24
_CELL_MIN_PX, _CELL_MAX_PX = 240, 480
_MIN_WIDTH_PX = 520
_WANTED_ASPECT = 1.5  # of the whole sheet
_BARE_CELL = 0.3  # an empty place is as bad as a sheet this much off its shape
_BOLD, _REGULAR = 600, 400


@dataclass(frozen=True, slots=True)
class _Layout:
    columns: int
    rows: int
    cell_wh: tuple[int, int]
    head_px: int
    paired: bool

    @property
    def source_px(self) -> int:
        """How far below its place's top a painting lies."""
        return self.cell_wh[1] + _PAIR_GAP_PX if self.paired else 0

    @property
    def pair_px(self) -> int:
        return self.source_px + self.cell_wh[1] + _CAPTION_PX

    @property
    def size_wh(self) -> tuple[int, int]:
        width = 2 * _MARGIN_PX + self.columns * (self.cell_wh[0] + _GUTTER_PX) - _GUTTER_PX
        return max(width, _MIN_WIDTH_PX), self.head_px + self.rows * self.pair_px + _MARGIN_PX // 2

    def corner(self, number: int) -> tuple[int, int]:
        """Top left (x, y) of a pair."""
        row, column = divmod(number, self.columns)
        return _MARGIN_PX + column * (self.cell_wh[0] + _GUTTER_PX), self.head_px + row * self.pair_px


def contact_sheet(
    pairs: Sequence[tuple[int | str, Image | None, Image]], lines: Sequence[str] = (), columns: int | None = None
) -> Image:
    """One picture (H, W, 3) uint8 sRGB of `pairs`: (frame number or caption, source, painted), both (h, w, 3) uint8.

    Where no pair has a source there is no room for one. The first of `lines` is the title. `columns`: pairs in a row,
    by default as many as make it a page.
    """
    if not pairs:
        raise InvalidParameter("a contact sheet of no frames has nothing to show; give one pair or more", value=0)
    paired = any(source is not None for _, source, _ in pairs)
    layout = _layout(len(pairs), pairs[0][2].shape, len(lines), paired, columns)
    width, height = layout.size_wh
    sheet = np.full((height, width, 3), _GROUND, np.uint8)
    for number, (caption, source, painted) in enumerate(pairs):
        x, y = layout.corner(number)
        below = y + layout.source_px
        if source is not None:
            _paste(sheet, source, (x, y), layout.cell_wh)
        _paste(sheet, painted, (x, below), layout.cell_wh)
        caption_y = below + layout.cell_wh[1] + 20
        text = _fitted(f"{caption}", _CAPTION_TEXT_PX, _REGULAR, layout.cell_wh[0])
        _write(sheet, text, (x, caption_y), _CAPTION_TEXT_PX, _FAINT, _REGULAR)
    _write_head(sheet, lines, width - 2 * _MARGIN_PX)
    return sheet


def _layout(count: int, shape: tuple[int, ...], line_count: int, paired: bool, columns: int | None) -> _Layout:
    height, width = shape[:2]
    longer = min(max(width, height, _CELL_MIN_PX), _CELL_MAX_PX)
    scale = longer / max(width, height)
    cell = (max(1, round(width * scale)), max(1, round(height * scale)))
    head = _MARGIN_PX + (_TITLE_STEP_PX if line_count else 0) + max(0, line_count - 1) * _LINE_STEP_PX
    head += 16 if line_count else 0
    numbers = range(1, count + 1) if columns is None else [columns]
    layouts = [_Layout(number, ceil(count / number), cell, head, paired) for number in numbers]
    return min(layouts, key=lambda layout: _awkwardness(layout, count))


def _awkwardness(layout: _Layout, count: int) -> float:
    """How far a sheet is from the wanted shape, and how much of it is bare."""
    width, height = layout.size_wh
    bare = layout.rows * layout.columns - count
    return abs(log(width / height / _WANTED_ASPECT)) + _BARE_CELL * bare


def _paste(sheet: Image, image: Image, corner: tuple[int, int], size_wh: tuple[int, int]) -> None:
    x, y = corner
    shrinks = size_wh[0] < image.shape[1]
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    fits = image.shape[1::-1] == size_wh
    sheet[y : y + size_wh[1], x : x + size_wh[0]] = image if fits else cv2.resize(image, size_wh, interpolation=kernel)


def _write_head(sheet: Image, lines: Sequence[str], room_px: int) -> None:
    for number, line in enumerate(lines):
        if number == 0:
            _write(
                sheet, _fitted(line, _TITLE_PX, _BOLD, room_px), (_MARGIN_PX, _MARGIN_PX + 24), _TITLE_PX, _TITLE, _BOLD
            )
        else:
            y = _MARGIN_PX + _TITLE_STEP_PX + (number - 1) * _LINE_STEP_PX + 12
            _write(sheet, _fitted(line, _LINE_PX, _REGULAR, room_px), (_MARGIN_PX, y), _LINE_PX, _TEXT, _REGULAR)


def _fitted(text: str, size_px: int, weight: int, room_px: int) -> str:
    """`text`, shortened with an ellipsis until it is no wider than `room_px`."""
    shown = text
    while len(shown) > 1 and _width(shown, size_px, weight) > room_px:
        text = text[:-1]
        shown = text.rstrip() + "…"
    return shown


def _width(text: str, size_px: int, weight: int) -> int:
    _, _, width, _ = cv2.getTextSize((1, 1), text, (0, 0), _font(), size_px, weight)
    return int(width)


def _write(
    sheet: Image, text: str, corner: tuple[int, int], size_px: int, color: tuple[int, int, int], weight: int
) -> None:
    cv2.putText(sheet, text, corner, color, _font(), size_px, weight)


@cache
def _font() -> Any:
    """The typeface that ships inside OpenCV."""
    return cv2.FontFace("sans")
