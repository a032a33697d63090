"""The Python API of the farm. The CLI is a thin skin on it, and a notebook can use it as it is.

    from farm.client import Farm

    farm = Farm.from_settings()
    job = farm.submit("clip.mp4", style="swirl", size_px=512)
    job.wait(on_progress=lambda status: print(f"{status.fraction:.0%}"))
    job.fetch("film.mp4")

Raises only what `farm.contract.errors` lists. Imports no torch.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from farm import sandbox
from farm.collect import in_use
from farm.contract import keys
from farm.contract.codec import to_json
from farm.contract.errors import FarmError, InvalidClip, InvalidInput, JobNotFound
from farm.contract.excerpt import Excerpt, excerpt_of
from farm.contract.messages import Priority
from farm.contract.params import Params
from farm.contract.spec import DEFAULT_CHUNK_FRAMES, WEIGHTS_SHA256, Media, Output, Spec, Style
from farm.contract.states import JobState
from farm.job import Job, OnBytes
from farm.ledger import JobRecord, Ledger, WorkerInfo
from farm.plan import CHUNK_CHOICES, chosen_chunk_frames
from farm.redis_ledger import RedisLedger
from farm.settings import NOT_CONFIGURED, Settings
from farm.status import JobStatus
from farm.style_file import StyleFile, Wanted, load_style, load_styles, shown_name

if TYPE_CHECKING:
    from celery import Celery

    from farm.store import Store

_Stamp = tuple[int, int]
"""A file's size in bytes and the time of its last change in ns."""


class Farm:
    """A farm: its store, its ledger and its queue."""

    def __init__(self, settings: Settings, store: Store, ledger: Ledger) -> None:
        self.settings = settings
        self.store = store
        self.ledger = ledger
        self._checked: tuple[object, tuple[Media, int]] | None = None

    @classmethod
    def from_settings(cls, settings: Settings | None = None) -> Farm:
        """The farm the environment names, or the private one that `farm up` started."""
        from farm.store import S3Store

        settings = settings or Settings.load()
        if not settings.configured:
            raise InvalidInput(NOT_CONFIGURED)
        return cls(settings, S3Store.from_settings(settings), RedisLedger(settings.redis_url))

    @cached_property
    def _app(self) -> Celery:
        from farm.broker import make_app

        return make_app(self.settings, "farm-client")

    def check(self) -> None:
        """Return if Redis and the store answer and take our credentials; LedgerUnavailable … if not."""
        self.ledger.ping()
        self.store.check()

    def submit(
        self,
        clip: str | Path,
        style: Wanted | Sequence[Wanted],
        *,
        size_px: int | None = None,
        from_s: float | str | None = None,
        to_s: float | str | None = None,
        chunk_frames: int | None = None,
        params: Params | None = None,
        output: Output | None = None,
        again: bool = False,
        priority: Priority | None = None,
        hold: bool = False,
        on_upload: OnBytes | None = None,
    ) -> Job:
        """Submit a clip; returns at once with its job.

        `style` is an image file or a built-in style's name, or several to be mixed: a sequence of them, or of pairs
        with their weights, `[("swirl", 2), ("ember", 1)]`. `size_px` is the longer side of the painted film, by
        default the source's. `from_s` and `to_s`, seconds or `"M:SS.mmm"`, have a part of the clip painted: the frames
        that begin between the two. `chunk_frames`: by default as is best for the clip's length and the workers there
        are. The same submit twice is one job, unless `again`, however many workers there are by then; a `priority`
        given with it is its new one. With `hold` a new job begins paused, until `resume`.
        Everything is checked before anything is written: InvalidInput and its kin leave the store as it was.
        """
        clip_path = Path(clip)
        params = params or Params()
        length = DEFAULT_CHUNK_FRAMES if chunk_frames is None else chunk_frames
        excerpt = excerpt_of(from_s, to_s)
        blank = Media("0" * 64, "", 0)
        some = (Style(blank, ""),)
        _build_spec(shown_name(clip_path), blank, some, size_px, length, params, output or Output(), "", excerpt)
        style_files = load_styles(style, self.settings)
        stamp = _stamp(clip_path)
        source, frame_count = self._check_clip(clip_path, stamp, size_px, excerpt)
        self.check()
        nonce = secrets.token_hex(8) if again else ""
        spec = _build_spec(
            shown_name(clip_path),
            source,
            tuple(file.style for file in style_files),
            size_px,
            length,
            params,
            output or Output(),
            nonce,
            excerpt,
        )
        if chunk_frames is None:
            spec = self._in_chunks(spec, frame_count)
        with in_use(self.ledger, [media.sha256 for media in (source, *(file.media for file in style_files))]):
            self._put_clip(source, clip_path, stamp, on_upload)
            self._put_rest(spec, style_files)
            return self._start(spec, priority, hold)

    def _check_clip(
        self, path: Path, stamp: _Stamp | None, size_px: int | None, excerpt: Excerpt | None
    ) -> tuple[Media, int]:
        """The clip, and about how many frames there are to paint; the same as the last one is not read again."""
        what = (path, stamp, size_px, excerpt)
        if self._checked is None or stamp is None or self._checked[0] != what:
            found = _check_clip(path, self.settings, size_px, excerpt)
            if _stamp(path) != stamp:
                raise _changed(path)
            self._checked = what, found
        return self._checked[1]

    def _in_chunks(self, spec: Spec, frame_count: int) -> Spec:
        """`spec` with chunks as long as in a job of the same that is there already, or as is best for the workers."""
        for length in CHUNK_CHOICES:
            same = replace(spec, chunk_frames=length)
            if self.store.head(keys.spec(same.job)) is not None:
                return same
        return replace(spec, chunk_frames=chosen_chunk_frames(frame_count, len(self.workers())))

    def job(self, name: str) -> Job:
        """A job by its name, or by the beginning of its name where only one begins so; JobNotFound."""
        if self.ledger.job(name) is not None:
            return Job(self, name)
        matches = [record.job for record in self.ledger.jobs() if name and record.job.startswith(name)]
        if len(matches) == 1:
            return Job(self, matches[0])
        if matches:
            raise JobNotFound(
                f"{name!r} begins several jobs: {', '.join(matches[:5])}; give more of the name", job=name
            )
        if self.store.head(keys.spec(name)) is not None:  # the ledger was wiped, the store was not
            return Job(self, name)
        raise JobNotFound(f"no job {name!r}; `farm list` shows the jobs", job=name)

    def jobs(self) -> list[JobStatus]:
        """All jobs, newest first."""
        return [Job(self, record.job).status() for record in self.ledger.jobs()]

    def workers(self) -> list[WorkerInfo]:
        """The workers alive (coordinators are not workers)."""
        return [info for info in self.ledger.workers() if info.is_worker]

    def coordinators(self) -> list[WorkerInfo]:
        """The coordinators alive."""
        return [info for info in self.ledger.workers() if info.is_coordinator]

    def advance(self, job: str) -> None:
        """Ask a coordinator to look at a job now."""
        from farm.broker import publish_advance

        publish_advance(self._app, job)

    def _put_clip(self, source: Media, clip: Path, stamp: _Stamp | None, on_upload: OnBytes | None) -> None:
        """Store the clip under its SHA-256, and no other bytes: InvalidClip where it changed since that was taken."""
        key = keys.media(source)
        stored = self.store.head(key)
        if stored is not None and (stored.size_bytes, stored.sha256) != (source.size_bytes, source.sha256):
            self.store.delete([key])  # a clip that changed left it: nobody can read it
        try:
            written = self.store.put_file_once(key, clip, source.sha256, on_progress=on_upload).written
        except FileNotFoundError as error:
            raise _changed(clip) from error
        if written and _stamp(clip) != stamp:
            self.store.delete([key])
            raise _changed(clip)

    def _put_rest(self, spec: Spec, styles: Sequence[StyleFile]) -> None:
        for style in styles:
            self.store.put_once(keys.media(style.media), style.data, _content_type(style.media.suffix))
        self.store.put_once(keys.spec(spec.job), to_json(spec), "application/json")

    def _start(self, spec: Spec, priority: Priority | None, hold: bool) -> Job:
        state = JobState.PAUSED if hold else JobState.SUBMITTED
        record = JobRecord(
            spec.job, state, spec.title, spec.style_name, time.time(), priority=priority or Priority.NORMAL
        )
        if not self.ledger.create_job(record) and priority is not None:
            self.ledger.set_priority(spec.job, priority)
        self.advance(spec.job)
        return Job(self, spec.job)


