"""The segment task: encode a run of final frames, measure them, and check what was written by decoding it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from farm import __version__, video
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.errors import CorruptObject
from farm.contract.messages import FrameRecord
from farm.contract.plan import FrameRange
from farm.coordinator.folders import WorkFolders
from farm.coordinator.picture import SegmentWatcher
from farm.coordinator.segments import Segment, SegmentReader, segment_damaged
from farm.executor import Outcome, Run
from farm.frames import read_final_frames
from farm.media import MediaCache
from farm.segments import segment_at
from farm.store import file_sha256

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PROGRESS_EVERY = 8


def encode_job_segment(run: Run, media: MediaCache, work: WorkFolders) -> Outcome:
    """Store the segment that the task names, and what is known of it."""
    spec, plan = run.spec, run.plan
    segment = segment_at(plan, run.message.start)
    with run.span("fetch"):
        source = media.path(spec.source, on_bytes=lambda *_: run.check())
    index = run.index
    with work.new("segment") as folder, SegmentWatcher(run, segment, source, index) as watcher:
        film = folder / f"{segment.start:08d}{spec.output.suffix}"
        with run.span("encode"):
            video.encode_segment(
                film,
                watcher.watched(_frames(run, watcher, segment)),
                index=index,
                segment=segment,
                output=spec.output,
                on_frame=lambda count: _progress(run, count, len(segment)),
            )
        with run.span("read_back"):
            size_wh = plan.width, plan.height
            late = video.check_segment(film, index, segment, spec.output, size_wh, on_beat=run.check)
        with run.span("measure"):
            figures, failure = watcher.figures()
        with run.span("put"):
            sha256 = file_sha256(film, on_block=run.check)
            made = Segment(segment.start, segment.stop, film.suffix, sha256, late, figures, failure)
            record_sha256 = _store(run, film, made)
    return Outcome(frames=(FrameRecord(segment.start, record_sha256),), versions={"farm": __version__})


def _frames(run: Run, watcher: SegmentWatcher, segment: FrameRange) -> Iterator[NDArray[np.uint8]]:
    """The segment's final frames; the watcher gets the one before, where it measures the step from it."""
    frames = read_final_frames(run.store, run.job, run.plan, FrameRange(watcher.start, segment.stop))
    if watcher.start < segment.start:
        watcher.lead_in(next(frames))
    return frames


def _store(run: Run, film: Path, made: Segment) -> str:
    """Write film and record, each once; the SHA-256 of the stored record, be it ours or that of another executor.

    FrameDamaged where what is stored does not go together: it is deleted, and the segment made anew.
    """
    key = keys.segment_film(run.job, made.start, made.suffix)
    put = run.store.put_file_once(key, film, made.sha256, on_progress=lambda *_: run.check())
    sha256 = run.store.put_once(keys.segment(run.job, made.start), to_json(made), "application/json").sha256
    stored = SegmentReader(run.store, run.job).segment(made.start, sha256)
    if not stored.sha256 == put.sha256 == made.sha256:
        raise segment_damaged(run.job, made.start, CorruptObject(f"{key!r} is not the film that was encoded", key=key))
    return sha256


def _progress(run: Run, count: int, total: int) -> None:
    run.check()
    if count % PROGRESS_EVERY == 0 or count == total:
        run.progress(count)
