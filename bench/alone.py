"""`python -m bench.alone`: optimisation steps of one thread, as many as it can, without any farm.

What so many of them do side by side is what the machine allows: two hardware threads of one core are not two cores.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from statistics import fmean

from bench.jobs import ROOT
from farm.contract.params import Params
from worker.device import limit_threads

SIZE_HW = (108, 192)
SECONDS = 10.0
LIMIT_S = 120.0


def speed_ratio(processes: int, seconds: float = SECONDS) -> float:
    """Steps a second of so many processes at once, over those of one."""
    return _steps_a_second(processes, seconds) / _steps_a_second(1, seconds)


def _steps_a_second(processes: int, seconds: float) -> float:
    with ExitStack() as stack:
        painters = [stack.enter_context(_painter(seconds)) for _ in range(processes)]
        for painter in painters:
            _line(painter)  # warm
        for painter in painters:
            assert painter.stdin is not None
            painter.stdin.write("go\n")
            painter.stdin.flush()
        return sum(float(_line(painter)) for painter in painters)


def _line(painter: subprocess.Popen[str]) -> str:
    assert painter.stdout is not None
    line = painter.stdout.readline()
    if not line:
        raise RuntimeError(f"a painter ended with {painter.wait(LIMIT_S)} before its time")
    return line


@contextmanager
def _painter(seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "bench.alone", str(seconds)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as painter:
        try:
            yield painter
        finally:
            painter.kill()


def main(seconds: float) -> None:
    """Say that it is warm, wait for a line, paint for so long, and say the steps a second."""
    limit_threads(1)  # before torch is imported
    import torch

    from bench.step import network_of, step_ms

    torch.set_num_threads(1)
    backbone = Params().backbone
    with network_of(backbone, "cpu") as network:
        step_ms(network, backbone, SIZE_HW, "cpu")
        print("warm", flush=True)
        sys.stdin.readline()
        end_s, times_ms = time.monotonic() + seconds, []
        while time.monotonic() < end_s:
            times_ms.append(step_ms(network, backbone, SIZE_HW, "cpu"))
    print(1000 / fmean(times_ms), flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]))
