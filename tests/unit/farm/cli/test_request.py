"""What `--style` says, a style and how much of it; and where a picture may go."""

from __future__ import annotations

from pathlib import Path

import pytest

from farm.cli.request import check_picture, weighted
from farm.contract.errors import InvalidInput, InvalidParameter


@pytest.mark.parametrize(
    ("text", "style", "weight"),
    [
        ("swirl", "swirl", 1.0),
        ("swirl:2", "swirl", 2.0),
        ("a.jpg:0.5", "a.jpg", 0.5),
        ("a:b:3", "a:b", 3.0),
        ("with:colon.jpg", "with:colon.jpg", 1.0),
    ],
)
def test_what_follows_the_last_colon_is_the_weight(text: str, style: str, weight: float) -> None:
    assert weighted(text) == (style, weight)


def test_a_file_that_has_the_colon_in_its_name_is_taken_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("ratio 16:9").touch()
    assert weighted("ratio 16:9") == ("ratio 16:9", 1.0)
    assert weighted("ratio 16:9:2") == ("ratio 16:9", 2.0)


@pytest.mark.parametrize("text", ["swirl:0", "swirl:-1", "swirl:nan", "swirl:inf", "swirl:", "swirl:much", ":2"])
def test_a_weight_that_is_none_is_refused_with_the_cure(text: str) -> None:
    with pytest.raises(InvalidParameter) as caught:
        weighted(text)
    assert str(caught.value).startswith(f"--style {text}: ")
    assert str(caught.value).endswith("is no weight; give a number above 0, as in swirl:2")


@pytest.mark.parametrize(
    ("target", "better"),
    [("so_far.jpg", "so_far.png"), ("so_far", "so_far.png"), ("/", "/preview.png"), (".", "preview.png")],
)
def test_a_picture_is_a_png_file(target: str, better: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_picture(target)
    assert caught.value.message.endswith(f"give -o {better}")
