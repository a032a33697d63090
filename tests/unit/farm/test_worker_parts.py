"""How the private farm deals a machine's devices, cores and memory out to its workers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from farm.settings import Settings, painting_bytes
from farm.stack import parts
from farm.stack.parts import worker_parts

MIB = 2**20


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[dict[str, int]], None]:
    """Make this a machine of 1000 MiB with GPUs of so many MiB, as its driver has it."""

    def make(gpus: dict[str, int]) -> None:
        sizes = " ".join(f'*"-i {name}") echo {size};;' for name, size in gpus.items() if size)
        lines = "".join(f"echo 'GPU {name}: Some (UUID: GPU-0)';" for name in gpus)
        script = tmp_path / "nvidia-smi"
        script.write_text(f'#!/bin/sh\ncase "$*" in -L) {lines}:;; {sizes} *) exit 6;; esac\n')
        script.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        monkeypatch.setattr(parts, "usable_memory_bytes", lambda: 10_000 * MIB)

    return make


def dealt(base: Settings, count: int | None) -> list[tuple[str, str]]:
    """Each worker's GPU, and the memory it is told of."""
    extras = [part.extra for part in worker_parts(base, count)]
    return [(extra.get("CUDA_VISIBLE_DEVICES", ""), extra.get("FARM_MEMORY_MB", "")) for extra in extras]


def test_workers_on_the_cpu_share_its_memory_each_with_a_process_of_its_own(
    machine: Callable[[dict[str, int]], None],
) -> None:
    machine({})
    assert dealt(Settings(), 3) == [("", str(3000 - 1024))] * 3
    assert dealt(Settings(device="cpu"), 2) == [("", str(4500 - 1024))] * 2
    assert dealt(Settings(device="cpu"), 9) == [("", "500")] * 9  # half of a small share


def test_a_worker_that_shares_with_nobody_plans_for_itself(machine: Callable[[dict[str, int]], None]) -> None:
    machine({"0": 800, "1": 1600})
    assert dealt(Settings(), None) == [("0", ""), ("1", "")]
    assert dealt(Settings(device="cpu"), 1) == [("", "")]
    assert dealt(Settings(), 0) == []


def test_workers_on_one_gpu_share_its_memory(machine: Callable[[dict[str, int]], None]) -> None:
    machine({"0": 800, "1": 1600})
    assert dealt(Settings(), 3) == [("0", "360"), ("1", ""), ("0", "360")]
    assert dealt(Settings(device="cuda:1"), 2) == [("1", "720")] * 2


def test_where_the_driver_does_not_say_workers_on_one_gpu_plan_for_themselves(
    machine: Callable[[dict[str, int]], None],
) -> None:
    machine({"0": 0})
    assert dealt(Settings(), 2) == [("0", "")] * 2


def test_the_memory_that_is_asked_for_is_each_workers(machine: Callable[[dict[str, int]], None]) -> None:
    machine({})
    (first, second) = worker_parts(Settings(memory_mb=700), 2)
    assert "FARM_MEMORY_MB" not in first.extra.keys() | second.extra.keys()  # the settings have it


def test_one_worker_leaves_room_for_its_process_and_for_the_driver() -> None:
    gib = 1 << 30
    assert painting_bytes(8 * gib, on_cpu=True) == int(0.9 * 8 * gib) - gib
    assert painting_bytes(8 * gib, on_cpu=False) == int(0.9 * 8 * gib)
    assert painting_bytes(gib, on_cpu=True) == int(0.45 * gib)
