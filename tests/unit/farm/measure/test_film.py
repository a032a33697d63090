"""Whole films measured: carried perfectly, flickering by a known amount, painted with known seams and drifts."""

from __future__ import annotations

import gc
import math
import weakref
from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest
import synthetic

from farm import video
from farm.cli.demo import sample_clip
from farm.contract.codec import from_json, to_json
from farm.contract.errors import InvalidInput
from farm.contract.params import Coherence, FlowMethod
from farm.contract.plan import FrameRange
from farm.measure import Motion, PictureReport, measure_film, seam_windows
from farm.measure.film import measured_size
from farm.motion import consistent, flow_pair, luma, places
from farm.plan import make_plan

SIZE = (160, 96)
GRAY = 1 / 255


def textured(size: tuple[int, int] = SIZE) -> np.ndarray:
    return next(synthetic.pan(size, 1).frames())


def offset(levels: Sequence[int], size: tuple[int, int] = SIZE) -> list[np.ndarray]:
    """A film of plain frames, each so many levels above 100: E_t is the step between two of them."""
    return [np.full((size[1], size[0], 3), 100 + level, np.uint8) for level in levels]


def levels_of(steps: Sequence[int]) -> list[int]:
    """Levels whose steps are these, up and down in turn."""
    levels, sign = [0], 1
    for step in steps:
        levels.append(levels[-1] + sign * step)
        sign = -sign
    return levels


def still(frames: int) -> list[np.ndarray]:
    return [textured()] * frames


def real_frame(name: str, number: int = 60) -> np.ndarray:
    """A frame of a real clip, 320 px wide."""
    path = sample_clip(name)
    index = video.index(path)
    height = 2 * round(160 * index.height / index.width)
    return next(video.decode(path, index, number, number + 1, (320, height)))


