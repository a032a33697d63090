"""Frames and segments that tasks found damaged: each is deleted, and the task that made it is set back to do it again.

The tasks that need it wait for that task, as at first. Its other frames stay, and are adopted. Nothing here keeps a
state: it may run twice, or end anywhere, as a frame is looked at again before anything is done about it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from farm.contract import keys
from farm.contract.errors import CorruptObject, FrameDamaged, ObjectNotFound
from farm.contract.messages import Stage, StoredFrame, TaskId
from farm.contract.states import TaskState
from farm.coordinator.folders import WorkFolders
from farm.coordinator.segments import SegmentReader
from farm.frames import FrameReader, read_manifest
from farm.ledger import Ledger, TaskRecord
from farm.png import png_read
from farm.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Repair:
    """Sees to one job's damaged frames and segments."""

    job: str
    store: Store
    ledger: Ledger
    work: WorkFolders

    def mend(self, tasks: Mapping[TaskId, TaskRecord]) -> bool:
        """Set back who made what waiting tasks found damaged; whether any task was set back."""
        waiting = {task: item for task, item in tasks.items() if item.damaged and item.state is TaskState.WAITING}
        found = {(StoredFrame.parse(item.damaged[-1]), task) for task, item in waiting.items()}
        own = sorted(stored for stored, finder in found if stored.maker == finder)
        others = sorted({stored for stored, finder in found if stored.maker != finder})
        for stored in own:
            self._clear(stored)
        # One whose maker is not done is looked at once it is.
        done = [stored for stored in others if tasks.get(stored.maker, TaskRecord()).state is TaskState.SUCCEEDED]
        return bool([stored for stored in done if self._set_back(stored)])

    def _clear(self, stored: StoredFrame) -> None:
        """A task found a damaged frame among those that it, or an attempt before it, had stored: no manifest yet."""
        if stored.maker.stage is Stage.SEGMENT:
            self._clear_segment(stored)
            return
        key = keys.frame(self.job, stored)
        try:
            png_read(self.store.get(key))
        except CorruptObject as error:
            self._delete([key], error)
        except ObjectNotFound:
            log.info("%s is gone already", key, extra={"job": self.job})

    def _clear_segment(self, stored: StoredFrame) -> None:
        """Its task said that its objects do not go together; those a manifest names are another attempt's by now."""
        if self.store.head(keys.manifest(self.job, stored.maker)) is None:
            why = CorruptObject(f"the objects of {stored.maker} do not go together")
            self._delete(self._objects_of_segment(stored), why)

    def _set_back(self, stored: StoredFrame) -> bool:
        """Whether that frame is damaged, or its maker's manifest; then its maker is not done any more."""
        try:
            self._look_at(stored)
            return False
        except FrameDamaged as error:
            spoilt = self._spoilt(stored)
            self._delete(spoilt, error)
            self.ledger.progress(self.job, stored.maker, self._frames_left(stored.maker, len(spoilt) - 1))
            self.ledger.move_task(
                self.job, stored.maker, TaskState.WAITING, before=(TaskState.SUCCEEDED,), error=error.message
            )
            return True

    def _frames_left(self, maker: TaskId, spoilt: int) -> int:
        """So many frames its maker need not make again; a segment is made anew as a whole."""
        frames_done = self.ledger.frames_done(self.job).get(maker, 0)
        return 0 if maker.stage is Stage.SEGMENT else max(0, frames_done - max(0, spoilt))

    def _look_at(self, stored: StoredFrame) -> None:
        """FrameDamaged where that frame or segment is."""
        if stored.maker.stage is not Stage.SEGMENT:
            FrameReader(self.store, self.job).frame(stored)
            return
        reader = SegmentReader(self.store, self.job)
        with self.work.new("repair") as folder:
            reader.film(reader.segment(stored.frame), folder)

    def _objects_of_segment(self, stored: StoredFrame) -> list[str]:
        return list(self.store.list(keys.segment(self.job, stored.frame).removesuffix("json")))

    def _spoilt(self, stored: StoredFrame) -> list[str]:
        """Keys of that frame, of its maker's frames of which a HEAD tells that they are others now, and the manifest.

        An object whose bytes alone are damaged is found by its maker, who reads what it adopts.
        """
        maker = stored.maker
        key = keys.manifest(self.job, maker)
        if maker.stage is Stage.SEGMENT:
            return [*self._objects_of_segment(stored), key]
        try:
            records = read_manifest(self.store, self.job, maker).frames
        except ObjectNotFound:  # lost, or another coordinator was here: all frames are adopted
            return []
        except CorruptObject:
            return [key]
        named = {keys.frame(self.job, StoredFrame(maker, item.frame)): item.sha256 for item in records}
        others = {frame for frame, sha256 in named.items() if self._sha256(frame) != sha256}
        return [*sorted(others | {keys.frame(self.job, stored)}), key]  # it goes last, as it tells the others

    def _sha256(self, key: str) -> str:
        info = self.store.head(key)
        return info.sha256 if info else ""

    def _delete(self, spoilt: list[str], error: Exception) -> None:
        log.warning("made again: %s", error, extra={"job": self.job})
        for key in spoilt:
            self.store.delete([key])
