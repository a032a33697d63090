"""How good a painted film is, in figures: warping error E, seams, detail, style, drift. OpenCV and numpy, no torch.

    from farm.measure import measure_job, plot

    report = measure_job(farm.job("clip-0123456789"), against=farm.job("clip-9876543210"))
    plot(report, "measure.png")

`measure_film` takes any two films. What each figure means is said where it is kept, in `farm.measure.report`.
"""

from farm.measure.chart import plot
from farm.measure.clips import measure_clips
from farm.measure.film import FilmMeasurer, film_report, measure_film, seam_windows
from farm.measure.flow import Motion
from farm.measure.jobs import measure_job, style_losses
from farm.measure.report import FrameFigures, PictureReport
from farm.measure.summary import joined

__all__ = [
    "FilmMeasurer",
    "FrameFigures",
    "Motion",
    "PictureReport",
    "film_report",
    "joined",
    "measure_clips",
    "measure_film",
    "measure_job",
    "plot",
    "seam_windows",
    "style_losses",
]
