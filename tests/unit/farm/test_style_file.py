"""Styles as a submit names them: read, checked, weighed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from farm.cli.request import weighted
from farm.contract.errors import InvalidStyle
from farm.png import png_bytes
from farm.style_file import load_style, load_styles


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "oil: on wood:2.png"
    path.write_bytes(png_bytes(np.full((20, 30, 3), 90, np.uint8)))
    return path


def test_one_style_or_several_are_read_with_their_weights(picture: Path) -> None:
    (alone,) = load_styles("ember")
    assert (alone.name, alone.weight, alone.media.suffix) == ("ember", 1.0, ".png")
    named = [(item.name, item.weight) for item in load_styles(["ember", (picture, 2.5), ("wheat", 1)])]
    assert named == [("ember", 1.0), ("oil: on wood:2", 2.5), ("wheat", 1)]
    assert [item.weight for item in load_styles(("ember", 3))] == [3]
    assert [item.name for item in load_styles(("ember", "wheat"))] == ["ember", "wheat"]


def test_a_style_knows_what_the_spec_says_of_it(picture: Path) -> None:
    (item,) = load_styles([(picture, 2)])
    assert item.media.size_bytes == len(item.data) == picture.stat().st_size
    assert (item.style.media, item.style.name, item.style.weight) == (item.media, "oil: on wood:2", 2)


def test_a_style_that_is_missing_among_several_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidStyle, match=r"gone\.png: no such image file"):
        load_styles(["ember", tmp_path / "gone.png"])


@pytest.mark.parametrize(
    ("style", "words"),
    [
        ("https://example.org/oil.jpg", "is an address, not a file; download the picture first"),
        ("https://example.org:8080/oil", "is an address, not a file; download the picture first"),
        (".", "is not a file; give one picture, or a name from `farm styles`"),
    ],
)
def test_an_address_and_a_folder_are_refused_as_what_they_are(style: str, words: str) -> None:
    assert weighted(style) == (style, 1.0)
    with pytest.raises(InvalidStyle) as caught:
        load_style(style)
    assert caught.value.message == f"--style {style} {words}"