def bent(frame: np.ndarray, seed: int) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Two frames of a source with its noise, two of a painting that moves with it, and the motion."""
    rng = np.random.default_rng(seed)
    height, width = frame.shape[:2]
    flow_ba = cv2.resize(rng.normal(0, 0.5, (4, 6, 2)).astype(np.float32), (width, height)) + np.float32(0.7)
    y, x = np.mgrid[:height, :width]
    for radius in (0.25, 0.12, 0.06):
        centre = rng.uniform(0.2, 0.8, 2) * (width, height)
        disc = np.hypot(x - centre[0], y - centre[1]) < radius * height
        flow_ba[disc] = flow_ba[disc].mean(axis=0) + rng.normal(0, 1, 2).astype(np.float32)

    def carried(image: np.ndarray) -> np.ndarray:
        return cv2.remap(image, *places(flow_ba), cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE)

    painting = textured((width, height))
    source = [shown(image + rng.normal(0, 2, image.shape)) for image in (frame, carried(frame))]
    return source, [painting, carried(painting)], flow_ba


def shown(image: np.ndarray) -> np.ndarray:
    return np.clip(image, 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("step_px", [3.0, 40.0])
def test_a_film_carried_by_whole_pixels_has_no_error(step_px: float) -> None:
    clip = synthetic.pan(SIZE, 4, step_px)
    report = measure_film(clip.frames(), clip.frames(), motions=clip.motions())
    assert report.error is not None
    assert report.error.max == 0
    assert report.judge == "exact"


@pytest.mark.parametrize("clip", [synthetic.pan(SIZE, 6, 2.5), *synthetic.every(SIZE, 6)[1:3]], ids=lambda c: c.name)
def test_a_film_carried_perfectly_has_the_error_of_interpolation_only(clip: synthetic.SyntheticClip) -> None:
    """Rounding to 8 bits alone gives √2 · 1/√12 levels = 0.0016; Lanczos on a picture with edges little more."""
    report = measure_film(clip.frames(), clip.frames(), motions=clip.motions())
    assert report.error is not None
    assert report.error.max < 0.0035


def test_an_estimated_flow_judges_a_perfect_film_nearly_as_well() -> None:
    clip = synthetic.zoom_rotation((320, 180), 5)
    report = measure_film(clip.frames(), clip.frames())
    assert report.error is not None
    assert report.error.max < 0.004
    assert report.judge == "lucas-kanade"


def test_what_the_judge_gets_wrong_is_a_fraction_of_what_farneback_would() -> None:
    """A dim picture of a camera, bent and with things that move by themselves, and a painting carried with it."""
    source, painted, flow_ba = bent(real_frame("carphone_pristine.mp4"), seed=2)
    report = measure_film(source, painted)
    assert report.error is not None
    before, now = (luma(frame) for frame in source)
    by_farneback = flow_pair(before, now, FlowMethod.FARNEBACK)
    judged = Motion(by_farneback[0], consistent(*by_farneback))
    with_farneback = measure_film(source, painted, motions=[judged])
    known = measure_film(source, painted, motions=[Motion(flow_ba, np.ones(flow_ba.shape[:2], np.bool_))])
    assert with_farneback.error is not None
    assert known.error is not None
    assert known.error.mean < 0.003
    assert report.error.mean < 0.025
    assert report.error.mean < 0.6 * with_farneback.error.mean
    assert report.frames.trusted[1] > 0.85  # type: ignore[operator]


def test_a_film_that_stands_still_on_a_moving_clip_is_no_perfect_film() -> None:
    clip = synthetic.pan(SIZE, 4, 6.0)
    report = measure_film(clip.frames(), still(4))
    assert report.error is not None
    assert report.error.mean > 0.05


def test_light_that_alternates_by_d_has_the_error_2d() -> None:
    report = measure_film(still(6), offset([5, -5] * 3))
    assert report.frames.error[0] is None
    assert report.frames.error[1:] == pytest.approx([10 * GRAY] * 5, rel=1e-5)
    assert report.error is not None
    assert report.error.median == pytest.approx(10 * GRAY, rel=1e-5)


def test_noise_of_sigma_on_a_moving_film_has_the_error_sqrt_2_sigma() -> None:
    """O_t = S_t + n_t and W(O_{t−1}) = S_t + W(n_{t−1}), two independent noises; a whole-pixel W keeps σ."""
    clip, rng = synthetic.pan((320, 180), 5, 3.0), np.random.default_rng(0)
    soft = [40 + 0.6 * frame for frame in clip.frames()]  # away from 0 and 255, where noise is cut off
    noisy = [np.round(frame + rng.normal(0, 6, frame.shape)).astype(np.uint8) for frame in soft]
    report = measure_film(clip.frames(), noisy, motions=clip.motions())
    rounding = 1 / 12
    assert report.frames.error[1:] == pytest.approx([math.sqrt(2 * (36 + rounding)) * GRAY] * 4, rel=0.01)


def test_a_cut_has_no_error_and_each_shot_its_own_figures() -> None:
    clip = synthetic.cut(SIZE, 8)
    shots = FrameRange(0, 4), FrameRange(4, 8)
    report = measure_film(clip.frames(), clip.frames(), shots=shots)
    assert [frame for frame, error in enumerate(report.frames.error) if error is None] == [0, 4]
    assert [(shot.start, shot.stop) for shot in report.shots] == [(0, 4), (4, 8)]
    exact = measure_film(clip.frames(), clip.frames(), motions=clip.motions())
    assert exact.frames.error[4] is None


def test_seam_ratios_are_over_the_frames_inside() -> None:
    """Steps of 4 levels inside, of 12 and once 20 in the window 6 … 6+K, K = 2."""
    painted = offset(levels_of([4] * 5 + [12, 20, 12] + [4] * 7))
    report = measure_film(still(16), painted, boundaries=[FrameRange(6, 8)])
    (seam,) = report.seams
    assert (seam.start, seam.stop) == (6, 9)
    assert seam.error_ratio_mean == pytest.approx((3 + 5 + 3) / 3, rel=1e-4)
    assert seam.error_ratio_max == pytest.approx(5, rel=1e-4)
    assert seam.error_excess_mean is None
    assert report.shots[0].inside_error == pytest.approx(4 * GRAY, rel=1e-5)


def test_seam_excess_is_over_the_same_frame_of_the_reference() -> None:
    painted = offset(levels_of([4] * 5 + [12, 20, 12] + [4] * 7))
    reference = offset(levels_of([8] * 15))
    report = measure_film(still(16), painted, boundaries=[FrameRange(6, 8)], reference=reference)
    (seam,) = report.seams
    assert seam.error_excess_mean == pytest.approx((1.5 + 2.5 + 1.5) / 3, rel=1e-4)
    assert seam.error_excess_max == pytest.approx(2.5, rel=1e-4)
    assert report.reference_error is not None
    assert report.reference_error.mean == pytest.approx(8 * GRAY, rel=1e-5)
    assert report.seam is not None
    assert report.seam.error_excess_max == seam.error_excess_max


def test_a_film_against_itself_has_no_excess() -> None:
    clip = synthetic.pan(SIZE, 8, 2.5)
    report = measure_film(clip.frames(), clip.frames(), boundaries=[FrameRange(4, 6)], reference=clip.frames())
    assert report.seam is not None
    assert (report.seam.error_excess_mean, report.seam.error_excess_max, report.seam.detail_excess_mean) == (1, 1, 1)


def test_a_seam_is_compared_inside_its_own_shot() -> None:
    painted = offset(levels_of([20] * 8 + [3] * 3 + [6, 6] + [3] * 3))
    shots, boundaries = (FrameRange(0, 8), FrameRange(8, 17)), [FrameRange(12, 13)]
    report = measure_film(still(17), painted, shots=shots, boundaries=boundaries)
    assert report.seams[0].error_ratio_mean == pytest.approx(2, rel=1e-4)


def test_detail_and_style_at_a_seam_are_over_the_median_inside() -> None:
    """Contrast × 0.5 is detail × 0.25; the window's third frame has all of it."""
    frame = textured()
    soft = np.round(frame * 0.5 + 60).astype(np.uint8)
    painted = [soft if number in (5, 6) else frame for number in range(12)]
    styles = {number: 3.0 if number in (5, 6, 7) else 2.0 for number in range(12) if number != 11}
    report = measure_film(still(12), painted, boundaries=[FrameRange(5, 7)], style_losses=styles)
    (seam,) = report.seams
    assert seam.detail_ratio == pytest.approx((0.25 + 0.25 + 1) / 3, rel=0.02)
    assert seam.style_ratio == 1.5
    assert report.frames.style[11] is None


