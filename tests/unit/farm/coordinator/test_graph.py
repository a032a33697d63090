from __future__ import annotations

import pytest

from farm.contract.messages import Stage, TaskId
from farm.contract.params import Coherence
from farm.coordinator.graph import frames_by_task, render_tasks, task_graph
from farm.frames import FinalFrames
from farm.plan import make_plan
from farm.segments import segments


def task(stage: Stage, start: int) -> TaskId:
    return TaskId(stage, start)


def test_anchors_run_in_order_within_a_shot_and_begin_anew_at_a_cut() -> None:
    plan = make_plan(12, (64, 48), (8,), 4, 2, "x")
    needs = render_tasks(plan)
    assert needs[task(Stage.ANCHOR, 0)] == ()
    assert needs[task(Stage.ANCHOR, 4)] == (task(Stage.ANCHOR, 0),)
    assert needs[task(Stage.ANCHOR, 8)] == ()


def test_a_chunk_needs_its_anchor_and_the_next_ones() -> None:
    needs = render_tasks(make_plan(12, (64, 48), (), 4, 2, "x"))
    for start in (0, 4):
        assert needs[task(Stage.STYLIZE, start)] == (task(Stage.ANCHOR, start), task(Stage.ANCHOR, start + 4))
    assert needs[task(Stage.STYLIZE, 8)] == (task(Stage.ANCHOR, 8),)


@pytest.mark.parametrize("coherence", [Coherence.OFF, Coherence.LEGACY])
def test_independent_chunks_need_their_own_anchor_alone(coherence: Coherence) -> None:
    needs = render_tasks(make_plan(12, (64, 48), (), 4, 2, "x", coherence))
    for start in (0, 4, 8):
        assert needs[task(Stage.ANCHOR, start)] == ()
        assert needs[task(Stage.STYLIZE, start)] == (task(Stage.ANCHOR, start),)
    assert all(item.stage is not Stage.BLEND for item in needs)


def test_a_boundary_needs_both_its_chunks_and_the_boundary_before() -> None:
    needs = render_tasks(make_plan(12, (64, 48), (), 4, 2, "x"))
    assert needs[task(Stage.BLEND, 4)] == (task(Stage.STYLIZE, 0), task(Stage.STYLIZE, 4))
    assert needs[task(Stage.BLEND, 8)] == (
        task(Stage.STYLIZE, 4),
        task(Stage.STYLIZE, 8),
        task(Stage.BLEND, 4),
    )


def test_shots_are_independent() -> None:
    needs = render_tasks(make_plan(16, (64, 48), (8,), 4, 2, "x"))
    assert needs[task(Stage.BLEND, 12)] == (task(Stage.STYLIZE, 8), task(Stage.STYLIZE, 12))


def test_what_takes_longest_begins_first() -> None:
    needs = render_tasks(make_plan(33, (64, 48), (4, 24), 6, 2, "x"))  # shots of 4, 20 and 9 frames
    anchors = [item.start for item in needs if item.stage is Stage.ANCHOR]
    assert anchors == [4, 9, 14, 24, 19, 28, 0]  # most of its shot to go first
    chunks = [item.start for item in needs if item.stage is Stage.STYLIZE]
    assert chunks == [4, 9, 14, 19, 28, 0, 24]  # five frames each, but the last two: four


def test_frames_of_a_task_are_those_it_makes() -> None:
    plan = make_plan(10, (64, 48), (), 4, 2, "x")
    frames = frames_by_task(plan)
    assert frames[task(Stage.ANCHOR, plan.chunks[1].start)] == 1
    assert sum(frames[item] for item in render_tasks(plan) if item.stage is Stage.STYLIZE) == 10
    assert frames[TaskId(Stage.BLEND, plan.boundaries[0].start)] == 2
    assert frames[TaskId(Stage.ASSEMBLE)] == frames[TaskId(Stage.PLAN)] == 10
    assert frames.keys() == {*render_tasks(plan), TaskId(Stage.PLAN), TaskId(Stage.ASSEMBLE)}


