"""`Dockerfile.worker`: facts hadolint does not check."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Dockerfile.worker").read_text()


def stage(name: str) -> str:
    """The text of one stage."""
    return re.split(r"^FROM .*$", TEXT.split(f" AS {name}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]


def test_only_the_worker_brings_torch() -> None:
    assert "--extra worker" in stage("build-worker")
    assert "--extra" not in stage("build-coordinator")
    assert "--from=build-coordinator" in stage("coordinator")


def test_every_install_is_held_to_the_pins() -> None:
    installs = re.findall(r"uv pip install [^\n]*", TEXT)
    assert len(installs) == 5
    assert all("-c constraints.txt" in line or "--no-deps" in line for line in installs)


def test_uv_is_the_one_set_up_uses() -> None:
    (version,) = re.findall(r"^UV_VERSION=(\S+)$", (ROOT / "deploy/setup.sh").read_text(), re.MULTILINE)
    assert f"uv=={version}" in TEXT


def test_processes_do_not_run_as_root() -> None:
    assert re.findall(r"^USER (.*)$", TEXT, re.MULTILINE) == ["10001:10001"]
    assert "USER" in stage("runtime")


def test_stop_signals_reach_the_main_process_only() -> None:
    assert re.findall(r"^ENTRYPOINT (.*)$", TEXT, re.MULTILINE) == ['["/usr/bin/tini", "--"]']


def test_no_weights_are_baked_in_by_default() -> None:
    (default,) = re.findall(r"^ARG BAKED_WEIGHTS=(.*)$", TEXT, re.MULTILINE)
    assert [path.name for path in (ROOT / default).iterdir()] == [".gitkeep"]


def test_what_it_copies_is_in_the_build_context() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    sources = {
        word
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", TEXT, re.MULTILINE)
        for word in line.split()
        if "$" not in word
    }
    assert sources <= allowed
    assert all((ROOT / path).exists() for path in allowed)
