"""A built-in style is painted once for a machine, and is the same picture."""

from pathlib import Path

import pytest

from farm import styles
from farm.contract.errors import InvalidStyle
from farm.styles import kept

PNG = b"\x89PNG" + bytes(range(256))
"""What the painter is said to have painted: a real one takes seconds."""


@pytest.fixture
def painted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that were painted, in order."""
    names: list[str] = []

    def png(name: str) -> bytes:
        names.append(name)
        return PNG

    monkeypatch.setattr(kept, "png", png)
    return names


def test_the_second_time_it_is_read(tmp_path: Path, painted: list[str]) -> None:
    assert [styles.kept_png("ember", tmp_path / "styles") for _ in range(3)] == [PNG] * 3
    assert painted == ["ember"]
    assert [path.suffix for path in (tmp_path / "styles").iterdir()] == [".png"]


@pytest.mark.parametrize("harm", [lambda data: data[:-9], lambda data: data[:60] + b"!" + data[61:], lambda _: b""])
def test_a_damaged_one_is_painted_again_and_mended(tmp_path: Path, painted: list[str], harm) -> None:
    styles.kept_png("ember", tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(harm(PNG))
    assert [styles.kept_png("ember", tmp_path) for _ in range(2)] == [PNG] * 2
    assert painted == ["ember"] * 2


def test_what_other_code_painted_does_not_count(
    tmp_path: Path, painted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    styles.kept_png("ember", tmp_path)
    monkeypatch.setattr(kept, "_recipe", lambda: "0" * 8)
    assert styles.kept_png("ember", tmp_path) == PNG
    assert painted == ["ember"] * 2


def test_a_folder_that_takes_nothing_is_no_error(tmp_path: Path, painted: list[str]) -> None:
    (tmp_path / "file").write_text("")
    assert [styles.kept_png("ember", tmp_path / "file" / "styles") for _ in range(2)] == [PNG] * 2
    assert painted == ["ember"] * 2


@pytest.mark.parametrize("name", ["swril", "*", "../swirl", ""])
def test_an_unknown_name_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / f"swirl-{kept._recipe()}-{kept._digest(PNG)}.png").write_bytes(PNG)
    with pytest.raises(InvalidStyle, match="no built-in style"):
        styles.kept_png(name, tmp_path)