def _stamp(path: Path) -> _Stamp | None:
    """What changes when a file is written to; None where there is none."""
    with suppress(OSError):
        info = path.stat()
        return info.st_size, info.st_mtime_ns
    return None


def _changed(clip: Path) -> InvalidClip:
    return InvalidClip(
        f"{clip} changed while it was read; submit it again when its export or copy is done", path=str(clip)
    )


def _check_clip(
    path: Path, settings: Settings, size_px: int | None = None, excerpt: Excerpt | None = None
) -> tuple[Media, int]:
    """The clip, and about how many frames there are to paint."""
    frame_count = sandbox.check_clip(path, settings, size_px, excerpt)
    suffix = path.suffix.lower()
    suffix = suffix if suffix[1:].isalnum() and suffix.isascii() and len(suffix) <= 9 else ".clip"
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Media(digest, suffix, path.stat().st_size), frame_count


def _build_spec(
    name: str,
    source: Media,
    styles: tuple[Style, ...],
    size_px: int | None,
    chunk_frames: int,
    params: Params,
    output: Output,
    again: str,
    excerpt: Excerpt | None = None,
) -> Spec:
    return Spec(
        name=name[:200],
        source=source,
        styles=styles,
        size_px=size_px,
        chunk_frames=chunk_frames,
        params=params,
        output=output,
        weights_sha256=WEIGHTS_SHA256[params.backbone],
        again=again,
        excerpt=excerpt,
    )


def _content_type(suffix: str) -> str:
    return {".png": "image/png", ".webp": "image/webp"}.get(suffix, "image/jpeg")


__all__ = ["Farm", "FarmError", "Job", "JobStatus", "StyleFile", "load_style"]
