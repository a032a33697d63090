"""A thousand hostile inputs, each through the calls that a submit and a plan make: read, or refused in one line.

The default run takes every twentieth; `make chaos` takes all, and writes what came of them to bench/results/hostile.md.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from hostile.makers import COUNT, Hostile, Maker

from farm import sandbox
from farm.client import _build_spec, _check_clip
from farm.contract import keys
from farm.contract.errors import DecoderFailed, FarmError
from farm.contract.params import Params
from farm.contract.spec import JOB_PATTERN, Media, Output, Style
from farm.plan import CHUNK_CHOICES, chosen_chunk_frames
from farm.settings import Settings
from farm.style_file import load_style, shown_name

MOST_S = 10.0
QUIET_S = 0.4  # a good clip's check, twice over
EVERY = 20  # of the thousand, in the default run
FROM = 3
STYLE = (Style(Media("0" * 64, ".png", 1), "x"),)
ROOT = Path(__file__).parents[2]
TABLE = ROOT / "bench" / "results" / "hostile.md"


@pytest.fixture(scope="module")
def maker(tmp_path_factory: pytest.TempPathFactory) -> Maker:
    return Maker(tmp_path_factory.mktemp("hostile") / "bases")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the inputs, and nothing but that in the folder we work in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    return tmp_path / "inputs"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", cache_dir=tmp_path / "cache")


@dataclass
class Outcomes:
    """What came of the inputs."""

    by_kind: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    slowest: list[tuple[float, Hostile, str]] = field(default_factory=list)
    seconds: float = 0.0

    def add(self, item: Hostile, outcome: str, seconds: float) -> None:
        self.by_kind[item.kind][outcome] += 1
        self.seconds += seconds
        self.slowest = sorted([*self.slowest, (seconds, item, outcome)], key=lambda one: -one[0])[:5]

    def page(self) -> str:
        columns = ("read", "refused", "child ended")
        rows = [
            f"| {kind} | {sum(found.values())} | " + " | ".join(str(found[name]) for name in columns) + " |\n"
            for kind, found in sorted(self.by_kind.items())
        ]
        whole = sum((Counter(found) for found in self.by_kind.values()), Counter())
        seconds, item, outcome = self.slowest[0]
        return (
            f"""# Hostile inputs

{whole.total():,} files made by a seeded hand from small real ones (`tests/hostile/makers.py`), each through what a
submit and a plan do with it. Each was read, or refused in one printable line; no process of ours died or was left, no
input took {MOST_S:.0f} s, and nothing was written outside its folder. "Child ended" is a decoder that crashed, hung or
asked for more memory than it may have: it was a process of its own, and the answer was one line as well.

| kind | inputs | {" | ".join(columns)} |
|---|---|---|---|---|
"""
            + "".join(rows)
            + f"| all | {whole.total()} | " + " | ".join(str(whole[name]) for name in columns) + " |\n"
            + f"\n{self.seconds:.0f} s in all, {1000 * self.seconds / whole.total():.0f} ms an input; "
            f"the slowest, number {item.number} ({item.kind}, {outcome}), {seconds:.1f} s.\n"
        )  # fmt: skip


def attempt(item: Hostile, settings: Settings) -> str:
    """What a submit and then a plan, or a worker, do with the input; what came of it in a word."""
    try:
        if item.is_style:
            style = load_style(item.path, settings).style
            width, height = sandbox.check_picture(item.path, settings)
            assert (width, height) == sandbox.read_picture(item.path, settings).shape[1::-1]
            assert style.name.isprintable()
            check_key(keys.media(style.media))
        else:
            media, said_frames = _check_clip(Path(item.path), settings)
            assert chosen_chunk_frames(said_frames, workers=4) in CHUNK_CHOICES
            name = shown_name(Path(item.path))
            spec = _build_spec(name, media, STYLE, None, 12, Params(), Output(), "")
            assert JOB_PATTERN.fullmatch(spec.job)
            assert spec.name.isprintable()
            check_key(keys.media(media))
            found = sandbox.index_clip(item.path, settings).index
            assert 0 < found.frame_count < 10_000
    except FarmError as error:
        if not error.message.isprintable() or error.exit_code != 2:
            pytest.fail(f"{item} ended in {error!r}")
        return "child ended" if isinstance(error, DecoderFailed) else "refused"
    assert not item.must_fail, f"{item} was obeyed"
    return "read"


def listing(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def check_key(key: str) -> None:
    assert ".." not in key
    assert key.isascii()
    assert key.isprintable()
    assert key.count("/") == 1


def slowness(maker: Maker, settings: Settings, seconds: float) -> float:
    """How many times longer than on a quiet machine things take now; looked at only where something took long."""
    if seconds < MOST_S:
        return 1.0
    began_s = time.monotonic()
    sandbox.check_clip(maker.good, settings)
    return max(1.0, (time.monotonic() - began_s) / QUIET_S)


def run_through(numbers: range, maker: Maker, place: Path, settings: Settings) -> Outcomes:
    outcomes, files = Outcomes(), len(listing(Path("/proc/self/fd")))
    before = set(psutil.Process().children())  # other tests' farms
    for number in numbers:
        folder = place / str(number)
        item = maker.make(number, folder)
        began_s = time.monotonic()
        outcome = attempt(item, settings)
        seconds = time.monotonic() - began_s
        assert seconds < MOST_S * slowness(maker, settings, seconds), f"{item} took {seconds:.1f} s"
        assert listing(place.parent) == ["inputs", "tmp"], f"{item} wrote elsewhere"
        assert listing(place.parent / "tmp") == [], f"{item} left files behind"
        outcomes.add(item, outcome, seconds)
        shutil.rmtree(folder)
    assert set(psutil.Process().children()) <= before
    assert len(listing(Path("/proc/self/fd"))) <= files  # fewer: other tests' connections were collected
    return outcomes


@pytest.mark.timeout(120)
def test_hostile_inputs_are_read_or_refused_in_one_line(maker: Maker, place: Path, settings: Settings) -> None:
    outcomes = run_through(range(FROM, COUNT, EVERY), maker, place, settings)
    whole = sum((Counter(found) for found in outcomes.by_kind.values()), Counter())
    assert whole["refused"] > whole["child ended"]
    assert whole["read"] > 0


@pytest.mark.chaos
@pytest.mark.timeout(4 * 3600)
def test_a_thousand_hostile_inputs(maker: Maker, place: Path, settings: Settings) -> None:
    outcomes = run_through(range(COUNT), maker, place, settings)
    if os.environ.get("CHAOS_TABLE"):
        TABLE.write_text(outcomes.page())


@pytest.mark.parametrize("name", ["\u202e\x1b]0;x\x07gpj.mp4", "a\nb\x9b.mp4", "[red]x[red].mp4"])
def test_the_command_line_shows_a_hostile_name_and_does_not_obey_it(name: str, maker: Maker, place: Path) -> None:
    place.mkdir()
    (place / name).write_bytes(maker.good.read_bytes()[:900])
    film, style = place / "film.mp4", maker.pictures[0]
    done = subprocess.run(
        [sys.executable, "-m", "farm.cli", "render", place / name, "--style", style, "-o", film],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.isprintable()
    assert line.startswith("farm: ")
    assert ".mp4 is cut short" in line
    assert listing(place) == [name]
