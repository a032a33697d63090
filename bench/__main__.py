"""`make bench`: measures, prints a table, and keeps it in `bench/results/`."""

import time
from pathlib import Path

from farm.settings import Settings
from worker.device import limit_threads

settings = Settings.load()
limit_threads(settings.threads)  # before torch is imported

from bench.step import rows  # noqa: E402
from worker.device import choose_device, versions  # noqa: E402

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure and write `results/step.md`."""
    device = choose_device(settings)
    facts = ", ".join(f"{name} {version}" for name, version in versions().items())
    lines = [
        "# One optimisation step", "",
        f"{time.strftime('%Y-%m-%d')}, {device.title}, {facts}. Milliseconds; `make bench` writes this page.", "",
        "| backbone | size | median | best |", "|---|---|---|---|",
    ]  # fmt: skip
    medians: dict[tuple[int, int], list[float]] = {}
    for row in rows(device.torch_name):
        lines.append(f"| {row.backbone} | {row.width}×{row.height} | {row.median_ms:.1f} | {row.best_ms:.1f} |")
        print(lines[-1], flush=True)
        medians.setdefault((row.width, row.height), []).append(row.median_ms)
    lines += ["", "VGG19 takes, for one step of the default backbone's:", ""]
    lines += [f"- {width}×{height}: {slow / fast:.1f} ×" for (width, height), (fast, slow) in medians.items()]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "step.md").write_text("\n".join(lines) + "\n")
    print(f"written: {RESULTS / 'step.md'}")


main()
