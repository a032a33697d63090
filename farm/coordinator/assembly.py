"""The assemble task: encode the final frames with the source's sound, read the film back, write the report."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from farm import __version__, sheet, video
from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.messages import Manifest
from farm.coordinator.picture import FilmWatcher
from farm.coordinator.report import build_report
from farm.executor import Outcome, Run
from farm.frames import FinalFrames, FrameReader, read_final_frames
from farm.measure import style_losses
from farm.media import MediaCache
from farm.png import png_bytes
from farm.video import FrameIndex

SHEET_FRAMES = 6
PROGRESS_EVERY = 8


def assemble_job(run: Run, media: MediaCache) -> Outcome:
    """Write film, poster, contact sheet, figures, report and, last, `result.json`."""
    spec = run.spec
    with run.span("fetch"):
        source = media.path(spec.source, on_bytes=lambda *_: run.check())
        index = from_json(FrameIndex, run.store.get(keys.index(run.job)))
    with tempfile.TemporaryDirectory(prefix="farm-assemble-") as folder, FilmWatcher(run, source, index) as watcher:
        film = Path(folder) / ("film" + spec.output.suffix)
        # Sound that is encoded anew comes before the first frame and shows no sign of life; nor does it take so long.
        with run.span("encode"), run.slow(_seconds(index)):
            encoded = video.encode(
                film,
                watcher.watched(read_final_frames(run.store, run.job, run.plan)),
                index=index,
                source=source,
                output=spec.output,
                metadata={"title": spec.name, "comment": f"painted by the farm {__version__}, job {run.job}"},
                on_frame=lambda count: _progress(run, count, index.frame_count),
            )
        with run.span("read_back"):
            video.read_back(film, index, (run.plan.width, run.plan.height), on_beat=run.check)
        with run.span("put"):
            run.store.put_file(keys.output(run.job, film.name), film, on_progress=lambda *_: run.check())
        _write_pictures(run, source, index)
        manifests = list(_manifests(run))
        with run.span("measure"):
            picture = watcher.figures(style_losses(manifests, run.plan))
    report = build_report(run.spec, run.plan, index, encoded, manifests, dict(run.timings_s), picture)
    run.store.put(keys.output(run.job, "report.json"), to_json(report), "application/json")
    result = {"job": run.job, "film": keys.output(run.job, film.name), "frames": encoded.frame_count}
    run.store.put(keys.output(run.job, "result.json"), to_json(result), "application/json")
    return Outcome(versions={"farm": __version__})


def _seconds(index: FrameIndex) -> float:
    """How long the film plays."""
    return float((index.pts[-1] - index.pts[0] + index.last_duration) * index.seconds_per_tick)


def _manifests(run: Run) -> Iterator[Manifest]:
    for key in run.store.list(keys.manifests(run.job)):
        run.check()
        yield from_json(Manifest, run.store.get(key))


def _progress(run: Run, count: int, total: int) -> None:
    run.check()
    if count % PROGRESS_EVERY == 0 or count == total:
        run.progress(count)


def _write_pictures(run: Run, source: Path, index: FrameIndex) -> None:
    """Poster and contact sheet: source above painted, frames spread over the film."""
    plan, final, reader = run.plan, FinalFrames(run.job, run.plan), FrameReader(run.store, run.job)
    count = min(SHEET_FRAMES, plan.frame_count)
    numbers = [(2 * at + 1) * plan.frame_count // (2 * count) for at in range(count)]
    pairs = []
    for number in numbers:
        run.check()
        content = next(video.decode(source, index, number, number + 1, (plan.width, plan.height)))
        pairs.append((number, content, reader.frame(final.stored(number))))
    spec = run.spec
    lines = [
        f"{spec.name}  ·  {spec.style_name}",
        f"{plan.frame_count} frames  ·  {plan.width} × {plan.height}  ·  {len(plan.chunks)} chunks"
        f"  ·  {spec.params.backbone}",
    ]
    contact = png_bytes(sheet.contact_sheet(pairs, lines))
    run.store.put(keys.output(run.job, "contact.png"), contact, "image/png")
    run.store.put(keys.output(run.job, "poster.png"), png_bytes(pairs[len(pairs) // 2][2]), "image/png")
