"""The gallery's worst boundaries are those of the benchmark's page."""

from __future__ import annotations

from pathlib import Path

from bench.gallery import RESULTS, worst_strips


def test_the_worst_boundaries_are_the_pages_own_pictures(tmp_path: Path) -> None:
    found = worst_strips(RESULTS, tmp_path)
    assert [picture.path for picture in found] == [f"{tmp_path.name}/worst_{chunk}.jpg" for chunk in (12, 48)]
    for picture in found:
        name = Path(picture.path).name
        assert (tmp_path / name).read_bytes() == (RESULTS / "picture" / name).read_bytes()
        assert f"![{picture.text}](picture/{name})" in (RESULTS / "picture.md").read_text()


def test_where_there_is_no_page_there_are_none(tmp_path: Path) -> None:
    assert worst_strips(tmp_path, tmp_path) == []
