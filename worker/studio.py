"""What a worker process keeps between tasks: its device, loaded backbones, painters, media.

A backbone is loaded once per process; a painter (the style's targets at every pyramid level) once per job. A job's
clip stays open between its tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.messages import FrameRecord
from farm.contract.params import Backbone, Color
from farm.contract.plan import FrameRange
from farm.contract.spec import Spec
from farm.executor import Outcome, Run
from farm.media import MediaCache
from farm.sandbox import read_picture
from farm.settings import Settings, painting_bytes
from farm.store import Store
from farm.video import Reel
from worker.device import Device, machine_of, repeat_alike, versions
from worker.engine import ColorStatistics, Frame, Network, Painter, color_statistics
from worker.engine.backbones import load

T = TypeVar("T")

LOAD_LIMIT_S = 3600.0
"""A backbone's weights may have to be downloaded, over whatever line there is, and its kernels compiled."""
KEPT_PAINTERS = 2
KEPT_COLORS = 64
COLOR_FRAMES = 8
"""Frames of a shot that its colours are taken from: a fade from black has others at its end."""


@dataclass(frozen=True)
class Clip:
    """A job's source on this machine, at the size it is painted, as one task reads it."""

    reel: Reel
    on_beat: Callable[[], None]

    def frames(self, start: int, stop: int) -> Iterator[Frame]:
        """Source frames `[start, stop)`, each `(H, W, 3) uint8 sRGB` at the painted size."""
        return self.reel.frames(start, stop, self.on_beat)


class Studio:
    """One worker process's tools."""

    def __init__(self, settings: Settings, store: Store, device: Device) -> None:
        self.device = device
        self.machine = machine_of(device, settings.threads)
        self.versions = {**versions(), "compile": settings.compile}
        self._settings = settings
        self._store = store
        self._media = MediaCache.from_settings(store, settings)
        self._network = lru_cache(maxsize=2)(self._load_network)
        self._painters = _Kept[Painter](KEPT_PAINTERS)
        self._reels = _Kept[Reel](1)
        self._colors = _Kept[ColorStatistics](KEPT_COLORS)

    def painter(self, run: Run) -> Painter:
        """The painter of a job. WeightsMismatch where this worker has other weights than the spec names."""
        spec, size_hw = run.spec, (run.plan.height, run.plan.width)
        colors = None if spec.params.color is Color.STYLE else self._shot_colors(run)
        what = to_json([spec.styles, spec.params, spec.weights_sha256, list(size_hw), colors])
        with run.slow(LOAD_LIMIT_S):
            return self._painters.get(what, lambda: self._make_painter(spec, size_hw, colors))

    def outcome(self, run: Run, frames: Sequence[FrameRecord]) -> Outcome:
        """What a task that painted these frames leaves for its manifest."""
        precision = self.device.precision(run.spec.params.backbone)
        told = {**self.versions, "precision": precision}
        return Outcome(tuple(frames), self.device.title, told, self.device.peak_bytes())

    def clip(self, run: Run) -> Clip:
        """The job's source."""
        # A long download is a sign of life, and can be stopped.
        source = self._media.path(run.spec.source, lambda _done, _total: run.check())
        size_wh = (run.plan.width, run.plan.height)
        return Clip(self._reels.get(run.job.encode(), lambda: Reel(source, run.index, size_wh)), run.check)

    def _shot_colors(self, run: Run) -> ColorStatistics:
        """The colours of the shot that the task's frame lies in, from frames spread over it.

        Whoever needs them first stores them, so that all chunks of a shot are painted alike whoever paints them.
        """
        shot = next(item for item in run.plan.shots if run.message.start in item)
        key = keys.colors(run.job, shot.start)

        def look() -> ColorStatistics:
            if self._store.head(key) is None:
                with run.span("colors"):
                    found = color_statistics(self._spread(run, shot))
                self._store.put_once(key, to_json(found), "application/json")
            return from_json(ColorStatistics, self._store.get(key))

        return self._colors.get(key.encode(), look)

    def _spread(self, run: Run, shot: FrameRange) -> Iterator[Frame]:
        clip, count = self.clip(run), min(COLOR_FRAMES, len(shot))
        for at in range(count):
            number = shot.start + (2 * at + 1) * len(shot) // (2 * count)
            run.check()
            yield from clip.frames(number, number + 1)

    def _make_painter(self, spec: Spec, size_hw: tuple[int, int], colors: ColorStatistics | None) -> Painter:
        network = self._network(spec.params.backbone, spec.weights_sha256)
        styles = [(read_picture(self._media.path(item.media), self._settings), item.weight) for item in spec.styles]
        device = self.device.torch_name
        limit = self._settings.memory_mb << 20 or painting_bytes(self.device.memory_bytes, on_cpu=device == "cpu")
        return Painter(network, spec.params, styles, size_hw=size_hw, device=device, colors=colors, memory_bytes=limit)

    def _load_network(self, backbone: Backbone, weights_sha256: str) -> Network:
        repeat_alike()
        return load(
            backbone,
            weights_sha256,
            self.device.torch_name,
            self._settings.weights_dir,
            bfloat16=self.device.precision(backbone) == "bfloat16",
            compiled=self._settings.compile == "on",
        )


class _Kept(dict[bytes, T]):
    """The few values used last."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def get(self, key: bytes, make: Callable[[], T]) -> T:  # type: ignore[override]
        """The value of `key`, made if it is not kept."""
        value = self.pop(key) if key in self else make()
        self[key] = value
        while len(self) > self._size:
            del self[next(iter(self))]
        return value
