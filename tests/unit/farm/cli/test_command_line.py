"""The command line as a process: help, exit codes, one line for what goes wrong, and what it does not import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from farm import __version__
from farm.contract.params import describe

FARM = [sys.executable, "-m", "farm.cli"]


def farm(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*FARM, *arguments], capture_output=True, text=True, timeout=30, check=False, env={**os.environ, **environ}
    )


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr of a command that was refused."""
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("farm: ")
    return line.removeprefix("farm: ")


def test_help_answers_at_once_for_it_imports_nothing_that_takes_long() -> None:
    result = farm("--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert {"farm", "typer"} <= imported
    slow = {"av", "boto3", "botocore", "celery", "cv2", "kombu", "numpy", "psutil", "redis", "rich", "torch", "worker"}
    assert imported & slow == set()


def test_help_names_every_command_but_the_demo() -> None:
    words = set(farm("--help").stdout.split())
    commands = "render submit styles list status watch fetch measure cancel resume up down doctor worker coordinator"
    assert set(commands.split()) <= words
    assert "demo" not in words


def test_without_arguments_it_shows_its_help() -> None:
    assert farm().stdout == farm("--help").stdout


def test_help_fits_a_narrow_terminal_and_has_no_escape_codes() -> None:
    text = farm("submit", "--help", COLUMNS="80").stdout
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\033" not in text


@pytest.mark.parametrize("command", ["submit", "render"])
def test_help_shows_each_painting_parameter_with_doc_and_default(command: str) -> None:
    text = " ".join(farm(command, "--help").stdout.split())
    for doc in describe():
        assert f"{doc.flag} " in text
        assert f"{doc.doc} (default: {doc.default})" in text


def test_version() -> None:
    assert farm("--version").stdout == f"farm {__version__}\n"


def test_the_client_imports_no_torch() -> None:
    code = "import sys, farm.client, farm.cli.app; print('torch' in sys.modules, 'cv2' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["paint"], "no such command 'paint'"),
        (["submit"], "missing argument 'CLIP'"),
        (["submit", "clip.mp4"], "missing option '--style'"),
        (["submit", "clip.mp4", "--stile", "swirl"], "no such option: --stile"),
        (["render", "clip.mp4", "--style", "swirl"], "missing option '--output'"),
        (["list", "--limit", "few"], "not a whole number"),
        (["status", "one", "two"], "unexpected extra argument"),
    ],
)
def test_a_wrong_command_line_is_refused_in_one_line_with_code_2(arguments: list[str], words: str) -> None:
    result = farm(*arguments)
    assert words in refused(result)
    assert result.returncode == 2


@pytest.mark.parametrize(
    ("flag", "value", "cure"),
    [
        ("--size", "0", "from 16 to 8192"),
        ("--size", "wide", "from 16 to 8192"),
        ("--chunk", "-3", "from 1 to 100000"),
        ("--chunk", "0", "from 1 to 100000"),
        ("--crf", "52", "from 0 to 51"),
        ("--codec", "divx", "h264, hevc, ffv1, prores"),
        ("--backbone", "vgg99", "efficientnet_lite0, vgg19"),
        ("--steps", "0", "from 1 to 5000"),
        ("--steps", "many", "give one"),
        ("--learning-rate", "nan", "from 1e-05 to 10"),
    ],
)
def test_a_value_outside_its_range_is_refused_with_the_range(flag: str, value: str, cure: str) -> None:
    result = farm("submit", "clip.mp4", "--style", "swirl", flag, value)
    line = refused(result)
    assert line.startswith(flag)
    assert value in line
    assert cure in line
    assert result.returncode == 2


@pytest.mark.parametrize("command", ["list", "status", "watch", "fetch", "cancel", "resume", "worker", "coordinator"])
def test_without_a_farm_each_command_says_how_to_get_one(command: str) -> None:
    result = farm(command)
    assert refused(result) == "no farm configured: run `farm up`, or set FARM_REDIS_URL and FARM_S3_ENDPOINT"
    assert result.returncode == 2


@pytest.mark.parametrize(
    ("clip", "style", "words"),
    [
        ("clpi.mp4", "swirl", "clpi.mp4 does not exist; check the path"),
        ("clip.mp4", "swril", "no built-in style 'swril': did you mean swirl?"),
        ("clip.mp4", "oil.jpg", "--style oil.jpg: no such image file"),
        ("clip.mp4", "swirl", "no farm configured"),
    ],
)
def test_a_submit_of_files_that_are_not_there_is_refused_before_a_farm_is_asked_for(
    clip: str, style: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").write_bytes(b"not looked into yet")
    result = farm("submit", clip, "--style", style)
    assert refused(result).startswith(words)
    assert result.returncode == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["swirl", "-o", "x.jpg"], "-o x.jpg: a style is a PNG file; give -o x.png, or a folder"),
        (["-o", "x.png"], "-o x.png: all styles go into a folder; give -o x"),
    ],
)
def test_styles_are_written_to_no_folder_that_is_named_like_a_picture(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = farm("styles", *arguments, "--size", "32")
    assert (refused(result), result.returncode) == (words, 2)
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_cannot_be_used_is_refused_by_its_name() -> None:
    result = farm("list", FARM_REDIS_URL="http://nowhere")
    assert refused(result).startswith("FARM_REDIS_URL='http://nowhere' can't be used")


def test_redis_that_does_not_answer_is_one_line_and_code_8() -> None:
    result = farm("list", FARM_REDIS_URL="redis://127.0.0.1:1/0", FARM_S3_ENDPOINT="http://127.0.0.1:1")
    assert refused(result).startswith("Redis at 127.0.0.1:1 does not answer")
    assert result.returncode == 8


def test_a_traceback_is_shown_only_to_developers() -> None:
    result = farm("list", FARM_DEBUG="1")
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("farm: no farm configured")


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{sys.executable} -m farm.cli submit --help | true"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=False)
    assert result.stderr == ""


def test_down_without_a_farm_says_so() -> None:
    result = farm("down")
    assert (result.returncode, result.stderr) == (0, "no private farm is up\n")
    assert farm("down", "--json").stdout == '{"ended": []}\n'
