"""A shared line gives each transfer its own speed, or an equal part."""

from __future__ import annotations

import pytest
import simpy

from bench.line import SharedLine


def ends(each: float, whole: float, transfers: list[tuple[float, float]]) -> list[float]:
    """When transfers `(begins at, bytes)` end."""
    env = simpy.Environment()
    line = SharedLine(env, each, whole)
    found = [0.0] * len(transfers)

    def one(number: int, begin_s: float, count: float):
        yield env.timeout(begin_s)
        yield line.send(count)
        found[number] = env.now

    for number, (begin_s, count) in enumerate(transfers):
        env.process(one(number, begin_s, count))
    env.run()
    return found


def test_alone_a_transfer_has_its_machines_speed() -> None:
    assert ends(10, 100, [(0, 50)]) == pytest.approx([5])


def test_a_line_too_narrow_for_all_is_shared() -> None:
    assert ends(10, 10, [(0, 50), (0, 50)]) == pytest.approx([10, 10])


def test_a_short_transfer_does_not_wait_for_a_long_one() -> None:
    # From 1 s on both have 5 bytes a second: the short one ends at 3 s, with 70 of the long one's bytes left.
    assert ends(10, 10, [(0, 90), (1, 10)]) == pytest.approx([10, 3])


def test_nothing_takes_no_time() -> None:
    assert ends(10, 10, [(2, 0)]) == [2]


@pytest.mark.parametrize("count", [1, 7, 100])
def test_a_busy_line_moves_all_its_bytes(count: int) -> None:
    assert (
        max(ends(1, 3, [(0, 1 + number % 5) for number in range(count)]))
        >= sum(1 + number % 5 for number in range(count)) / 3 - 1e-9
    )