def test_drift_is_the_last_tenth_over_the_first_beside_that_of_the_source() -> None:
    """Light g falls evenly from 1 to 0.7 over 40 frames: tenths of 4 frames, in the middle of which g is that of
    frames 1.5 and 37.5. Detail goes with g² (nearly: its mean over a tenth is that of the middle)."""
    base = textured().astype(np.float32)
    gains = [1 - 0.3 * number / 39 for number in range(40)]
    painted = [np.round(base * gain).astype(np.uint8) for gain in gains]
    report = measure_film(still(40), painted)
    ratio = (1 - 0.3 * 37.5 / 39) / (1 - 0.3 * 1.5 / 39)
    drift, own = report.shots[0].drift, report.shots[0].source_drift
    assert drift is not None
    assert drift.luma == pytest.approx(ratio, rel=0.003)
    assert drift.detail == pytest.approx(ratio**2, rel=0.01)
    assert drift.saturation == pytest.approx(1, abs=0.005)
    assert own is not None
    assert (own.detail, own.luma, own.saturation) == (1, 1, 1)


def test_a_clip_that_darkens_has_the_drift_that_its_painting_follows() -> None:
    clip = synthetic.brightness(SIZE, 24, 0.5)
    report = measure_film(clip.frames(), clip.frames())
    assert report.shots[0].drift == report.shots[0].source_drift
    assert report.shots[0].drift is not None
    assert report.shots[0].drift.luma == pytest.approx(0.52, abs=0.03)


def test_shots_too_short_to_drift_have_none() -> None:
    shots = FrameRange(0, 19), FrameRange(19, 39)
    report = measure_film(still(39), still(39), shots=shots)
    assert [shot.drift is None for shot in report.shots] == [True, False]


def test_error_on_flat_areas_is_that_of_the_sky_alone() -> None:
    source = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    source[:48] = 180
    painted = []
    for sign in (1, -1, 1):
        frame = np.full_like(source, 100)
        frame[:48] += np.uint8(10 + 3 * sign)
        frame[48:] += np.uint8(30 + 20 * sign)
        painted.append(frame)
    report = measure_film([source] * 3, painted)
    assert report.flat_error is not None
    assert report.flat_error.mean == pytest.approx(6 * GRAY, rel=1e-5)
    assert report.error is not None
    assert report.error.mean > 15 * GRAY


