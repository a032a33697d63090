"""`farm measure` as a process: what it prints, and what it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import synthetic
from clips import make_clip

from farm.contract.codec import from_plain
from farm.measure import PictureReport
from farm.png import png_read


def farm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "farm.cli", "measure", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, str, str]:
    """The arguments that name a clip and a film."""
    folder = tmp_path_factory.mktemp("pair")
    clip = synthetic.cut((96, 64), 44)
    clip.write(folder / "clip.mp4")
    clip.write(folder / "film.mkv", codec="ffv1")
    return "--source", str(folder / "clip.mp4"), "--film", str(folder / "film.mkv")


def test_a_pair_is_measured_as_a_table(pair: tuple[str, ...]) -> None:
    result = farm(*pair)
    assert result.returncode == 0
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["film", "film.mkv"] in lines
    assert ["frames", "44", "frames,", "2", "shots,", "0", "boundaries"] in lines
    assert "E, warping error" in result.stdout
    assert [line[:2] for line in lines[-2:]] == [["0", "22"], ["22", "22"]]
    assert result.stderr.startswith("drift is the last tenth")


def test_json_is_a_report_and_the_same_each_time(pair: tuple[str, ...]) -> None:
    first, second = farm(*pair, "--json"), farm(*pair, "--json")
    assert first.stdout == second.stdout
    report = from_plain(PictureReport, json.loads(first.stdout))
    assert (report.frame_count, report.version) == (44, 1)
    assert (first.returncode, first.stderr) == (0, "")


def test_against_a_film_the_reference_has_its_own_line(pair: tuple[str, ...]) -> None:
    result = farm(*pair, "--against", pair[3])
    own, _, other = (line for line in result.stdout.splitlines() if line.startswith("E"))
    assert own.split()[-6:] == other.split()[-6:]


def test_the_plot_is_written(pair: tuple[str, ...], tmp_path: Path) -> None:
    result = farm(*pair, "--plot", tmp_path / "plot.png")
    assert result.stderr.splitlines()[0] == f"plot: {tmp_path / 'plot.png'}"
    assert png_read((tmp_path / "plot.png").read_bytes()).size


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--source", "clip.mp4"), "--source clip.mp4 says nothing alone; give --film, too"),
        (("--film", "film.mp4"), "--film film.mp4 says nothing alone; give --source, too"),
        (("clip-0123456789", "--source", "a", "--film", "b"), "clip-0123456789 and --film b are two films"),
        (("--source", "a", "--film", "b", "--against", "clip-01"), "--against clip-01: there is no such file"),
        (("--source", "a", "--film", "b", "--plot", "plot.jpg"), "give --plot plot.png"),
        (("--source", "a", "--film", "b", "--plot", "/no/where/plot.png"), "there is no folder /no/where"),
        (("--source", "nothing.mp4", "--film", "b"), "nothing.mp4 does not exist; check the path"),
        (("--source", "clip.mp4", "--from", "0:10"), "--source clip.mp4 says nothing alone; give --film, too"),
        (
            ("--from", "0:10"),
            "--from 0:10: a job knows its part of the clip; leave it out, or give --source and --film",
        ),
        (("--source", "a", "--film", "b", "--to", "soon"), "--to soon"),
        ((), "no farm configured"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_line(arguments: tuple[str, ...], words: str) -> None:
    result = farm(*arguments)
    (line,) = result.stderr.splitlines()
    assert line.startswith("farm: ")
    assert words in line
    assert (result.returncode, result.stdout) == (2, "")


def test_a_part_is_measured_by_its_times(pair: tuple[str, ...], tmp_path: Path) -> None:
    clip = synthetic.cut((96, 64), 44)
    film = make_clip(tmp_path / "film.mkv", frames=12, size=(96, 64), codec="ffv1",
                     pictures_from=(clip.picture(number) for number in range(30, 42))).path  # fmt: skip
    result = farm(*pair[:3], film, "--from", "0:01.2", "--to", "1.68")
    assert (result.returncode, "12 frames, 1 shot, 0 boundaries" in result.stdout) == (0, True)


def test_a_film_of_another_length_is_refused(pair: tuple[str, ...], tmp_path: Path) -> None:
    synthetic.pan((96, 64), 9).write(tmp_path / "film.mp4")
    result = farm(*pair[:3], tmp_path / "film.mp4")
    assert result.returncode == 2
    assert "has 9 frames" in result.stderr
    assert "clip.mp4 has 44" in result.stderr
