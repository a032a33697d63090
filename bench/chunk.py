"""`python -m bench chunk`: where a chunk's time goes, and how much of it is the painter's own.

A film painted as usual by one worker with all of the machine's threads. Spans stand in the chunks' manifests; those of
the threads beside the painter (decode, flow, get and approach ahead of it, PNG, PUT and adopt behind it) overlap its
own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.bars import Bar, at_least, table, verdict_table
from bench.clips import BUNNY, cut
from bench.trial import NULL, PAINTING, chunks_of, painted, painting_s, spans_ms, took_s, trial_farm
from farm.contract.messages import Manifest
from farm.contract.params import Params

SIZE_PX, FRAMES, CHUNK = 480, 96, 48
WARM_UP_FRAMES = 8


@dataclass(frozen=True, slots=True)
class Chunks:
    """The manifests of a film's chunks, painted at `size_px` with `threads` threads."""

    size_px: int
    threads: int
    manifests: tuple[Manifest, ...]

    def bars(self) -> list[Bar]:
        """What is asked of them."""
        shares = {f"chunk at {item.start}": painting_s(item) / took_s(item) for item in self.manifests}
        return [at_least(3, "the painter's share of a chunk's time", shares, 0.95)]


def measure(
    threads: int, say: Callable[[str], None], *, size_px: int = SIZE_PX, params: Params | None = None
) -> Chunks:
    """Paint."""
    with trial_farm(threads) as farm, tempfile.TemporaryDirectory() as folder:
        warm_up, clip = (cut(BUNNY, range(count), Path(folder)) for count in (WARM_UP_FRAMES, FRAMES))
        params = params or Params()
        painted(farm, warm_up, size_px, WARM_UP_FRAMES, replace(NULL, backbone=params.backbone))
        chunks = chunks_of(painted(farm, clip, size_px, CHUNK, params))
    for item in chunks:
        say(f"chunk at {item.start}: {took_s(item):.1f} s, {painting_s(item):.1f} s of them the painter's")
    return Chunks(size_px, threads, tuple(chunks))


def page(found: Chunks, head: str) -> str:
    """The Markdown page."""
    rows = [
        (
            str(item.start), str(len(item.frames)), f"{took_s(item):.2f}",
            *(f"{item.timings_s.get(name, 0.0):.2f}" for name in (*PAINTING, "wait")),
            f"{painting_s(item) / took_s(item):.1%}",
        )
        for item in found.manifests
    ]  # fmt: skip
    spans = [(name, f"{value:.2f}") for name, value in spans_ms(found.manifests).items()]
    return "\n".join([
        "# A chunk's time", "",
        f"{head} `python -m bench chunk` writes this page. {FRAMES} frames of {BUNNY.title} at {found.size_px} px in "
        f"chunks of {CHUNK}, painted as usual by one worker of {found.threads} thread(s).", "",
        *verdict_table(found.bars()), "",
        *table(("chunk at", "frames", "s", *PAINTING, "wait", "the painter's"), rows), "",
        "Every span, ms a frame. `paint`, `warp` and `wait` are the painter's thread; what the others do overlaps "
        "them.", "",
        *table(("span", "ms"), spans), "",
    ])  # fmt: skip
