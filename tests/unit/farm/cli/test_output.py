"""How numbers, tables and messages are written."""

from __future__ import annotations

import json
import time

import pytest

from farm.cli.output import age_text, bytes_text, duration_text, put_json, put_table, rate_text
from farm.cli.terminal import one_line
from farm.contract.messages import Stage, TaskId


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.4, "0:59"), (59.6, "1:00"), (3600, "1:00:00"), (86399, "23:59:59"), (None, "–")],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0.0, ""), (0.25, "4.0 s/frame"), (0.5, "0.50 frames/s"), (9.994, "9.99 frames/s"), (25.0, "25 frames/s")],
)
def test_rates_are_seconds_a_frame_where_slow(rate: float, text: str) -> None:
    assert rate_text(rate) == text


@pytest.mark.parametrize(
    ("count", "text"), [(999, "999 B"), (1000, "1.0 kB"), (17_000_000, "17 MB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB")]
)
def test_bytes(count: float, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(
    ("age_s", "text"),
    [
        (-5, "0 s ago"),
        (59, "59 s ago"),
        (60, "1 min ago"),
        (7200, "2 h ago"),
        (86400, "1 day ago"),
        (3 * 86400, "3 days ago"),
    ],
)
def test_ages(age_s: float, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_000_000.0)
    assert age_text(1_000_000.0 - age_s) == text


def test_a_message_is_one_line_without_control_characters() -> None:
    assert one_line("a\n\tb\x1b[31m\x07c") == "a b�[31m�c"


def test_json_is_one_line_and_plain(capsys: pytest.CaptureFixture[str]) -> None:
    put_json({"task": TaskId(Stage.BLEND, 3), "name": "Frühling\n"})
    text = capsys.readouterr().out
    assert text.count("\n") == 1
    assert json.loads(text) == {"task": {"stage": "blend", "start": 3}, "name": "Frühling\n"}


def test_a_table_outside_a_terminal_is_aligned_uncut_and_without_markup(capsys: pytest.CaptureFixture[str]) -> None:
    put_table(("A", "N"), [("[red]x[/]" + "y" * 200, "1"), ("z", "20")], right=frozenset({1}))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "[red]x[/]" + "y" * 200 + "   1"
    assert lines[2] == "z" + " " * 208 + "  20"
    assert lines[0].rstrip() == lines[0]
