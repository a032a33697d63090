"""Pictures to compare by: rows of frames, one row a method, under one title, on the contact sheet's dark ground."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]
"""`(H, W, 3) uint8 sRGB`."""

_GROUND, _TITLE, _TEXT, _FAINT, _MARK = (24, 24, 26), (238, 236, 232), (190, 190, 194), (128, 128, 134), (244, 162, 97)
_MARGIN_PX, _GAP_PX, _ROW_GAP_PX, _LABEL_PX = 24, 4, 8, 150
_TITLE_PX, _LABEL_SIZE_PX, _NOTE_PX, _CAPTION_SIZE_PX = 20, 14, 12, 12
_NOTE_STEP_PX, _CAPTION_PX, _HEAD_STEP_PX = 18, 22, 22
_BOLD, _REGULAR = 600, 400
_QUALITIES = range(86, 48, -4)


@dataclass(frozen=True, slots=True)
class Row:
    """One method's frames, with its name and a few short figures beside them."""

    label: str
    images: Sequence[Frame]
    notes: Sequence[str] = ()


def strip(
    rows: Sequence[Row],
    captions: Sequence[str],
    *,
    title: str,
    lines: Sequence[str] = (),
    cell_px: int = 200,
    marked: int | None = None,
) -> Frame:
    """One picture (H, W, 3) uint8 sRGB of `rows`, all of them as many images of one shape as there are `captions`.

    `cell_px`: width of an image in it; `marked`: a column whose caption stands out.
    """
    height, width = rows[0].images[0].shape[:2]
    cell_wh = (cell_px, max(1, round(height * cell_px / width)))
    head = _MARGIN_PX + _TITLE_PX + 12 + len(lines) * _HEAD_STEP_PX + _CAPTION_PX
    size_wh = (
        2 * _MARGIN_PX + _LABEL_PX + len(captions) * (cell_wh[0] + _GAP_PX) - _GAP_PX,
        head + len(rows) * (cell_wh[1] + _ROW_GAP_PX) - _ROW_GAP_PX + _MARGIN_PX,
    )
    sheet = np.full((size_wh[1], size_wh[0], 3), _GROUND, np.uint8)
    _write(sheet, title, (_MARGIN_PX, _MARGIN_PX + _TITLE_PX - 2), _TITLE_PX, _TITLE, _BOLD)
    for number, line in enumerate(lines):
        y = _MARGIN_PX + _TITLE_PX + 4 + (number + 1) * _HEAD_STEP_PX - 4
        _write(sheet, line, (_MARGIN_PX, y), _LABEL_SIZE_PX, _TEXT, _REGULAR)
    for column, caption in enumerate(captions):
        x = _column_x(column, cell_wh)
        color = _MARK if column == marked else _FAINT
        _write(sheet, caption, (x, head - 8), _CAPTION_SIZE_PX, color, _BOLD if column == marked else _REGULAR)
    for number, row in enumerate(rows):
        _draw_row(sheet, row, head + number * (cell_wh[1] + _ROW_GAP_PX), cell_wh)
    return sheet


def difference(now: Frame, carried: NDArray[Any], mask: NDArray[Any], gain: float = 4.0) -> Frame:
    """What motion does not explain: `|now − carried|`, `gain` times as bright, dark where the mask knows no motion."""
    apart = np.abs(now.astype(np.float32) - carried.astype(np.float32)).mean(axis=2) * mask
    return np.repeat(np.clip(gain * apart, 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def save_jpeg(image: Frame, path: Path, limit_bytes: int) -> int:
    """Write a JPEG, in the best of a few qualities that stays below the limit; its size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b""
    for quality in _QUALITIES:
        coded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), _jpeg(quality))[1]
        data = np.asarray(coded).tobytes()
        if len(data) <= limit_bytes:
            break
    path.write_bytes(data)
    return len(data)


def _jpeg(quality: int) -> list[int]:
    return [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]


def _draw_row(sheet: Frame, row: Row, top: int, cell_wh: tuple[int, int]) -> None:
    _write(sheet, row.label, (_MARGIN_PX, top + 14), _LABEL_SIZE_PX, _TITLE, _BOLD)
    for number, note in enumerate(row.notes):
        _write(sheet, note, (_MARGIN_PX, top + 36 + number * _NOTE_STEP_PX), _NOTE_PX, _TEXT, _REGULAR)
    for column, image in enumerate(row.images):
        x = _column_x(column, cell_wh)
        sheet[top : top + cell_wh[1], x : x + cell_wh[0]] = _fitted(image, cell_wh)


def _column_x(column: int, cell_wh: tuple[int, int]) -> int:
    return _MARGIN_PX + _LABEL_PX + column * (cell_wh[0] + _GAP_PX)


def _fitted(image: Frame, size_wh: tuple[int, int]) -> Frame:
    if image.shape[1::-1] == size_wh:
        return image
    kernel = cv2.INTER_AREA if size_wh[0] < image.shape[1] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, size_wh, interpolation=kernel), np.uint8)


def _write(
    sheet: Frame, text: str, corner: tuple[int, int], size_px: int, color: tuple[int, int, int], weight: int
) -> None:
    cv2.putText(sheet, text, corner, color, _font(), size_px, weight)


@cache
def _font() -> Any:
    """The typeface that ships inside OpenCV."""
    return cv2.FontFace("sans")
