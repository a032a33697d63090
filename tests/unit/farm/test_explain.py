"""`farm explain`'s words, from facts alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from farm.contract.messages import Priority, Stage, TaskId
from farm.contract.params import Params
from farm.contract.spec import Media, Output, Spec, Style
from farm.contract.states import JobState, TaskState
from farm.explain import Facts, Reason, explain
from farm.ledger import JobRecord, TaskRecord, WorkerInfo
from farm.plan import make_plan

JOB = "clip-0123456789"
NOW_S = 1000.0
PLAN = make_plan(12, (64, 48), (), 4, 2, "x")
MEDIA = Media("0" * 64, ".png", 1)
SPEC = Spec(
    "clip", MEDIA, (Style(MEDIA, "swirl"),), None, 48, Params(), Output(), weights_sha256="abcdef01"
)  # fmt: skip
COORDINATOR = WorkerInfo("coordinator", "host", 1, "cpu", ("coordinate", "media"))
WORKER = WorkerInfo("one", "host", 2, "cpu", ("stylize", "blend"), weights={"efficientnet_lite0": "abcdef01" * 8})


def stylize(start: int) -> TaskId:
    return TaskId(Stage.STYLIZE, start)


def facts(state: JobState = JobState.RENDERING, tasks: dict[TaskId, TaskRecord] | None = None, **how: Any) -> Facts:
    record = JobRecord(JOB, state, error="it broke", started_s=900.0)
    running = {task for task, item in (tasks or {}).items() if item.state is TaskState.RUNNING}
    base = Facts(JOB, record, NOW_S, tasks or {}, frozenset(running), SPEC, PLAN, (COORDINATOR, WORKER))
    return replace(base, **how)


def words(found: Facts) -> str:
    return "\n".join(f"{reason.what} -> {reason.cure}" for reason in explain(found))


def anchors_done(**more: TaskRecord) -> dict[TaskId, TaskRecord]:
    done = {TaskId(Stage.ANCHOR, start): TaskRecord(TaskState.SUCCEEDED, 1) for start in (0, 4, 8)}
    return done | {stylize(int(name[1:])): item for name, item in more.items()}


@pytest.mark.parametrize(
    ("state", "what", "cure"),
    [
        (JobState.SUCCEEDED, "it is done: the film is there", f"`farm fetch {JOB}`"),
        (JobState.FAILED, "it failed: it broke", f"mend that, then `farm retry {JOB}`; `farm logs {JOB}` has more"),
        (JobState.CANCELED, "it was canceled; the frames done are kept", f"`farm resume {JOB}` goes on from them"),
        (JobState.PAUSED, "it is paused; the frames done are kept", f"`farm resume {JOB}`"),
    ],
)
def test_a_job_that_does_not_go_on_by_itself(state: JobState, what: str, cure: str) -> None:
    assert explain(facts(state)) == [Reason(what, cure)]


def test_a_job_that_never_began_is_held() -> None:
    held = facts(JobState.PAUSED, record=JobRecord(JOB, JobState.PAUSED))
    assert explain(held) == [Reason("it is held since it was submitted", f"`farm resume {JOB}`")]


def test_a_job_that_redis_forgot() -> None:
    assert explain(facts(record=None)) == [
        Reason("Redis has forgotten this job; the store has not", f"`farm resume {JOB}`")
    ]


def test_nobody_at_work() -> None:
    found = words(facts(processes=()))
    assert "no coordinator is alive, so nothing is moved on -> `farm coordinator`, or `farm up`" in found
    assert "no worker is alive for the queue stylize -> `farm worker`, or `farm up`" in found
    assert "no worker is alive for the queue blend" in found


def test_a_queue_that_nobody_serves_is_named() -> None:
    found = words(facts(processes=(COORDINATOR, replace(WORKER, queues=("stylize",)))))
    assert "no worker is alive for the queue blend" in found
    assert "queue stylize" not in found


def test_a_worker_in_quarantine_is_named_with_its_error() -> None:
    found = words(facts(processes=(COORDINATOR, replace(WORKER, quarantine="3 tasks in a row failed: no memory"))))
    assert "every worker for the queue stylize is in quarantine" in found
    assert "one is in quarantine: 3 tasks in a row failed: no memory" in found


def test_other_weights_than_the_jobs() -> None:
    other = replace(WORKER, weights={"efficientnet_lite0": "99" * 32})
    assert "no worker has the job's weights of efficientnet_lite0" in words(facts(processes=(COORDINATOR, other)))
    assert "weights" not in words(facts())


def test_a_store_that_is_away() -> None:
    away = facts(store_error="the S3 server at http://localhost:1 does not answer; start it, or `farm up`")
    assert explain(away)[0] == Reason(
        "the store can't be used: the S3 server at http://localhost:1 does not answer", "start it, or `farm up`"
    )


def test_a_retry_is_told_with_its_time_and_the_last_error() -> None:
    item = TaskRecord(TaskState.RETRYING, 1, retry_at_s=NOW_S + 3, error="no memory", failed_on=("one",))
    two = replace(WORKER, name="two")
    found = words(facts(tasks=anchors_done(c4=item), processes=(COORDINATOR, WORKER, two)))
    assert (
        "chunk 4 is tried again in 3 s by another worker than one, attempt 2 of 3; the last one ended with: no memory"
        in found
    )
    alone = words(facts(tasks=anchors_done(c4=item)))
    assert "chunk 4 is tried again in 3 s, attempt 2 of 3" in alone


def test_a_poisoned_chunk_is_named_while_the_others_go_on() -> None:
    tasks = anchors_done(
        c0=TaskRecord(TaskState.FAILED, 3, error="it broke"),
        c4=TaskRecord(TaskState.RUNNING, 1, NOW_S - 120, worker="one"),
    )
    found = words(facts(tasks=tasks))
    assert "chunk 0 failed for good: it broke; the others finish first, then the job fails" in found
    assert f"-> mend that, then `farm retry {JOB}`" in found
    assert "one is at chunk 4, since 2 min" in found


def test_what_waits_is_told_by_what_it_waits_for() -> None:
    tasks = anchors_done(
        c0=TaskRecord(TaskState.SUCCEEDED, 1), c4=TaskRecord(TaskState.RUNNING, 1, NOW_S, worker="one")
    )
    found = words(facts(tasks=tasks))
    assert "boundary 4 waits for chunk 4 (running), and 1 more of its kind wait" in found


def test_a_segment_waits_for_its_frames_and_for_whom_it_needs() -> None:
    tasks = anchors_done(c0=TaskRecord(TaskState.RUNNING, 1, NOW_S, worker="one"))
    assert "segment 0 waits for chunk 0 (running)" in words(facts(tasks=tasks))
    alone = words(facts(tasks=tasks, processes=(replace(COORDINATOR, queues=("coordinate",)), WORKER)))
    assert "no coordinator is alive for the queue media -> `farm coordinator`, or `farm up`" in alone


def test_a_worker_that_died_is_told_until_the_sweep_has_seen_it() -> None:
    tasks = anchors_done(c4=TaskRecord(TaskState.RUNNING, 1, NOW_S, worker="one"))
    assert "one died or lost touch while it was at chunk 4" in words(facts(tasks=tasks, leased=frozenset()))


def test_jobs_ahead_in_the_queue_are_named() -> None:
    queued = TaskRecord(TaskState.QUEUED, 1, NOW_S - 5)
    before = {stylize(0): replace(queued, since_s=NOW_S - 60), stylize(4): TaskRecord(TaskState.RUNNING, 1)}
    after = {stylize(0): replace(queued, since_s=NOW_S - 1)}
    others = (
        (JobRecord("a-0000000000"), before),
        (JobRecord("b-0000000000"), after),
        (JobRecord("c-0000000000", priority=Priority.HIGH), after),
        (JobRecord("d-0000000000", priority=Priority.LOW), {stylize(0): replace(queued, since_s=0.0)}),
    )
    found = words(facts(tasks=anchors_done(c4=queued), others=others))
    assert (
        "1 task of it waits in the queue stylize, behind a-0000000000 (1 running, 1 queued), "
        "c-0000000000 (high, 0 running, 1 queued) -> more workers; or submit it again with --priority high" in found
    )


def test_nothing_in_its_way() -> None:
    assert explain(facts(JobState.PLANNING)) == [
        Reason("nothing is in its way: the coordinator looks at it within a few seconds")
    ]
