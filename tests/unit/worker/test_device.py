from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from farm.contract.errors import InvalidParameter
from farm.settings import Settings
from worker.device import choose_device, limit_threads, versions


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


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_named_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(InvalidParameter, match=r"FARM_DEVICE=cuda:0: torch sees no CUDA device.*FARM_DEVICE=cpu"):
        choose_device(settings(tmp_path, "cuda:0"))


def test_versions_name_what_may_change_a_pixel() -> None:
    assert set(versions()) == {"farm", "python", "torch", "torchvision", "opencv"}
