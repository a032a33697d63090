"""Styles painted by the farm's own code: no file to find, no licence to ask.

    names()             the styles there are
    describe("swirl")   one line about one
    paint("swirl")      the picture, the same bytes every time
    png("swirl")        the picture as a PNG file
    kept_png("swirl", folder)   the same, painted the first time only: what a submit uploads

Refuses unknown names (`InvalidStyle`) and sizes outside 16 to 2048 pixels (`InvalidParameter`).
The painters load when the first picture is painted: importing this package loads neither numpy nor OpenCV.
"""

from __future__ import annotations

from farm.styles.gallery import describe, names, paint, png
from farm.styles.kept import kept_png

__all__ = ["describe", "kept_png", "names", "paint", "png"]
