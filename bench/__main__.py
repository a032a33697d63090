"""`python -m bench [step|memory|gatys|chunk|overhead|scaling|simulation ...]`: measures, prints, writes its pages.

Without a name, all of them, one after another in one run.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

from farm.settings import Settings
from worker.device import limit_threads

settings = Settings.load()
limit_threads(settings.threads)  # before torch is imported

from bench import chunk, costs, gatys, memory, overhead, scaling, simulation_page, step  # noqa: E402
from farm.contract.errors import FarmError  # noqa: E402
from worker.device import Device, choose_device, versions  # noqa: E402

RESULTS = Path(__file__).parent / "results"


def say(line: str) -> None:
    """A line for who waits."""
    print(line, flush=True)


def step_page(device: Device, head: str) -> str:
    """One optimisation step."""
    return step.page(device.torch_name, head, say)


def memory_page(_device: Device, head: str) -> str:
    """A step in less memory."""
    return memory.page(memory.rows(say), head)


def gatys_page(device: Device, head: str) -> str:
    """The painter against a plain loop."""
    found = gatys.race(device.torch_name, say)
    gatys.save_picture(found, RESULTS)
    return gatys.page(found, head)


def chunk_page(_device: Device, head: str) -> str:
    """Where a chunk's time goes."""
    return chunk.page(chunk.measure(settings.threads, say), head)


def overhead_page(_device: Device, head: str) -> str:
    """The farm's own cost; the simulation takes it from here."""
    found, looks = overhead.measure(say), overhead.measure_looks(say)
    costs.keep({"task_s": round(found.chunk_s, 4), **{name: round(value, 8) for name, value in looks.items()}})
    return overhead.page(found, looks, head)


def scaling_page(_device: Device, head: str) -> str:
    """One worker and two."""
    return scaling.page(scaling.measure(say), head)


def simulated_page(_device: Device, _head: str) -> str:
    """A long film on many GPUs."""
    return simulation_page.page(*costs.load(), say)


PARTS: dict[str, Callable[[Device, str], str]] = {
    "step": step_page,
    "memory": memory_page,
    "gatys": gatys_page,
    "chunk": chunk_page,
    "overhead": overhead_page,
    "scaling": scaling_page,
    "simulation": simulated_page,
}


def main(arguments: list[str]) -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Benchmarks; tables in bench/results.")
    parser.add_argument("parts", nargs="*", metavar="part", help=f"one or more of {', '.join(PARTS)}; all if none")
    chosen = parser.parse_args(arguments).parts or list(PARTS)
    if unknown := [name for name in chosen if name not in PARTS]:
        parser.error(f"no benchmark {unknown[0]!r}; choose of {', '.join(PARTS)}")
    device = choose_device(settings)
    facts = ", ".join(f"{name} {version}" for name, version in versions().items())
    head = f"{time.strftime('%Y-%m-%d')}, {device.title}, {facts}."
    RESULTS.mkdir(exist_ok=True)
    for name in chosen:
        say(f"— {name}")
        text = PARTS[name](device, head)
        (RESULTS / f"{name}.md").write_text(text)
        print(text)
        say(f"written: {RESULTS / f'{name}.md'}")


try:
    main(sys.argv[1:])
except FarmError as error:
    sys.exit(f"bench: {error}")