def test_a_source_without_flat_areas_has_no_error_there() -> None:
    source = np.random.default_rng(0).integers(0, 256, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
    report = measure_film([source] * 3, offset([0, 5, 0]))
    assert report.flat_error is None
    assert report.frames.flat_error == (None, None, None)


def test_large_films_are_measured_at_640_px_and_say_so() -> None:
    frame = textured((800, 64))
    report = measure_film([frame] * 2, offset([0, 5], (800, 64)))
    assert report.scaled
    assert (report.width, report.height, report.measured_width, report.measured_height) == (800, 64, 640, 51)
    assert report.frames.error[1] == pytest.approx(5 * GRAY, rel=1e-4)
    assert measured_size((64, 640), "lucas-kanade") == (64, 640)


def test_a_ribbon_is_measured() -> None:
    frame = np.tile(textured((320, 192))[:16], (1, 16, 1))
    report = measure_film([frame] * 2, [frame, frame])
    assert (report.measured_width, report.measured_height) == (640, 16)
    assert report.frames.error[1] == pytest.approx(0, abs=1e-6)


def test_the_source_is_scaled_to_the_film() -> None:
    report = measure_film([textured((320, 192))] * 2, offset([0, 5]))
    assert (report.width, report.height) == SIZE
    assert report.frames.error[1] == pytest.approx(5 * GRAY, rel=1e-5)


@pytest.mark.parametrize(("source", "painted", "ends"), [(2, 3, "source"), (3, 2, "film")])
def test_films_of_two_lengths_are_refused(source: int, painted: int, ends: str) -> None:
    with pytest.raises(InvalidInput, match=f"the {ends} ends after 2 frames"):
        measure_film(still(source), still(painted))


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(InvalidInput, match="frame 1 is 32×32, the film 160×96"):
        measure_film(still(2), [textured(), textured((32, 32))])


def test_a_film_of_no_frames_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no frames"):
        measure_film([], [])


def test_a_single_frame_has_detail_but_no_error() -> None:
    report = measure_film(still(1), still(1))
    assert (report.error, report.frame_count, report.seam) == (None, 1, None)
    assert report.detail.mean > 0


def test_equal_films_give_equal_json_that_reads_back() -> None:
    clip = synthetic.cut(SIZE, 6)
    reports = [
        measure_film(
            clip.frames(), clip.frames(), shots=[FrameRange(0, 3), FrameRange(3, 6)],
            boundaries=[FrameRange(4, 5)], style_losses={2: 0.25}, reference=clip.frames(),
        )
        for _ in range(2)
    ]  # fmt: skip
    assert to_json(reports[0]) == to_json(reports[1])
    assert from_json(PictureReport, to_json(reports[0])) == reports[0]


def test_frames_are_let_go_as_the_film_streams_by() -> None:
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def frames() -> Iterator[np.ndarray]:
        nonlocal most
        for number in range(12):
            frame = textured() + np.uint8(number)
            alive.append(weakref.ref(frame))
            yield frame
            del frame
            gc.collect()
            most = max(most, sum(reference() is not None for reference in alive))

    measure_film(still(12), frames())
    assert most <= 3


def test_motions_may_be_given_by_hand() -> None:
    motion = Motion(np.zeros((SIZE[1], SIZE[0], 2), np.float32), np.ones(SIZE[::-1], np.bool_))
    report = measure_film(still(3), offset([0, 7, 7]), motions=[motion, motion])
    assert report.frames.error[1:] == pytest.approx([7 * GRAY, 0], rel=1e-5)
    assert report.frames.trusted[1:] == (1, 1)


def test_windows_are_those_of_the_blend_or_the_first_six_frames_of_a_later_chunk() -> None:
    blended = make_plan(40, (64, 48), (20,), 10, 4, "x")
    assert seam_windows(blended) == (FrameRange(10, 14), FrameRange(30, 34))
    apart = make_plan(40, (64, 48), (20,), 10, 4, "x", Coherence.OFF)
    assert seam_windows(apart) == (FrameRange(10, 16), FrameRange(30, 36))
    assert seam_windows(make_plan(40, (64, 48), (20,), 10, 4, "x", Coherence.SEQUENTIAL)) == ()
