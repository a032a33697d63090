"""Sizes and turns: what a player shows of a coded picture, and how large the farm paints it."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from farm.contract.errors import InvalidClip, InvalidParameter
from farm.contract.spec import MAX_SIZE_PX, MIN_SIZE_PX

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Orientation:
    """How a coded picture becomes the shown one: first transpose, then mirror."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @property
    def rotation_deg(self) -> int:
        """Clockwise turn a player applies: 0, 90, 180 or 270; a mirror alone counts as 0."""
        if self.transpose:
            return 90 if self.flip_x else 270 if self.flip_y else 0
        return 180 if self.flip_x and self.flip_y else 0

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Shown (width, height) of a coded one; its own inverse."""
        return (height, width) if self.transpose else (width, height)

    def applied(self, image: NDArray[Any]) -> NDArray[Any]:
        """`image` (H, W, 3) as shown, contiguous."""
        if self.transpose:
            image = image.transpose(1, 0, 2)
        if self.flip_x:
            image = image[:, ::-1]
        if self.flip_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


def orientation_of(frame: VideoFrame) -> Orientation:
    """The frame's display matrix, to the nearest quarter turn or mirror.

    The matrix maps x' = a x + c y, y' = b x + d y (ISO/IEC 14496-12, 8.3.2), y down.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return Orientation()
    a, b, _, c, d = struct.unpack_from("=5i", bytes(data))
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return Orientation(flip_x=a < 0, flip_y=d < 0)
    return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)


def frame_size(width: int, height: int, size_px: int | None) -> tuple[int, int]:
    """The painted (width, height): longer side `size_px` (None: the source's), aspect kept, both even and ≥ 16."""
    if size_px is not None and not MIN_SIZE_PX <= size_px <= MAX_SIZE_PX:
        raise InvalidParameter(
            f"--size {size_px} is outside its range; give a whole number from {MIN_SIZE_PX} to {MAX_SIZE_PX}",
            name="size",
            value=size_px,
        )
    scale = 1.0 if size_px is None else size_px / max(width, height)
    return _even(width * scale), _even(height * scale)


def painted_size(path: Path | str, shown_wh: tuple[int, int], size_px: int | None, pixels: int) -> tuple[int, int]:
    """`frame_size` of the clip at `path`; InvalidClip where that is larger than the farm paints.

    Too large: a side above `MAX_SIZE_PX`, or more than `pixels` in all. Wide pixels make a large frame of a small one.
    """
    size_wh = frame_size(*shown_wh, size_px)
    if _fits(size_wh, pixels):
        return size_wh
    sizes = range(MAX_SIZE_PX, MIN_SIZE_PX, -2)
    most = next((size for size in sizes if _fits(frame_size(*shown_wh, size), pixels)), MIN_SIZE_PX)
    raise InvalidClip(
        f"{path} would be painted at {size_wh[0]}×{size_wh[1]}, more than {MAX_SIZE_PX} px a side or {pixels} pixels; "
        f"give --size {most} or less",
        path=str(path),
    )


def _fits(size_wh: tuple[int, int], pixels: int) -> bool:
    return max(size_wh) <= MAX_SIZE_PX and size_wh[0] * size_wh[1] <= pixels


def _even(length: float) -> int:
    return max(MIN_SIZE_PX, 2 * round(length / 2))
