"""Stored frames that are lost, truncated or replaced by others while a job is under way.

They are harmed in the moment their maker's manifest is stored, before anybody hears that the task is done.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from chaos.tally import Tally
from chaos.yard import Painted, Yard

from farm.contract import keys
from farm.contract.codec import from_json
from farm.contract.messages import Manifest, Stage, StoredFrame, TaskId
from farm.job import Job
from farm.png import png_bytes, png_read

pytestmark = pytest.mark.timeout(400)

Harm = Callable[[Yard, str], object]


def lose(yard: Yard, key: str) -> None:
    yard.store.delete([key])


def truncate(yard: Yard, key: str) -> None:
    """As a disk would: the bytes are others, the metadata are not."""
    info = yard.store.head(key)
    assert info is not None
    half = yard.store.get(key)[: info.size_bytes // 2]
    yard.store._client.put_object(
        Bucket=yard.settings.s3_bucket, Key=key, Body=half, ContentType="image/png", Metadata={"sha256": info.sha256}
    )


def alter(yard: Yard, key: str) -> None:
    """A whole picture with metadata that agree: only the manifest tells."""
    yard.store.put(key, png_bytes(np.flipud(png_read(yard.store.get(key)))), "image/png")


@contextmanager
def harmed(yard: Yard, job: Job, harms: Mapping[TaskId, Sequence[tuple[StoredFrame, Harm]]]) -> Iterator[list[str]]:
    """Harm those frames, each once, when that task's manifest is stored; the keys, as they are harmed."""
    left, found, lock = dict(harms), list[str](), threading.Lock()

    def on_stored(key: str) -> None:
        if not key.startswith(keys.manifests(job.name)):
            return
        with lock:
            for stored, harm in left.pop(keys.task_of_manifest(key), ()):
                harm(yard, keys.frame(job.name, stored))
                found.append(keys.frame(job.name, stored))

    yard.proxy.on_stored = on_stored
    try:
        yield found
    finally:
        yard.proxy.on_stored = lambda _key: None


def check_made_again(yard: Yard, job: Job, found: Sequence[str]) -> None:
    """Those frames alone were sent again, and nobody is to blame; the report counts each frame and attempt once."""
    sent = Counter(put.key for put in yard.proxy.puts(keys.job_prefix(job.name)) if put.stored)
    again = {key for key, times in sent.items() if times > 1 and key.endswith(".png") and "/output/" not in key}
    assert again == set(found)
    tasks = yard.farm.ledger.tasks(job.name).values()
    assert not any(item.error or item.failed_on or item.damaged or item.attempt > 1 for item in tasks)
    report = job.report()
    assert report["painting"]["attempts_beyond_first"] == 0
    assert report["stages"]["stylize"]["frames"] == report["film"]["frames"]


def test_frames_harmed_before_the_blend_and_before_assembly_are_made_again(
    yard: Yard, reference: Painted, tally: Tally
) -> None:
    row = tally.row("store: frames lost, truncated, replaced after their task was done")
    first, second, third = (TaskId(Stage.STYLIZE, start) for start in (0, 4, 8))
    blend, last = TaskId(Stage.BLEND, 8), TaskId(Stage.BLEND, 12)
    job = yard.submit(hold=True)
    harms = {
        first: [(StoredFrame(first, 3), truncate)],
        second: [(StoredFrame(second, 5), lose)],
        last: [(StoredFrame(blend, 9), alter), (StoredFrame(third, 11), lose)],
    }
    with harmed(yard, job, harms) as found:
        job.resume()
        yard.finish(job)
    assert len(found) == 4
    check_made_again(yard, job, found)
    tally.prove(row, yard, job, reference, len(found))


@pytest.mark.chaos
@pytest.mark.parametrize("harm", [lose, truncate, alter])
def test_a_frame_of_every_task_may_be_harmed(yard: Yard, reference: Painted, tally: Tally, harm: Harm) -> None:
    row = tally.row("store: frames lost, truncated, replaced after their task was done")
    pick = random.Random(f"{harm.__name__}")
    job = yard.submit(hold=True)
    harms = {
        TaskId(stage, start): [(StoredFrame(TaskId(stage, start), pick.choice(range(start, start + frames))), harm)]
        for stage, frames in ((Stage.ANCHOR, 1), (Stage.STYLIZE, 4), (Stage.BLEND, 2))
        for start in range(4 if stage is Stage.BLEND else 0, 16, 4)
    }
    with harmed(yard, job, harms) as found:
        job.resume()
        yard.finish(job)
    assert len(found) == len(harms) == 11
    check_made_again(yard, job, found)
    manifest = from_json(Manifest, yard.store.get(keys.manifest(job.name, TaskId(Stage.STYLIZE, 4))))
    assert sum(not record.adopted for record in manifest.frames) == 1, "the hole alone was painted"
    tally.prove(row, yard, job, reference, len(found))
