"""`Dockerfile.worker`: facts hadolint does not check."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "Dockerfile.worker").read_text()
IMAGES = ("coordinator", "monitor", "worker")


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
    assert stage("runtime").count("USER ") == 1
    users = {name: re.findall(r"^USER (.*)$", stage(name), re.MULTILINE) for name in IMAGES}
    assert {user[-1] for user in users.values() if user} == {"10001:10001"}
    assert "USER 10001:10001" in stage("runtime")
    assert all(f"FROM runtime AS {name}\n" in TEXT for name in IMAGES)


def test_a_worker_can_compile_and_run_what_it_compiled() -> None:
    """FARM_COMPILE=on: with a C and a C++ compiler, and into a folder that is on no `noexec` file system."""
    (packages,) = re.findall(r"apt-get install \S+ \S+ ([^\n]*?) *\\?\n", stage("worker"))
    assert set(packages.split()) == {"gcc", "g++", "libc6-dev"}
    assert not [name for name in ("runtime", "coordinator", "monitor") if "gcc" in stage(name)]
    (volume,) = re.findall(r"FARM_CACHE_DIR=(\S+)", TEXT)
    assert f"install --directory --owner farm --group farm {volume} " in stage("runtime")
    folders = dict(re.findall(r"(TORCHINDUCTOR_CACHE_DIR|TRITON_CACHE_DIR)=(\S+)", stage("worker")))
    assert len(set(folders.values())) == 2
    assert all(folder.startswith(f"{volume}/") for folder in folders.values())


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
