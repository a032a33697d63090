"""The Makefile's and the set-up's promises that can be tested without installing anything."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MAKEFILE = (ROOT / "Makefile").read_text()
PROMISED = [
    "setup", "demo", "test", "unit", "integration", "acceptance", "lint", "types", "bench",
    "bench-picture", "gallery", "up", "down", "env", "styles", "clean", "help",
]  # fmt: skip


def make(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=ROOT, env={**clean, **environ}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_help_is_the_default_and_lists_every_target() -> None:
    targets = set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))
    listed = set(re.findall(r"^  make ([\w-]+) +\S", make().stdout, re.MULTILINE))
    assert listed == targets
    assert listed >= set(PROMISED)


def test_every_target_is_phony() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert set(phony.split()) == set(re.findall(r"^([a-z-]+):", MAKEFILE, re.MULTILINE))


@pytest.mark.parametrize("target", [name for name in PROMISED if name not in {"setup", "env", "clean", "help"}])
def test_a_target_that_needs_the_environment_makes_it_first(target: str) -> None:
    first, *_ = make("--dry-run", target).stdout.splitlines()
    assert first == "sh deploy/setup.sh"


def test_ci_ends_with_the_tests() -> None:
    lines = [line for line in (ROOT / ".ci/run").read_text().splitlines() if line.startswith("make")]
    assert lines == ["make lint types", "make test"]
    assert os.access(ROOT / ".ci/run", os.X_OK)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """What set-up needs of the tree, and nothing else."""
    (tmp_path / "deploy").mkdir()
    for name in ("deploy/setup.sh", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def setup(tree: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["/bin/sh", tree / "deploy/setup.sh"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )


def old_python(folder: Path) -> None:
    """Every name set-up tries, standing for a Python that is too old."""
    folder.mkdir()
    for name in ("python3.11", "python3.12", "python3.13", "python3.14", "python3", "python"):
        (folder / name).write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2"\nexit 1\n')
        (folder / name).chmod(0o755)


def test_set_up_names_the_python_it_found_where_it_is_too_old(tree: Path) -> None:
    old_python(tree / "bin")
    done = setup(tree, PATH=f"{tree / 'bin'}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "needs Python 3.11 or newer, found Python 3.9.2" in done.stderr
    assert not (tree / ".venv").exists()


def test_set_up_that_is_done_ends_at_once(tree: Path) -> None:
    (tree / ".venv/bin").mkdir(parents=True)
    (tree / ".venv/bin/python").symlink_to(shutil.which("python3.11") or sys.executable)
    stamp = subprocess.run(
        "{ pwd && cat pyproject.toml constraints.txt deploy/setup.sh; } | cksum",
        shell=True, cwd=tree, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    (tree / ".venv/.stamp").write_text(stamp)
    done = setup(tree, PATH="/usr/bin:/bin")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_an_environment_that_was_moved_is_made_anew(tree: Path) -> None:
    """Its scripts name the old place. Here making it anew fails, on purpose, and says how to go on."""
    (tree / "bin").mkdir()
    (tree / "bin/python3.11").write_text('#!/bin/sh\n[ "$1" = -c ]\n')
    (tree / "bin/python3.11").chmod(0o755)
    (tree / ".venv/bin").mkdir(parents=True)
    shutil.copy(tree / "bin/python3.11", tree / ".venv/bin/python")
    (tree / ".venv/bin/pip").write_text("#!/elsewhere/.venv/bin/python\n")
    done = setup(tree, PATH=f"{tree / 'bin'}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "making .venv with python3.11" in done.stdout
    assert "apt install python3-venv" in done.stderr
