"""What is shown of a job on its way."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest
from rich.console import Console

from farm.cli.following import IDLE_S, REPEAT_S, Vigil, lack_of
from farm.cli.progress import JsonProgress, LineProgress, StageRates, job_view, status_line
from farm.contract.messages import Stage, TaskId
from farm.contract.states import JobState, TaskState
from farm.ledger import JobRecord, TaskRecord
from farm.status import JobStatus, job_status

PLAN, FIRST, SECOND = TaskId(Stage.PLAN), TaskId(Stage.STYLIZE, 0), TaskId(Stage.STYLIZE, 10)


def status_at(
    frames: int = 8,
    *,
    state: JobState = JobState.RENDERING,
    workers: int = 1,
    coordinators: int = 1,
    now_s: float = 140.0,
) -> JobStatus:
    """A job of 20 frames in 2 chunks, submitted at 100 s, painting since 120 s; `frames` of the first chunk painted."""
    record = JobRecord(
        "clip-0123456789", state=state, name="clip", style_name="swirl", created_s=100.0, started_s=120.0,
        frame_count=20, chunk_count=2, boundary_count=0, blend_frame_count=0, segment_count=1,
    )  # fmt: skip
    anchors = {TaskId(Stage.ANCHOR, start): TaskRecord(TaskState.SUCCEEDED) for start in (0, 10)}
    running = TaskRecord(TaskState.RUNNING, since_s=now_s - 20, began_s=now_s - 20, worker="paul")
    return job_status(
        record,
        {PLAN: TaskRecord(TaskState.SUCCEEDED), **anchors, FIRST: running},
        {PLAN: 20, **dict.fromkeys(anchors, 1), FIRST: frames},
        now_s=now_s,
        workers_alive=workers,
        coordinators_alive=coordinators,
    )


def drawn(status: JobStatus, width: int, rates: StageRates | None = None) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(job_view(status, rates or StageRates(), width))
    return capture.get().splitlines()


def test_the_bars_show_each_stage_with_frames_speed_time_left_and_workers() -> None:
    lines = drawn(status_at(), 100)
    # 8 frames and half of the next one in 20 s: the other 12 take 28 s.
    assert lines[0].split(maxsplit=3) == ["clip-0123456789", "swirl", "rendering", "0:40, about 0:29 left"]
    assert [line.split()[0] for line in lines[1:7]] == ["plan", "anchors", "stylize", "blend", "segments", "assemble"]
    assert lines[3].split()[-3:] == ["8/20", "2.5", "s/frame"]
    assert lines[7].strip() == "1 of 1 worker on it: paul"


def test_a_stage_without_work_is_not_shown_as_open() -> None:
    assert " – " in drawn(status_at(), 100)[4] + " "
    assert "0/0" not in drawn(status_at(), 100)[4]


@pytest.mark.parametrize("width", [30, 50, 80, 120, 200])
def test_the_bars_fit_the_terminal(width: int) -> None:
    assert max(len(line) for line in drawn(status_at(), width)) <= width


def test_the_bar_grows_in_proportion() -> None:
    def length(frames: int) -> int:
        return drawn(status_at(frames), 100)[3].count("━")

    assert length(0) == 0
    assert length(10) * 2 == pytest.approx(length(20), abs=1)


def test_the_speed_of_a_stage_is_what_was_seen_of_it() -> None:
    rates = StageRates()
    rates.note(status_at(2), 10.0)
    assert rates.frames_per_s(Stage.STYLIZE) == 0.0
    rates.note(status_at(8), 13.0)
    rates.note(status_at(8), 99.0)  # waiting is not work
    assert rates.frames_per_s(Stage.STYLIZE) == pytest.approx(2.0)


def test_lines_come_at_a_change_of_state_and_each_tenth_only(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    progress = LineProgress(Console(file=text, width=1000))
    for frames in range(21):
        progress.show(status_at(frames))
    progress.show(status_at(20, state=JobState.ASSEMBLING))
    lines = text.getvalue().splitlines()
    # The work is that of 20 painted frames, 2 anchors as dear as 16, and one more for all else: a tenth is 3.7 frames.
    assert [line.split(", ")[1] for line in lines] == [f"{n}/20 frames painted" for n in (0, 4, 8, 12, 16, 20, 20)]
    assert "assembling" in lines[-1]


def test_a_line_says_state_frames_speed_and_time() -> None:
    assert status_line(status_at()) == (
        "clip-0123456789: rendering, 8/20 frames painted, 2.5 s/frame, about 0:29 left, 0:40 elapsed"
    )


def test_json_has_one_line_per_change(capsys: pytest.CaptureFixture[str]) -> None:
    progress = JsonProgress(Console(file=io.StringIO()))
    for status in (status_at(), status_at(now_s=150.0), status_at(9, now_s=151.0)):
        progress.show(status)
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["state"], first["stages"][2]["frames_done"], second["stages"][2]["frames_done"]) == (
        "rendering",
        8,
        9,
    )
    assert first["ended"] is False


def test_nobody_at_work_is_said_after_ten_seconds_and_then_each_minute() -> None:
    said: list[float] = []
    now_s = 0.0
    vigil = Vigil(lambda _: said.append(now_s))
    for now_s in range(150):
        vigil.see(status_at(workers=0), float(now_s))
    assert said == [IDLE_S, IDLE_S + REPEAT_S, IDLE_S + 2 * REPEAT_S]


def test_a_worker_that_comes_in_time_prevents_the_warning() -> None:
    said: list[str] = []
    vigil = Vigil(said.append)
    for now_s, workers in ((0.0, 0), (9.0, 1), (10.0, 0), (19.0, 0)):
        vigil.see(status_at(workers=workers), now_s)
    assert said == []


def test_who_is_missing_is_said_with_the_cure() -> None:
    assert "`farm worker`" in lack_of(status_at(workers=0))
    assert "`farm coordinator`" in lack_of(status_at(coordinators=0))
    assert "`farm up`" in lack_of(status_at(workers=0, coordinators=0))
    assert lack_of(status_at()) == ""
    assert lack_of(status_at(workers=0, state=JobState.SUCCEEDED)) == ""


def test_a_paused_job_says_how_it_goes_on() -> None:
    assert lack_of(status_at(state=JobState.PAUSED)) == "it is paused; `farm resume clip-0123456789` goes on"


def test_workers_that_are_all_in_quarantine_are_as_good_as_none() -> None:
    ill = {"paul": "3 tasks in a row failed on it"}
    assert lack_of(replace(status_at(workers=2), quarantines=ill)) == ""
    assert "paul: 3 tasks in a row failed on it" in lack_of(replace(status_at(), quarantines=ill))
