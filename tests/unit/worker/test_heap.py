"""What a painting process keeps of its memory, and what it hands back."""

from __future__ import annotations

import subprocess
import sys

import pytest

STEPS = """
import resource
from worker import heap

MIB = 1 << 20


def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096


def step():
    b"1" * (64 * MIB)


keep = {keep}
assert not keep or heap.keep_freed()
step()
before = faults()
for _ in range(4):
    step()
print((faults() - before) * 4096 // MIB)
before = resident()
heap.hand_back()
print((before - resident()) // MIB)
"""


def run(*, keep: bool) -> tuple[int, int]:
    """MiB that four steps of 64 MiB had the system clear, and MiB handed back."""
    command = [sys.executable, "-c", STEPS.format(keep=keep)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    faulted, handed_back = map(int, ended.stdout.split())
    return faulted, handed_back


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_what_a_step_frees_the_next_one_takes_until_the_task_ends() -> None:
    faulted, handed_back = run(keep=True)
    assert faulted < 16
    assert handed_back > 48


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's heap")
def test_without_it_the_system_clears_every_large_block_again() -> None:
    faulted, _ = run(keep=False)
    assert faulted > 200
