"""Work spread over threads: in order, bounded, with its errors where they belong."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import synthetic

from worker.engine import Machine, carry_far
from worker.engine.approach import approach
from worker.engine.machine import spread

LIMIT_S = 30.0


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_order(threads: int) -> None:
    assert list(spread(lambda item: 2 * item, range(20), threads)) == list(range(0, 40, 2))
    assert list(spread(lambda item: item, [], threads)) == []


def test_as_many_are_under_way_as_there_are_threads() -> None:
    together = threading.Barrier(3)
    assert sum(1 for _ in spread(lambda _: together.wait(LIMIT_S), range(6), 3)) == 6


@pytest.mark.parametrize("threads", [1, 4])
def test_no_more_is_drawn_than_is_asked_for_and_the_threads_take(threads: int) -> None:
    drawn = []

    def items() -> Iterator[int]:
        for item in range(100):
            drawn.append(item)
            yield item

    results = spread(lambda item: item, items(), threads)
    assert next(results) == 0
    assert len(drawn) == (1 if threads == 1 else threads + 1)
    results.close()
    assert len(drawn) <= threads + 1


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_comes_where_its_result_would_have(threads: int) -> None:
    def work(item: int) -> int:
        if item == 4:
            raise ValueError("the fifth")
        return item

    results = spread(work, range(10), threads)
    assert [next(results) for _ in range(4)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="the fifth"):
        next(results)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("spread")]


def test_motion_found_by_several_threads_is_the_same() -> None:
    frames = list(synthetic.layers((160, 90), 7).frames())
    painting = 255 - frames[0]
    one, four = (carry_far(painting, frames, machine=Machine(threads=threads)) for threads in (1, 4))
    np.testing.assert_array_equal(one.image, four.image)
    np.testing.assert_array_equal(one.mask, four.mask)
    one_way, four_ways = (approach(painting, frames, machine=Machine(threads=threads)) for threads in (1, 4))
    for (view, trust), (other, other_trust) in zip(one_way.views, four_ways.views, strict=True):
        np.testing.assert_array_equal(view, other)
        np.testing.assert_array_equal(trust, other_trust)
