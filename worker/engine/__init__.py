"""The painting engine: pixels in, pixels out. It knows no queue, no bucket and no settings.

    from worker.engine import stylize
    painting = stylize(content, style)

A clip is painted with a `Painter`: `paint_first`, then `paint_next` from what `carry` brings over, with
`carry_far` and `paint_anchor` for a chunk's first frame and `blend_frame` where two chunks meet.
"""

from worker.engine.backbones import Network
from worker.engine.blend import blend_frame, raised_cosine_weights
from worker.engine.color import ColorStatistics, color_statistics
from worker.engine.flow import Carried, carry, carry_far
from worker.engine.machine import Machine
from worker.engine.pixels import Frame
from worker.engine.stylize import OnStep, Painted, Painter, StepProgress, stylize

__all__ = [
    "Carried",
    "ColorStatistics",
    "Frame",
    "Machine",
    "Network",
    "OnStep",
    "Painted",
    "Painter",
    "StepProgress",
    "blend_frame",
    "carry",
    "carry_far",
    "color_statistics",
    "raised_cosine_weights",
    "stylize",
]