def test_a_graph_knows_its_tasks_from_both_ends() -> None:
    graph = task_graph(make_plan(12, (64, 48), (), 4, 2, "x"))
    assert graph.later[task(Stage.ANCHOR, 4)] == (
        task(Stage.ANCHOR, 8),
        task(Stage.STYLIZE, 0),
        task(Stage.STYLIZE, 4),
    )
    assert graph.later[task(Stage.BLEND, 8)] == (task(Stage.SEGMENT, 0),)
    assert graph.later[task(Stage.SEGMENT, 0)] == ()
    ends = {(own, other) for own, others in graph.needs.items() for other in others}
    assert ends == {(own, other) for other, owns in graph.later.items() for own in owns}


CUT_AT = 8


@pytest.mark.parametrize(
    ("coherence", "anchors", "linked", "blends"),
    [
        (Coherence.BLEND, [0, 4, 8, 12], [4, 12], [4, 12]),
        (Coherence.ANCHORS, [0, 4, 8, 12], [4, 12], []),
        (Coherence.SEQUENTIAL, [0, 8], [], []),
        (Coherence.OFF, [0, 4, 8, 12], [], []),
        (Coherence.LEGACY, [0, 4, 8, 12], [], []),
    ],
)
def test_each_coherence_has_its_tasks_on_a_clip_with_a_cut(
    coherence: Coherence, anchors: list[int], linked: list[int], blends: list[int]
) -> None:
    """`linked`: anchors carried from the one before; a chunk whose next anchor is one of them is painted towards it."""
    needs = render_tasks(make_plan(16, (64, 48), (CUT_AT,), 4, 2, "x", coherence))
    assert sorted(item.start for item in needs if item.stage is Stage.ANCHOR) == anchors
    assert sorted(item.start for item in needs if item.stage is Stage.STYLIZE) == anchors
    assert [item.start for item in needs if item.stage is Stage.BLEND] == blends
    for start in anchors:
        before = (task(Stage.ANCHOR, start - 4),) if start in linked else ()
        after = (task(Stage.ANCHOR, start + 4),) if start + 4 in linked else ()
        assert needs[task(Stage.ANCHOR, start)] == before
        assert needs[task(Stage.STYLIZE, start)] == (task(Stage.ANCHOR, start), *after)


@pytest.mark.parametrize("coherence", list(Coherence))
def test_no_task_of_a_painter_needs_one_from_across_a_cut(coherence: Coherence) -> None:
    needs = render_tasks(make_plan(16, (64, 48), (CUT_AT,), 4, 6, "x", coherence))
    for own, others in needs.items():
        if own.stage is Stage.SEGMENT:
            continue
        assert all((own.start < CUT_AT) is (other.start < CUT_AT) for other in others)


@pytest.mark.parametrize("coherence", list(Coherence))
@pytest.mark.parametrize(("chunk_frames", "blend_frames"), [(48, 6), (5, 8), (20, 0), (1, 1)])
def test_a_segment_needs_what_makes_its_frames_final_and_the_one_before_it(
    coherence: Coherence, chunk_frames: int, blend_frames: int
) -> None:
    plan = make_plan(500, (64, 48), (60, 192, 300), chunk_frames, blend_frames, "x", coherence)
    needs, final = render_tasks(plan), FinalFrames("clip-0123456789", plan)
    cuts = {shot.start for shot in plan.shots}
    found = segments(plan)
    assert len(found) > 2
    for segment in found:
        needed = set(needs[task(Stage.SEGMENT, segment.start)])
        first = segment.start if segment.start in cuts else segment.start - 1
        makers = {final.stored(frame).maker for frame in range(first, segment.stop)}
        assert makers <= needed
        # The rest are chunks whose every frame is blended over.
        assert {other.stage for other in needed - makers} <= {Stage.STYLIZE}
        assert not any(other.start >= segment.stop for other in needed)


@pytest.mark.parametrize("chunk_frames", [1, 4, 7, 48])
def test_a_sequential_plan_is_the_same_whatever_the_chunks_are(chunk_frames: int) -> None:
    wanted = make_plan(16, (64, 48), (CUT_AT,), 4, 2, "x", Coherence.SEQUENTIAL)
    assert make_plan(16, (64, 48), (CUT_AT,), chunk_frames, 2, "x", Coherence.SEQUENTIAL) == wanted
