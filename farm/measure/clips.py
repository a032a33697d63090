"""Any painted film measured against the clip it was painted from: two files, by whomever they were made."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from farm import shots, video
from farm.contract.errors import InvalidInput
from farm.contract.excerpt import Excerpt, excerpt_of
from farm.contract.plan import FrameRange
from farm.measure.film import OnFrame, measure_film
from farm.measure.report import PictureReport
from farm.motion import Frame
from farm.video import FrameIndex


@dataclass(frozen=True, slots=True)
class ClipFrames:
    """A clip's frames, decoded anew at each call: nothing is kept."""

    path: Path
    index: FrameIndex
    cuts: tuple[int, ...] = ()

    @property
    def size_wh(self) -> tuple[int, int]:
        """As a player shows it, px."""
        return self.index.width, self.index.height

    def frames(self, size_wh: tuple[int, int] | None = None) -> Iterator[Frame]:
        """Every frame, `(H, W, 3) uint8 sRGB`, scaled to `size_wh` where it is given."""
        return video.decode(self.path, self.index, 0, self.index.frame_count, size_wh)


def clip_frames(path: str | Path, excerpt: Excerpt | None = None) -> ClipFrames:
    """Index and cuts of a clip, or of a part of it; InvalidClip where it can't be read."""
    detector = shots.CutDetector()
    index = video.index(Path(path), detector.add, excerpt=excerpt)
    return ClipFrames(Path(path), index, detector.cuts())


def measure_clips(
    source: str | Path,
    film: str | Path,
    *,
    against: str | Path | None = None,
    from_s: float | str | None = None,
    to_s: float | str | None = None,
    on_frame: OnFrame | None = None,
) -> PictureReport:
    """Measure the file `film` against its `source`; cuts are found in the source, boundaries are unknown.

    The source is scaled to the film. `against`: another film of the same clip and size; `from_s`, `to_s`: the part of
    the source that the film was painted from, seconds or `1:23.5` (None: from its beginning, to its end). InvalidInput
    where they differ in frames, InvalidClip where one can't be read.
    """
    clip, painted = clip_frames(source, excerpt_of(from_s, to_s)), clip_frames(film)
    require_frames(painted, clip.index.frame_count, str(source))
    other = None if against is None else reference_frames(against, painted.size_wh, clip.index.frame_count)
    edges = [0, *clip.cuts, clip.index.frame_count]
    return measure_film(
        clip.frames(painted.size_wh),
        painted.frames(),
        shots=[FrameRange(start, stop) for start, stop in pairwise(edges)],
        reference=other,
        on_frame=on_frame,
    )


def reference_frames(path: str | Path, size_wh: tuple[int, int], frame_count: int) -> Iterator[Frame]:
    """The frames of a reference film; InvalidInput where it has another size or length."""
    clip = clip_frames(path)
    require_frames(clip, frame_count, "the film")
    if clip.size_wh != size_wh:
        sizes = " and the film ".join(f"{width}×{height} px" for width, height in (clip.size_wh, size_wh))
        raise InvalidInput(f"{path} is {sizes}; give a reference of the film's size")
    return clip.frames()


def require_frames(clip: ClipFrames, frame_count: int, of: str) -> None:
    """InvalidInput where the clip has another number of frames."""
    if clip.index.frame_count != frame_count:
        raise InvalidInput(
            f"{clip.path} has {clip.index.frame_count} frames, {of} has {frame_count}; "
            "give a film painted from this clip, whole, or the part of it by --from and --to"
        )
