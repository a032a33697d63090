"""Colour tags: which matrix and range turn a clip's YUV to RGB, and what the film says about its own.

Numbers are those of ITU-T H.273, which FFmpeg uses unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

RGB, BT709, UNSPECIFIED, FCC, BT470BG, SMPTE170M, SMPTE240M, BT2020 = 0, 1, 2, 4, 5, 6, 7, 9
PQ, HLG = 16, 18
BT2020_10, BT2020_12 = 14, 15
LIMITED, FULL = 1, 2

SWS_MATRIX = {BT709: 1, FCC: 4, BT470BG: 5, SMPTE170M: 5, SMPTE240M: 7, BT2020: 9, 10: 9}
"""Colour matrices swscale converts, by its own numbers."""

_HD_WIDTH, _HD_HEIGHT = 1280, 576


@dataclass(frozen=True, slots=True)
class ColorTags:
    """H.273 code points; 2 is "unspecified" (for `range`: 0)."""

    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    matrix: int = UNSPECIFIED
    range: int = 0

    @property
    def wide(self) -> bool:
        """Whether it is HDR or BT.2020, which 8-bit sRGB can't show as it is."""
        return self.transfer in (PQ, HLG) or self.primaries == BT2020 or self.matrix in (BT2020, 10)

    def resolved(self, width: int, height: int) -> ColorTags:
        """Every unspecified tag as players guess it: BT.709 from 1280 wide or above 576 lines, else BT.601."""
        matrix = self.matrix
        if matrix not in SWS_MATRIX:
            matrix = BT709 if width >= _HD_WIDTH or height > _HD_HEIGHT else SMPTE170M
        guess = BT709 if matrix == BT709 else BT2020 if matrix in (BT2020, 10) else SMPTE170M
        return ColorTags(
            primaries=guess if self.primaries in (0, UNSPECIFIED) else self.primaries,
            transfer=(BT2020_10 if guess == BT2020 else guess) if self.transfer in (0, UNSPECIFIED) else self.transfer,
            matrix=matrix,
            range=self.range or LIMITED,
        )

    def film(self, width: int, height: int) -> ColorTags:
        """The film's tags: the clip's own (resolved, limited range); BT.709 for clips that were mapped to it."""
        own = self.resolved(width, height)
        if own.wide:
            return ColorTags(BT709, BT709, BT709, LIMITED)
        return replace(own, range=LIMITED)


def tags_of(frame: VideoFrame) -> ColorTags:
    """The tags a decoded frame carries; `yuvj…` formats are full range by name."""
    full = frame.format.name.startswith("yuvj")
    return ColorTags(
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=int(frame.colorspace),
        range=FULL if full else int(frame.color_range),
    )
