from __future__ import annotations

import numpy as np
import pytest
from harms import Harm, alter, lose, truncate

from farm.contract import keys
from farm.contract.codec import sha256_hex, to_json
from farm.contract.errors import CorruptObject, FrameDamaged
from farm.contract.messages import FrameRecord, Manifest, Stage, StoredFrame, TaskId
from farm.contract.plan import Plan
from farm.frames import FinalFrames, FrameReader, read_final_frames
from farm.plan import make_plan
from farm.png import png_bytes, png_read
from farm.testing import MemoryStore

JOB = "clip-0123456789"


def test_inside_a_blend_window_the_blended_frame_is_final_and_elsewhere_the_stylized_one() -> None:
    final = FinalFrames(JOB, make_plan(12, (64, 48), (), 4, 2, "x"))
    kinds = [final.key(frame).split("/")[2] for frame in range(12)]
    assert [frame for frame, kind in enumerate(kinds) if kind == "blended"] == [4, 5, 8, 9]
    assert set(kinds) == {"blended", "stylized"}


def test_without_boundaries_every_frame_is_the_stylized_one() -> None:
    final = FinalFrames(JOB, make_plan(5, (64, 48), (), 48, 6, "x"))
    assert final.key(4) == "jobs/clip-0123456789/stylized/00000004.png"


def test_a_frame_survives_its_png_and_equal_pixels_give_equal_bytes() -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    assert np.array_equal(png_read(png_bytes(image)), image)
    assert png_bytes(image) == png_bytes(image.copy())


@pytest.mark.parametrize("data", [b"", b"not a picture"])
def test_what_is_no_picture_is_corrupt(data: bytes) -> None:
    with pytest.raises(CorruptObject, match="are not a picture"):
        png_read(data)


@pytest.mark.parametrize("lengths", [(12, 4, 2), (13, 5, 6), (7, 48, 6)])
def test_the_maker_of_a_final_frame_is_the_task_whose_manifest_names_it(lengths: tuple[int, int, int]) -> None:
    count, chunk_frames, blend_frames = lengths
    plan = make_plan(count, (64, 48), (), chunk_frames, blend_frames, "x")
    final = FinalFrames(JOB, plan)
    for frame in range(count):
        stored = final.stored(frame)
        of = plan.boundaries if stored.maker.stage is Stage.BLEND else plan.chunks
        assert frame in next(item.frames for item in of if item.start == stored.maker.start)
        assert final.key(frame) == keys.frame(JOB, stored)
        assert StoredFrame.parse(str(stored)) == stored


def test_final_frames_are_read_in_order_however_many_are_ahead() -> None:
    plan = make_plan(40, (16, 16), (), 20, 2, "x")
    store = painted(plan)
    assert [int(frame[0, 0, 0]) for frame in read_final_frames(store, JOB, plan)] == list(range(40))


PLAN = make_plan(6, (16, 16), (), 3, 1, "x")
FRAME = StoredFrame(TaskId(Stage.STYLIZE, 0), 2)


def painted(plan: Plan) -> MemoryStore:
    """A store with a plan's final frames, each of one grey, and the manifests that name them."""
    store, final = MemoryStore(), FinalFrames(JOB, plan)
    named: dict[TaskId, list[FrameRecord]] = {}
    for number in range(plan.frame_count):
        data = png_bytes(np.full((16, 16, 3), number, np.uint8))
        store.put(final.key(number), data)
        named.setdefault(final.stored(number).maker, []).append(FrameRecord(number, sha256_hex(data), {"style": 0.5}))
    for task, records in named.items():
        manifest = Manifest(JOB, task.stage, task.start, 1, "worker", "cpu", 0.0, 1.0, tuple(records))
        store.put(keys.manifest(JOB, task), to_json(manifest))
    return store


@pytest.mark.parametrize(
    ("harm", "why"), [(lose, "not in memory"), (truncate, "was written with"), (alter, "its manifest names")]
)
def test_a_final_frame_that_is_not_the_one_painted_is_named(harm: Harm, why: str) -> None:
    store = painted(PLAN)
    harm(store, keys.frame(JOB, FRAME))
    with pytest.raises(FrameDamaged, match=why) as damaged:
        list(read_final_frames(store, JOB, PLAN))
    assert damaged.value.facts == {"frame": 2, "key": keys.frame(JOB, FRAME), "stored": "stylize/00000000/00000002"}
    assert "frame 2 of stylize/00000000" in str(damaged.value)


@pytest.mark.parametrize("harm", [lose, truncate, lambda store, key: store.put(key, b"{}")])
def test_a_frame_whose_manifest_is_lost_or_damaged_can_not_be_trusted(harm: Harm) -> None:
    store = painted(PLAN)
    harm(store, keys.manifest(JOB, FRAME.maker))
    with pytest.raises(FrameDamaged):
        FrameReader(store, JOB).frame(FRAME)


def test_a_stored_frame_that_is_no_picture_is_damaged_even_where_its_manifest_names_it() -> None:
    store = painted(PLAN)
    store.put(keys.frame(JOB, FRAME), b"no picture")
    with pytest.raises(FrameDamaged, match="are not a picture"):
        FrameReader(store, JOB).frame(FRAME, sha256_hex(b"no picture"))


def test_a_frame_without_a_manifest_yet_is_held_against_what_its_maker_knows() -> None:
    store = painted(PLAN)
    store.delete([keys.manifest(JOB, FRAME.maker)])
    sha256 = sha256_hex(store.get(keys.frame(JOB, FRAME)))
    assert int(FrameReader(store, JOB).frame(FRAME, sha256)[0, 0, 0]) == 2
    with pytest.raises(FrameDamaged):
        FrameReader(store, JOB).frame(FRAME, "0" * 64)


def test_what_a_manifest_says_of_a_frame_is_at_hand() -> None:
    assert FrameReader(painted(PLAN), JOB).record(FRAME).losses == {"style": 0.5}
