"""Whose colours a painting has: what of style, clip and carried paint the painter sees, and how its picture is shown.

With the clip's own colours only lightness is painted, in one channel; the clip's chroma is laid over it frame by frame.
The lightness of a stored frame is the painted one again, to its rounding: the recursion runs on it as on colours.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import Tensor

from farm.contract.params import Color
from worker.engine.color import ColorStatistics, color_matched, grey, luma_matched, luma_plane, recolored
from worker.engine.flow import Carried
from worker.engine.pixels import Frame, Image, frame_from_image, frame_from_tensor, image_from_frame


class Palette:
    """One job's way with colour. `clip` is needed for every way but the style's own: the colours of the shot."""

    def __init__(self, color: Color, clip: ColorStatistics | None = None) -> None:
        if color is not Color.STYLE and clip is None:
            raise ValueError(f"--color {color} needs the clip's colours; give their statistics")
        self._color = color
        self._clip = clip
        self.channels = 1 if color is Color.CONTENT else 3

    def style(self, frame: Frame) -> Image:
        """A style as it is painted from."""
        image = image_from_frame(frame)
        if self._clip is None or self._color is Color.STYLE:
            return image
        matched = luma_matched if self._color is Color.CONTENT else color_matched
        return np.clip(matched(image, self._clip), 0.0, 1.0)

    def content(self, image: Image) -> Image:
        """The clip's image as it is painted."""
        return grey(image) if self.channels == 1 else image

    def carried(self, carried: Carried | None) -> Carried | None:
        """Carried paint as it is painted on."""
        return replace(carried, image=grey(carried.image)) if carried and self.channels == 1 else carried

    def shown(self, picture_bchw: Tensor, content: Image) -> Frame:
        """The painted picture `(1, channels, H, W)` as the frame that is stored, for the clip's image `content`."""
        if self.channels == 3:
            return frame_from_tensor(picture_bchw)
        return frame_from_image(recolored(picture_bchw[0, 0].cpu().numpy(), content))


def kept_colors(color: Color, frame: Frame, content: Frame) -> Frame:
    """A frame that was not painted but mixed of painted ones, with the clip's own colours where the job keeps them."""
    if color is not Color.CONTENT:
        return frame
    return frame_from_image(recolored(luma_plane(image_from_frame(frame)), image_from_frame(content)))
