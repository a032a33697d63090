"""The gallery: names, errors, sizes, and the same bytes each time."""

import hashlib
import subprocess
import sys
import time
from functools import cache

import cv2
import numpy as np
import pytest

from farm import styles
from farm.contract.errors import InvalidParameter, InvalidStyle

LUMA = np.array([0.2126, 0.7152, 0.0722])
SIZE = (192, 144)
PAINT_LIMIT_S = 25.0  # about 2 s on an idle core at any size; the machine may be busy


@cache
def _painted(name):
    """The style's picture and the seconds it took; each is painted once for all tests."""
    start = time.monotonic()
    return styles.paint(name, *SIZE), time.monotonic() - start


def _picture(name):
    return _painted(name)[0]


def test_there_are_at_least_seven_styles_and_swirl_comes_first():
    assert len(styles.names()) >= 7
    assert styles.names()[0] == "swirl"


def test_each_style_is_described_in_one_line():
    lines = [styles.describe(name) for name in styles.names()]
    assert all(10 < len(line) <= 80 and "\n" not in line for line in lines)
    assert len(set(lines)) == len(lines)


@pytest.mark.parametrize("name", styles.names())
def test_a_style_is_an_rgb_picture_of_the_size_asked_for(name):
    assert _picture(name).shape == (144, 192, 3)
    assert _picture(name).dtype == np.uint8


@pytest.mark.parametrize("name", styles.names())
def test_a_style_has_darks_and_lights(name):
    luma = _picture(name) @ LUMA / 255
    assert luma.std() > 0.12
    assert np.percentile(luma, 98) - np.percentile(luma, 2) > 0.45


@pytest.mark.parametrize("name", styles.names())
def test_a_style_has_texture_everywhere(name):
    luma = (_picture(name) @ LUMA).astype(np.float64)
    tiles = luma.reshape(12, 12, 16, 12).std(axis=(1, 3))  # 12 px tiles
    assert np.percentile(tiles, 5) > 2.5  # of 255: hardly a flat tile


def test_no_two_styles_share_a_palette():
    shares = {name: _palette(_picture(name)) for name in styles.names()}
    names = list(shares)
    for i, first in enumerate(names):
        for second in names[i + 1 :]:
            common = np.minimum(shares[first], shares[second]).sum()
            assert common < 0.75, (first, second, common)


def _palette(picture):
    """The share of pixels in each of 6 x 6 x 6 colours."""
    bins = (picture.reshape(-1, 3).astype(int) * 6) // 256
    counts = np.bincount(bins @ [36, 6, 1], minlength=216)
    return counts / counts.sum()


@pytest.mark.parametrize("name", ["dots", "ink"])
def test_a_second_painting_has_the_same_bytes(name):
    assert np.array_equal(styles.paint(name, *SIZE), _picture(name))


def test_another_process_with_another_thread_count_paints_the_same_bytes():
    names = styles.names()[::3]
    code = (
        "import cv2, hashlib; cv2.setNumThreads(1); from farm import styles\n"
        f"print(*[hashlib.sha256(styles.paint(n, *{SIZE}).tobytes()).hexdigest() for n in {names}])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.split() == [hashlib.sha256(_picture(name).tobytes()).hexdigest() for name in names]


def test_a_small_picture_is_the_large_one_made_small():
    small = styles.paint("glass", 64, 48).astype(float)
    large = cv2.resize(_picture("glass"), (64, 48), interpolation=cv2.INTER_AREA).astype(float)
    assert np.corrcoef(small.ravel(), large.ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("name", "size"),
    [("dots", (64, 48)), ("glass", (17, 16)), ("ink", (40, 200)), ("mosaic", (300, 20)), ("wave", (101, 67))],
)
def test_any_size_and_aspect_is_painted(name, size):
    assert styles.paint(name, *size).shape == (size[1], size[0], 3)


def test_the_png_holds_the_picture():
    data = np.frombuffer(styles.png("glass", *SIZE), np.uint8)
    assert np.array_equal(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1], _picture("glass"))


def test_an_unknown_name_lists_the_styles_and_the_nearest_one():
    with pytest.raises(InvalidStyle) as caught:
        styles.paint("swril")
    message = str(caught.value)
    assert "'swril'" in message
    assert "did you mean swirl?" in message
    assert all(name in message for name in styles.names())
    assert "\n" not in message


def test_a_name_like_no_other_still_lists_the_styles():
    with pytest.raises(InvalidStyle, match=r"no built-in style 'zzz': choose one of swirl, "):
        styles.describe("zzz")


@pytest.mark.parametrize(("width", "height", "side"), [(0, 100, "width"), (100, 15, "height"), (5000, 100, "width")])
def test_a_size_out_of_range_is_refused(width, height, side):
    with pytest.raises(InvalidParameter, match=side):
        styles.paint("swirl", width, height)


@pytest.mark.parametrize("name", styles.names())
def test_a_picture_is_painted_in_seconds(name):
    assert _painted(name)[1] < PAINT_LIMIT_S


def test_importing_the_gallery_loads_neither_numpy_nor_opencv():
    code = "import sys; from farm import styles; styles.describe('swirl'); print({'numpy', 'cv2'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "set()"
