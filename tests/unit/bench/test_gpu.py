"""The GPU benchmark runs on a CPU at tiny sizes, counts a step's arithmetic, and judges the better way."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from bench import gpu
from bench.around import Around
from bench.gpu import Ceilings, Row, Way, bars, best_s, ceilings, measured_costs, page, step_flops
from farm.contract.params import Backbone
from worker.engine.backbones import Network

ONE = Ceilings(tf32_flops=5e11, bf16_flops=1e12, copy_bytes_s=1e9)


def row(backbone: Backbone, size: str, frame_s: float, way: Way = Way.LOW, peak_gib: float = 1.0) -> Row:
    return Row(backbone, size, way, 10.0, 6e9, frame_s, int(peak_gib * gpu.GIB))


def test_a_steps_arithmetic_by_hand() -> None:
    # One convolution of 3 to 4 channels, 1×1, on 8×8 pixels: 2·3·4·64 forward, as much for the image's gradient.
    # The Gram matrix: 2·4·4·64 forward, and as much back.
    stages = [("tap", torch.nn.Conv2d(3, 4, 1))]
    network = Network(stages, style_taps=("tap",), content_tap="tap", mean=(0, 0, 0), std=(1, 1, 1))
    assert step_flops(network, (8, 8), "cpu") == 2 * (2 * 3 * 4 * 64) + 2 * (2 * 4 * 4 * 64)


def test_a_rows_share_of_the_ceiling() -> None:
    assert row(Backbone.VGG19, "1080p", 1.0).share(ONE) == pytest.approx(0.6)  # 6e9 in 10 ms, of 1e12 a second


def test_bars_judge_the_fastest_way() -> None:
    found = [
        row(Backbone.VGG19, "1080p", 1.5), row(Backbone.VGG19, "1080p", 0.9, way=Way.COMPILED, peak_gib=7),
        row(Backbone.EFFICIENTNET_LITE0, "1080p", 0.4),
        Row(Backbone.EFFICIENTNET_LITE0, "4K", Way.LOW, failed="no memory"),
    ]  # fmt: skip
    beside = [Around("1080p", 8, motion_s=0.45, carry_s=0.02, far_s=0.1)]
    assert [bar.met for bar in bars(found, ONE, beside)] == [False, True, False, True, False, None]
    assert measured_costs(found, beside) == {"frame_s": 0.45, "carry_frame_s": 0.1}
    assert "no memory" in page(found, ONE, beside, "")


def test_a_painter_that_motion_keeps_up_with_is_always_busy() -> None:
    beside = Around("1080p", 8, motion_s=0.3, carry_s=0.02)
    assert beside.share(0.3) == 1
    assert beside.share(0.13) == pytest.approx(0.5)
    assert replace(beside, png_s=0.64).share(0.3) == pytest.approx(0.5)


def test_nothing_measured_costs_nothing() -> None:
    assert measured_costs([], []) == {}
    assert all(bar.met is None for bar in bars([], ONE))


def test_ceilings_are_measured_on_this_device() -> None:
    found = ceilings("cpu", side=32, copied_bytes=1 << 12)
    assert min(found.tf32_flops, found.bf16_flops, found.copy_bytes_s) > 0


def test_the_fastest_run_counts_and_the_first_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    clock_s, runs_s = [0.0], [1.0, 5.0, 3.0, 4.0]
    monkeypatch.setattr(gpu, "time", SimpleNamespace(perf_counter=lambda: clock_s[-1]))
    assert best_s(lambda: clock_s.append(clock_s[-1] + runs_s.pop(0)), "cpu", runs=3) == 3.0
    assert runs_s == []


@pytest.mark.timeout(300)
def test_it_runs_at_tiny_sizes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "RUNS", 1)
    monkeypatch.setattr(gpu, "QUICK_STEPS", 1)
    monkeypatch.setenv("FARM_DEVICE", "cpu")
    gpu.main(["--quick"])
    written = capsys.readouterr().out
    for backbone in Backbone:
        for way in (Way.EAGER, Way.LOW):
            assert f"| {backbone} | 64 px | {way.value} |" in written
