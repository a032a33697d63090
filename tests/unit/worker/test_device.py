from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from farm.contract.errors import InvalidParameter
from farm.contract.params import Backbone
from farm.settings import Settings
from worker.device import Device, choose_device, limit_threads, low_backbones, machine_of, versions
from worker.engine import Machine


def settings(tmp_path: Path, device: str) -> Settings:
    return Settings(home=tmp_path, cache_dir=tmp_path, device=device, threads=1)


def test_threads_are_limited_before_torch_reads_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "99")
    monkeypatch.delenv("GOMP_SPINCOUNT")
    limit_threads(3)
    assert (os.environ["OMP_NUM_THREADS"], os.environ["GOMP_SPINCOUNT"]) == ("3", "1000")


def test_the_cpu_is_chosen_by_name_with_the_threads_given(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        device = choose_device(settings(tmp_path, "cpu"))
        assert (device.torch_name, device.title, torch.get_num_threads()) == ("cpu", "cpu (1 threads)", 1)
        assert device.memory_bytes > 2**28
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("units", "low"),
    [({"amx_tile", "amx_bf16"}, {Backbone.VGG19}), ({"amx_tile", "avx512_bf16"}, set()), (set(), set())],
)
def test_a_cpu_with_units_for_bfloat16_uses_them_where_they_are_of_use(
    monkeypatch: pytest.MonkeyPatch, units: set[str], low: set[Backbone]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: dict.fromkeys(units, True))
    assert low_backbones("cpu") == low
    assert low_backbones("cpu", "float32") == set()
    assert low_backbones("cpu", "bfloat16") == set(Backbone)


@pytest.mark.parametrize(("precision", "told"), [("float32", "float32"), ("bfloat16", "bfloat16")])
def test_what_the_settings_say_is_what_a_network_computes_in(tmp_path: Path, precision: str, told: str) -> None:
    before = torch.get_num_threads()
    try:
        device = choose_device(replace(settings(tmp_path, "cpu"), precision=precision))
    finally:
        torch.set_num_threads(before)
    assert [device.precision(backbone) for backbone in Backbone] == [told] * len(Backbone)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"FARM_DEVICE=cuda:0: torch sees no CUDA device.*FARM_DEVICE=cpu"):
        choose_device(settings(tmp_path, "cuda:0"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_torch_cant_use_is_not_passed_over_in_silence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    before = torch.get_num_threads()
    try:
        choose_device(settings(tmp_path, "auto"))
        assert not caplog.records
        monkeypatch.setattr("worker.device.GPU_FILE", tmp_path)
        assert choose_device(settings(tmp_path, "auto")).torch_name == "cpu"
        assert "there is a GPU here that torch can't use" in caplog.text
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("name", "threads", "beside"), [("cpu", 8, 1), ("cuda:1", 8, 7), ("cuda:0", 64, 8), ("cuda:0", 1, 1)]
)
def test_motion_is_looked_for_by_what_threads_the_painter_leaves(name: str, threads: int, beside: int) -> None:
    assert machine_of(Device(name, name, 1), threads) == Machine(name, beside)


def test_versions_name_what_may_change_a_pixel() -> None:
    assert set(versions()) == {"farm", "python", "torch", "torchvision", "opencv"}


def test_a_version_costs_no_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing torchvision takes longer than torch: a worker would start later for a few digits."""
    monkeypatch.setitem(sys.modules, "torchvision", None)
    assert versions()["torchvision"][0].isdigit()
