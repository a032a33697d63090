"""From a decoded picture to RGB: the clip's own matrix and range, scaled once, turned as players show it.

Wide pictures (HDR, BT.2020) are scaled in 16 bits and then narrowed to BT.709.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from av.video.reformatter import Interpolation, VideoReformatter

from farm.video.color import FULL, SWS_MATRIX, ColorTags
from farm.video.hdr import narrowed

if TYPE_CHECKING:
    import numpy as np
    from av.video.frame import VideoFrame
    from numpy.typing import NDArray

    from farm.video.geometry import Orientation

# The same bytes on every machine, and chroma interpolated rather than repeated.
_EXACT = (
    Interpolation.ACCURATE_RND | Interpolation.BITEXACT | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)


class Converter:
    """Turns pictures into arrays; keeps swscale's tables between pictures."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def rgb(
        self, frame: VideoFrame, orientation: Orientation, color: ColorTags, size_wh: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """`frame` as shown: (H, W, 3) uint8 sRGB of exactly `size_wh`."""
        width, height = orientation.size(*size_wh)
        tags = color.resolved(frame.width, frame.height)
        if tags.wide:
            image = narrowed(self._scaled(frame, tags, width, height, "rgb48le"), tags.transfer)
        else:
            image = self._scaled(frame, tags, width, height, "rgb24")
        return orientation.applied(image)

    def small_bgr(self, frame: VideoFrame, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
        """A quick small copy, (H, W, 3) uint8 BGR, not turned: for scene cuts only."""
        small = self._scaler.reformat(
            frame, width=size_wh[0], height=size_wh[1], format="bgr24", interpolation=Interpolation.AREA, threads=1
        )
        return small.to_ndarray()  # type: ignore[return-value]

    def _scaled(self, frame: VideoFrame, tags: ColorTags, width: int, height: int, pix_fmt: str) -> Any:
        """(height, width, 3) RGB of the coded picture, in `pix_fmt`."""
        shrinks = width * height < frame.width * frame.height
        is_rgb = frame.format.is_rgb
        scaled = self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format=pix_fmt,
            interpolation=(Interpolation.AREA if shrinks else Interpolation.LANCZOS) | _EXACT,
            src_colorspace=None if is_rgb else SWS_MATRIX[tags.matrix],
            src_color_range=None if is_rgb else tags.range,
            dst_color_range=FULL,
            threads=1,
        )
        return scaled.to_ndarray()
