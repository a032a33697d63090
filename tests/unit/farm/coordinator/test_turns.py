"""A coordinator's pool is never full of segments."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from celery.worker import state
from kombu.utils.scheduling import cycle_by_name

from farm import broker
from farm.broker import STAGE_TASK
from farm.contract.messages import Priority, Queue, Stage, TaskMessage
from farm.coordinator.turns import POOL_PROCESSES, Turns


class Request(SimpleNamespace):
    __hash__ = object.__hash__


@pytest.fixture
def in_hand() -> Iterator[list[Request]]:
    """Requests that this process's Celery holds; a test adds and takes away."""
    held: list[Request] = []
    yield held
    state.reserved_requests.clear()


def hold(held: list[Request], stage: Stage | None) -> None:
    request = Request(name=STAGE_TASK[stage] if stage else "farm.advance")
    held.append(request)
    state.reserved_requests.add(request)


def turns(*queues: Queue) -> Any:
    cycle = cycle_by_name(f"{Turns.__module__}:{Turns.__name__}")()
    cycle.update(list(queues))
    return cycle


def test_queues_are_asked_in_turn() -> None:
    both = turns(Queue.COORDINATE, Queue.MEDIA)
    assert both.consume(2) == ["coordinate", "media"]
    both.rotate("coordinate")
    assert both.consume(2) == ["media", "coordinate"]
    both.rotate("unknown")
    assert both.consume(1) == ["media"]


def test_no_more_long_tasks_are_asked_for_while_one_process_is_left(in_hand: list[Request]) -> None:
    both = turns(Queue.COORDINATE, Queue.MEDIA)
    hold(in_hand, None)
    for stage in (Stage.SEGMENT, Stage.PLAN):
        assert Queue.MEDIA in both.consume(2)
        hold(in_hand, stage)
    assert len(in_hand) == POOL_PROCESSES
    assert both.consume(2) == ["coordinate"]
    state.reserved_requests.discard(in_hand.pop())
    assert Queue.MEDIA in both.consume(2)


def test_a_process_that_serves_media_alone_fills_its_pool(in_hand: list[Request]) -> None:
    only = turns(Queue.MEDIA)
    for _ in range(5):
        hold(in_hand, Stage.SEGMENT)
    assert only.consume(1) == ["media"]


class Recorder:
    def send_task(self, *_: object, **options: Any) -> None:
        self.options = options


def test_segments_wait_behind_plans_and_films_of_the_same_priority() -> None:
    steps: dict[tuple[Priority, Stage], int] = {}
    for priority in Priority:
        for stage in (Stage.PLAN, Stage.SEGMENT, Stage.ASSEMBLE):
            app: Any = Recorder()
            broker.publish(app, TaskMessage("clip-0123456789", stage, 0, 1), priority)
            steps[priority, stage] = app.options["priority"]
    assert set(steps.values()) <= set(broker.QUEUE_STEPS)
    order = sorted(steps, key=lambda key: steps[key])
    assert [priority for priority, _ in order] == [*3 * [Priority.HIGH], *3 * [Priority.NORMAL], *3 * [Priority.LOW]]
    assert [stage for _, stage in order][2::3] == 3 * [Stage.SEGMENT]
