"""The contact sheet shows what it was given, where one looks for it."""

from __future__ import annotations

import numpy as np
import pytest

from farm.contract.errors import InvalidParameter
from farm.sheet import contact_sheet


def _pair(number, size=(320, 180)):
    width, height = size
    source = np.full((height, width, 3), (10 * number + 5, 0, 0), np.uint8)
    painted = np.full((height, width, 3), (0, 10 * number + 5, 0), np.uint8)
    return number, source, painted


def test_each_source_lies_over_its_painting():
    sheet = contact_sheet([_pair(n) for n in range(1, 7)], ["title", "line"])
    for number in range(1, 7):
        ys, xs = np.nonzero((sheet == (10 * number + 5, 0, 0)).all(axis=2))
        ys_painted, xs_painted = np.nonzero((sheet == (0, 10 * number + 5, 0)).all(axis=2))
        assert len(ys) == len(ys_painted) == 320 * 180
        assert ys_painted.min() > ys.max()
        assert xs_painted.min() == xs.min()


def test_a_sheet_is_about_as_wide_as_a_page():
    for count in (3, 4, 6, 9, 12):
        height, width = contact_sheet([_pair(n) for n in range(count)]).shape[:2]
        assert 0.8 < width / height < 2.6


@pytest.mark.parametrize("size", [(320, 136), (136, 320), (96, 64), (1920, 1080), (16, 16)])
@pytest.mark.parametrize("count", [1, 2, 5, 8])
def test_every_shape_and_number_fits(size, count):
    sheet = contact_sheet([_pair(n, size) for n in range(count)], ["a title far too long for a narrow sheet " * 5])
    assert sheet.dtype == np.uint8
    assert max(sheet.shape) < 3200


def test_the_same_pairs_make_the_same_sheet():
    pairs = [_pair(n) for n in range(3)]
    assert (contact_sheet(pairs, ["a"]) == contact_sheet(pairs, ["a"])).all()


def test_a_title_leaves_the_margin_free():
    sheet = contact_sheet([_pair(1, (96, 64))], ["far too long for so small a sheet " * 9])
    ground = sheet[0, 0]
    assert (sheet[:, -30:] == ground).all()
    assert (sheet[:110] != ground).any()


def test_without_sources_there_is_no_room_for_them():
    pairs = [_pair(number) for number in range(1, 5)]
    alone = contact_sheet([(number, None, painted) for number, _, painted in pairs], ["title"])
    assert not (alone[..., 0] > alone[..., 1] + 4).any()
    assert alone.size < contact_sheet(pairs, ["title"]).size
    for number in range(1, 5):
        assert (alone == (0, 10 * number + 5, 0)).all(axis=2).sum() == 320 * 180


def test_a_sheet_of_nothing_is_refused():
    with pytest.raises(InvalidParameter):
        contact_sheet([])


@pytest.mark.parametrize("columns", [1, 3, 6])
def test_rows_are_as_long_as_is_asked(columns):
    sheet = contact_sheet([(f"caption {n}", None, _pair(n)[2]) for n in range(6)], ["title"], columns)
    corners = []
    for number in range(6):
        ys, xs = np.nonzero((sheet == (0, 10 * number + 5, 0)).all(axis=2))
        corners.append((ys.min(), xs.min()))
    assert len({y for y, _ in corners}) == 6 // columns
    assert len({x for _, x in corners}) == columns
    assert corners == sorted(corners)


def test_a_caption_keeps_to_its_column():
    short, long = (contact_sheet([("a", None, _pair(1)[2]), ("b" * n, None, _pair(2)[2])], (), 2) for n in (3, 300))
    assert short.shape == long.shape
    assert (long[:, -30:] == long[0, 0]).all()
