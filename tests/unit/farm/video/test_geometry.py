"""Painted sizes, worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farm import video
from farm.contract.errors import InvalidClip, InvalidParameter


@pytest.mark.parametrize(
    ("source", "size_px", "painted"),
    [
        ((1280, 720), 320, (320, 180)),
        ((640, 272), 320, (320, 136)),
        ((720, 1280), 320, (180, 320)),
        ((97, 63), None, (96, 64)),  # 48.5 and 31.5 rounded to even: 48 and 32 pairs
        ((1920, 1080), None, (1920, 1080)),
        ((100, 100), 33, (32, 32)),
        ((4000, 20), 400, (400, 16)),  # never thinner than 16
    ],
)
def test_the_longer_side_is_as_asked_and_the_aspect_kept(source, size_px, painted):
    assert video.frame_size(*source, size_px) == painted


@given(st.integers(1, 8192), st.integers(1, 8192), st.one_of(st.none(), st.integers(16, 8192)))
def test_sides_are_even_and_at_least_16(width, height, size_px):
    painted = video.frame_size(width, height, size_px)
    assert all(side % 2 == 0 and side >= 16 for side in painted)


@pytest.mark.parametrize("size_px", [0, -1, 15, 8193])
def test_sizes_out_of_range_are_refused(size_px):
    with pytest.raises(InvalidParameter, match=f"--size {size_px} is outside its range"):
        video.frame_size(100, 100, size_px)


LIMIT = 8192 * 8192


@pytest.mark.parametrize(
    ("shown", "size_px", "pixels", "painted", "most"),
    [
        ((32_768, 16), None, LIMIT, "32768×16", 8192),  # 2048×16 at 16:1
        ((131_072, 8192), None, LIMIT, "131072×8192", 8192),  # 8192×8192 at 16:1
        ((512, 16_384), None, LIMIT, "512×16384", 8192),
        ((1000, 1000), None, 640 * 480, "1000×1000", 554),  # 554² = 306916 ≤ 307200 < 556²
        ((1000, 500), 2000, 10**6, "2000×1000", 1412),  # 1412 × 706 = 996872, 1414 × 708 = 1001112
        ((32_768, 16), None, 256, "32768×16", 16),
    ],
)
def test_a_film_too_large_is_refused_with_the_size_that_goes(shown, size_px, pixels, painted, most):
    why = (
        f"a.mkv would be painted at {painted}, more than 8192 px a side or {pixels} pixels; give --size {most} or less"
    )
    with pytest.raises(InvalidClip, match=f"^{why}$"):
        video.painted_size("a.mkv", shown, size_px, pixels)
    assert max(video.painted_size("a.mkv", shown, most, pixels)) == most


def test_a_film_of_the_most_pixels_is_painted():
    assert video.painted_size("a.mkv", (8192, 8192), None, LIMIT) == (8192, 8192)
    assert video.painted_size("a.mkv", (97, 63), None, 96 * 64) == (96, 64)
