"""From a decoded picture to RGB: the clip's own matrix and range, scaled once, turned as players show it.

Wide pictures (HDR, BT.2020) are mapped to BT.709 by swscale where it can, else taken as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import av.error
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorTrc, Interpolation, VideoReformatter

from farm.video.color import FULL, SWS_MATRIX, ColorTags

if TYPE_CHECKING:
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
        self._maps_wide = True

    def rgb(
        self, frame: VideoFrame, orientation: Orientation, color: ColorTags, size_wh: tuple[int, int]
    ) -> NDArray[np.uint8]:
        """`frame` as shown: (H, W, 3) uint8 sRGB of exactly `size_wh`."""
        width, height = orientation.size(*size_wh)
        tags = color.resolved(frame.width, frame.height)
        shrinks = width * height < frame.width * frame.height
        kernel = (Interpolation.AREA if shrinks else Interpolation.LANCZOS) | _EXACT
        scaled = self._scaled(frame, tags, width, height, kernel)
        image: NDArray[np.uint8] = scaled.to_ndarray()  # type: ignore[assignment]  # (H, W, 3), rgb24
        return orientation.applied(image)

    def small_bgr(self, frame: VideoFrame, size_wh: tuple[int, int]) -> NDArray[np.uint8]:
        """A quick small copy, (H, W, 3) uint8 BGR, not turned: for scene cuts only."""
        small = self._scaler.reformat(
            frame, width=size_wh[0], height=size_wh[1], format="bgr24", interpolation=Interpolation.AREA, threads=1
        )
        return small.to_ndarray()  # type: ignore[return-value]

    def _scaled(self, frame: VideoFrame, tags: ColorTags, width: int, height: int, kernel: int) -> VideoFrame:
        if tags.wide and self._maps_wide:
            try:
                return self._reformat(frame, tags, width, height, kernel, mapped=True)
            except (av.error.FFmpegError, NotImplementedError):
                self._maps_wide = False
        return self._reformat(frame, tags, width, height, kernel, mapped=False)

    def _reformat(
        self, frame: VideoFrame, tags: ColorTags, width: int, height: int, kernel: int, *, mapped: bool
    ) -> VideoFrame:
        if mapped:
            frame.color_trc, frame.color_primaries = tags.transfer, tags.primaries
        is_rgb = frame.format.is_rgb
        return self._scaler.reformat(
            frame,
            width=width,
            height=height,
            format="rgb24",
            interpolation=kernel,
            src_colorspace=None if is_rgb else SWS_MATRIX[tags.matrix],
            src_color_range=None if is_rgb else (2 if tags.range == FULL else 1),
            dst_color_range=2,
            dst_color_trc=ColorTrc.BT709 if mapped else None,
            dst_color_primaries=ColorPrimaries.BT709 if mapped else None,
            threads=1,
        )
