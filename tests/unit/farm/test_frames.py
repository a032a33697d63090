from __future__ import annotations

import numpy as np
import pytest

from farm.contract.errors import CorruptObject, ObjectNotFound
from farm.frames import FinalFrames, read_final_frames
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


def test_final_frames_are_read_in_order_however_many_are_ahead() -> None:
    plan = make_plan(40, (16, 16), (), 20, 2, "x")
    store, final = MemoryStore(), FinalFrames(JOB, plan)
    for number in range(40):
        store.put(final.key(number), png_bytes(np.full((16, 16, 3), number, np.uint8)))
    assert [int(frame[0, 0, 0]) for frame in read_final_frames(store, JOB, plan)] == list(range(40))


def test_a_final_frame_that_is_missing_is_said() -> None:
    with pytest.raises(ObjectNotFound):
        next(read_final_frames(MemoryStore(), JOB, make_plan(2, (16, 16), (), 20, 2, "x")))
