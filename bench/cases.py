"""Which jobs the benchmark and the gallery ask for. The same case is the same job in both, so it is painted once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.clips import BenchClip, cut
from bench.jobs import Ask
from farm.contract.params import Backbone, Coherence, Params

SIZE_PX = 320
CHUNKS = (12, 48)
STYLES = ("swirl", "mosaic")
LEGACY_STEPS = 60
"""Steps a level of a frame of 2015: about as many as bring it to the style loss of ours, so that both films are equally
painted and the error between their frames can be compared."""
EXCERPT_FRAMES, EXCERPT_CHUNK = 32, 16
FRESH_FRAMES = 2
"""Frames of the first and of the last tenth that are also painted from nothing."""


@dataclass(frozen=True, slots=True)
class Scope:
    """How much of everything is painted."""

    folder: Path  # of the cut clips
    size_px: int = SIZE_PX
    frames: int = 10_000  # at most, of a shot
    excerpt_frames: int = EXCERPT_FRAMES
    excerpt_chunk: int = EXCERPT_CHUNK
    params: Params = Params()


@dataclass(frozen=True, slots=True)
class Shot:
    """One shot to paint: the clip's file and how long it is."""

    clip: BenchClip
    path: Path
    frames: int


@dataclass(frozen=True, slots=True)
class Case:
    """One shot in one style on one backbone."""

    shot: Shot
    style: str
    backbone: Backbone = Backbone.EFFICIENTNET_LITE0

    @property
    def label(self) -> str:
        """For people."""
        backbone = "" if self.backbone is Backbone.EFFICIENTNET_LITE0 else f", {self.backbone}"
        return f"{self.shot.clip.name}, {self.style}{backbone}"


Made = Callable[[BenchClip, int], Path]
"""Writes the first frames of a synthetic clip, and says where."""


def shot(clip: BenchClip, scope: Scope, made: Made | None = None) -> Shot:
    """A clip's shot, no longer than the scope says."""
    frames = min(len(clip), scope.frames)
    path = made(clip, frames) if made else cut(clip, range(frames), scope.folder)
    return Shot(clip, path, frames)


def farm_ask(case: Case, chunk_frames: int, scope: Scope) -> Ask:
    """The farm as it is: chunks, anchors, blend."""
    return _ask(case, case.shot.path, case.shot.frames, chunk_frames, scope, Coherence.BLEND)


def sequential_ask(case: Case, scope: Scope) -> Ask:
    """The same in one piece: what seams are held against."""
    return _ask(case, case.shot.path, case.shot.frames, CHUNKS[-1], scope, Coherence.SEQUENTIAL)


def excerpt_frames(clip: BenchClip, scope: Scope) -> range:
    """The few frames that are painted the slow way, too."""
    count = min(scope.excerpt_frames, len(clip), scope.frames)
    start = max(0, min(clip.excerpt, min(len(clip), scope.frames) - count))
    return range(start, start + count)


def excerpt_asks(case: Case, scope: Scope) -> dict[str, Ask]:
    """Ours, the method of 2015, and ours without the temporal term, on the excerpt."""
    frames = excerpt_frames(case.shot.clip, scope)
    path = cut(case.shot.clip, frames, scope.folder)
    ours = _ask(case, path, len(frames), scope.excerpt_chunk, scope, Coherence.BLEND)
    whole = _ask(case, path, len(frames), len(frames), scope, Coherence.LEGACY)  # one chunk: nothing begins anew
    whole = replace(whole, params=replace(whole.params, steps=min(LEGACY_STEPS, whole.params.steps)))
    return {"ours": ours, "legacy": whole, "untied": replace(ours, params=replace(ours.params, temporal_weight=0.0))}


def fresh_ask(case: Case, scope: Scope) -> Ask:
    """The frames of `fresh_frames`, each painted from nothing."""
    frames = fresh_frames(case.shot.frames)
    path = cut(case.shot.clip, frames, scope.folder)
    return _ask(case, path, len(frames), 1, scope, Coherence.OFF)


def fresh_frames(count: int, each: int = FRESH_FRAMES) -> list[int]:
    """Frames spread over the first and over the last tenth of a shot of `count` frames."""
    tenth = tenth_of(count)
    each = min(each, tenth)
    inside = [(2 * number + 1) * tenth // (2 * each) for number in range(each)]
    return sorted({*inside, *(count - tenth + frame for frame in inside)})


def tenth_of(count: int) -> int:
    """How many frames a tenth of a shot is; one at least."""
    return max(1, count // 10)


def _ask(case: Case, path: Path, frames: int, chunk: int, scope: Scope, coherence: Coherence) -> Ask:
    params = replace(scope.params, coherence=coherence, backbone=case.backbone)
    return Ask(path, frames, case.style, scope.size_px, chunk, params)
