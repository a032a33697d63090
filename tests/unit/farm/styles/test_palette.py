"""Colours: ramps, and the variations a brush picks up."""

import numpy as np
import pytest

from farm.styles.palette import luma, picked, pigments, ramp, varied


def test_pigments_read_hexadecimal():
    assert pigments("ff0033").tolist() == [[1.0, 0.0, 0.2]]


def test_a_ramp_goes_from_its_first_pigment_to_its_last():
    colours = pigments("000000", "ff0000", "ffffff")
    read = ramp(colours, np.array([-1.0, 0.0, 0.25, 0.5, 1.0, 2.0]))
    assert read[:, 0] == pytest.approx([0, 0, 0.5, 1, 1, 1])
    assert read[:, 1] == pytest.approx([0, 0, 0, 0, 1, 1])


def test_variation_stays_in_range_and_keeps_the_mean():
    colours = np.full((4000, 3), 0.5)
    out = varied(colours, np.random.default_rng(0), 0.1, 0.05)
    assert out.min() >= 0
    assert out.max() <= 1
    assert out.mean() == pytest.approx(0.5, abs=0.01)
    assert out.std() > 0.03


def test_a_pigment_of_no_weight_is_never_picked():
    colours = pigments("000000", "ffffff")
    assert picked(colours, 100, np.random.default_rng(0), np.array([0.0, 1.0])).min() == 1.0


def test_luma_weighs_green_most():
    assert luma(np.eye(3)) == pytest.approx([0.2126, 0.7152, 0.0722])
