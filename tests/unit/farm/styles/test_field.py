"""Noise and flows: their statistics, their directions, their reading."""

import numpy as np
import pytest

from farm.styles.field import Vortex, curl_flow, flow_of, sampled, smooth_noise
from farm.styles.sheet import Sheet

SHEET = Sheet(96, 72, seed=1)


def test_noise_has_mean_zero_and_deviation_one():
    noise = smooth_noise(SHEET, SHEET.generator(), 60, 3, cell_px=4.0)
    assert noise.mean() == pytest.approx(0, abs=1e-9)
    assert noise.std() == pytest.approx(1, abs=1e-9)


def test_noise_is_smooth_at_the_scale_asked_for():
    noise = smooth_noise(SHEET, SHEET.generator(), 100, 1)
    one_pixel = 100 * SHEET.unit  # lattice step in working pixels
    assert np.abs(np.diff(noise, axis=1)).max() < 8 / one_pixel


def test_a_flow_is_of_unit_length():
    flow = curl_flow(SHEET, SHEET.generator(), scale=80)
    assert np.allclose(flow.dx**2 + flow.dy**2, 1, atol=1e-6)


def test_strokes_circle_a_vortex_and_are_drawn_inwards():
    flow = curl_flow(SHEET, SHEET.generator(), scale=80, vortices=(Vortex(0.5, 0.5, 150, 1.0, 0.1),), turbulence=0.0)
    height, width = SHEET.shape_hw
    right_of_it = np.array([width / 2 + 40 * SHEET.unit, height / 2])
    x, y = flow.at(right_of_it)
    assert y > 0.95  # clockwise on screen: down on the right-hand side
    assert -0.2 < x < -0.03  # and a little towards the centre


def test_wind_alone_blows_straight():
    flow = curl_flow(SHEET, SHEET.generator(), scale=80, wind=(1.0, 0.0), turbulence=0.0)
    assert np.allclose(flow.dx, 1, atol=1e-6)


def test_a_point_off_the_sheet_reads_its_nearest_edge():
    values = np.array([[1.0, 2.0], [3.0, 4.0]])
    points = np.array([[-50.0, -50.0], [1e6, 1e6], [1e6, -3.0]])
    assert sampled(values, SHEET, points).tolist() == [1.0, 4.0, 2.0]


def test_a_flow_from_vectors_keeps_their_direction():
    flow = flow_of(np.full((2, 2), 3.0), np.full((2, 2), 4.0), 1.0)
    assert flow.at(np.array([0.5, 0.5])) == pytest.approx([0.6, 0.8])
