"""`constraints.txt`: every version pinned, in agreement with pyproject.toml, and no address in it."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "constraints.txt").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LINE = re.compile(r"([a-z0-9][a-z0-9-]*)==([0-9][^ ;]*)( ; .+)?")


def normal(name: str) -> str:
    """A package's name as PEP 503 writes it, without its extras."""
    return re.sub(r"[-_.]+", "-", name.split("[", maxsplit=1)[0]).lower()


def pins() -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for line in TEXT.splitlines():
        if line.startswith("#"):
            continue
        match = LINE.fullmatch(line)
        assert match, line
        found.setdefault(match[1], set()).add(match[2])
    return found


def direct() -> dict[str, str]:
    extras = PROJECT["optional-dependencies"].values()
    pairs = [each.split("==") for group in (PROJECT["dependencies"], *extras) for each in group]
    return {normal(name): version for name, version in pairs}


def test_every_direct_dependency_has_the_version_pyproject_says() -> None:
    assert len(direct()) > 20
    assert {name: pins().get(name) for name in direct()} == {name: {version} for name, version in direct().items()}


def test_it_pins_what_the_direct_ones_bring_along() -> None:
    assert {"kombu", "botocore", "urllib3", "triton", "nvidia-cublas"} <= set(pins())


def test_no_host_and_no_path_is_in_it() -> None:
    assert not re.search(r"https?:|file:|://|@|--|/(?!=)", TEXT)
