"""The assemble task: join the segments with the source's sound, check the film, write the report."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from farm import __version__, sheet, video
from farm.contract import keys
from farm.contract.codec import from_json, to_json
from farm.contract.errors import CorruptObject, InvalidInput, ObjectNotFound, SegmentsDiffer
from farm.contract.messages import Manifest
from farm.coordinator.folders import WorkFolders
from farm.coordinator.picture import film_picture
from farm.coordinator.report import build_report
from farm.coordinator.segments import Segment, SegmentReader
from farm.executor import Outcome, Run
from farm.film import encoded_segments, film_metadata
from farm.frames import READERS, FinalFrames, FrameReader
from farm.measure import style_losses
from farm.media import MediaCache
from farm.png import png_bytes
from farm.segments import SEGMENT_FRAMES, segments
from farm.video import FilmInfo, FrameIndex

log = logging.getLogger(__name__)

SHEET_FRAMES = 6
SLOW_DISK_BYTES_S = 8 * 2**20
"""A disk that rewrites a film more slowly than that is given up as stuck."""


def assemble_job(run: Run, media: MediaCache, work: WorkFolders) -> Outcome:
    """Write film, poster, contact sheet, figures, report and, last, `result.json`."""
    spec, reader = run.spec, SegmentReader(run.store, run.job)
    with run.span("fetch"):
        source = media.path(spec.source, on_bytes=lambda *_: run.check())
        parts = _segments(run, reader)
    index = run.index
    with work.new("assemble") as folder:
        film = folder / ("film" + spec.output.suffix)
        with run.span("join"):
            try:
                joint = _joined(run, film, source, _films(run, reader, parts, folder), _latest(parts))
            except SegmentsDiffer as error:
                log.warning("encoded anew, all of it here: %s", error, extra={"job": run.job})
                encoded = encoded_segments(
                    run.store, run.job, run.plan, index, spec.output, folder, lambda _count: run.check()
                )
                joint = _joined(run, film, source, *encoded)
        with run.span("read_back"):
            size_wh = run.plan.width, run.plan.height
            odd = video.read_back(film, index, size_wh, left_out=joint.left_out, on_beat=run.check)
            joint = replace(joint, notices=(*joint.notices, *odd))
        with run.span("put"):
            run.store.put_file(keys.output(run.job, film.name), film, on_progress=lambda *_: run.check())
    _write_pictures(run, source, index)
    with run.span("report"):
        found = _manifests(run)
        manifests = [item for item in found if item is not None]
        if lost := len(found) - len(manifests):
            joint = replace(
                joint, notices=(*joint.notices, f"the report lacks {lost} of the tasks: what they noted is damaged")
            )
        picture = film_picture(run, parts, style_losses(manifests, run.plan))
    report = build_report(run.spec, run.plan, index, joint, manifests, dict(run.timings_s), picture)
    run.store.put(keys.output(run.job, "report.json"), to_json(report), "application/json")
    result = {"job": run.job, "film": keys.output(run.job, film.name), "frames": joint.frame_count}
    run.store.put(keys.output(run.job, "result.json"), to_json(result), "application/json")
    return Outcome(versions={"farm": __version__})


def _segments(run: Run, reader: SegmentReader) -> list[Segment]:
    """What is known of all segments, in order."""

    def read(start: int) -> Segment:
        run.check()
        return reader.segment(start)

    with ThreadPoolExecutor(READERS, thread_name_prefix="segments") as pool:
        return list(pool.map(read, [segment.start for segment in segments(run.plan)]))


def _films(run: Run, reader: SegmentReader, parts: Sequence[Segment], folder: Path) -> Iterator[Path]:
    """The segments' films, one at a time: fetched when it is asked for, deleted when the next one is."""
    for part in parts:
        path = reader.film(part, folder, on_bytes=lambda *_: run.check())
        yield path
        path.unlink()


def _latest(parts: Sequence[Segment]) -> int:
    """The most places that any of them decodes a frame late."""
    return max(part.reorder_frames for part in parts)


def _joined(run: Run, film: Path, source: Path, films: Iterable[Path], reorder_frames: int) -> FilmInfo:
    spec, index = run.spec, run.index
    return video.join_segments(
        film,
        films,
        index=index,
        source=source,
        output=spec.output,
        reorder_frames=reorder_frames,
        metadata=film_metadata(run.job, spec.title),
        on_frame=lambda count: _progress(run, count, index.frame_count),
        on_beat=run.check,
        closing=lambda size_bytes: run.slow(size_bytes / SLOW_DISK_BYTES_S),
    )


def _manifests(run: Run) -> list[Manifest | None]:
    """What every task of the job noted; None for one that is damaged: the report is no reason to lose a film."""

    def read(key: str) -> Manifest | None:
        run.check()
        try:
            return from_json(Manifest, run.store.get(key))
        except (CorruptObject, InvalidInput, ObjectNotFound) as error:
            log.warning("not in the report: %s", error, extra={"job": run.job})
            return None

    with ThreadPoolExecutor(READERS, thread_name_prefix="manifests") as pool:
        return list(pool.map(read, run.store.list(keys.manifests(run.job))))


def _progress(run: Run, count: int, total: int) -> None:
    run.check()
    if count % SEGMENT_FRAMES == 0 or count == total:
        run.progress(count)


def _write_pictures(run: Run, source: Path, index: FrameIndex) -> None:
    """Poster and contact sheet: source above painted, frames spread over the film."""
    plan, final, reader = run.plan, FinalFrames(run.job, run.plan), FrameReader(run.store, run.job)
    count = min(SHEET_FRAMES, plan.frame_count)
    numbers = [(2 * at + 1) * plan.frame_count // (2 * count) for at in range(count)]
    pairs = []
    for number in numbers:
        run.check()
        content = next(video.decode(source, index, number, number + 1, (plan.width, plan.height), run.check))
        pairs.append((number, content, reader.frame(final.stored(number))))
    spec, chunks = run.spec, len(plan.chunks)
    lines = [
        f"{spec.title}  ·  {spec.style_name}",
        f"{plan.frame_count} frames  ·  {plan.width} × {plan.height}  ·  {chunks} chunk{'s' if chunks > 1 else ''}"
        f"  ·  {spec.params.backbone}",
    ]
    contact = png_bytes(sheet.contact_sheet(pairs, lines))
    run.store.put(keys.output(run.job, "contact.png"), contact, "image/png")
    run.store.put(keys.output(run.job, "poster.png"), png_bytes(pairs[len(pairs) // 2][2]), "image/png")
