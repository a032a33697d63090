"""Which device this process paints on, and with how many threads."""

from __future__ import annotations

import logging
import os
import platform
import resource
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from farm.contract.errors import InvalidParameter
from farm.contract.params import Backbone
from farm.settings import Settings, usable_memory_bytes

if TYPE_CHECKING:
    import torch

    from worker.engine import Machine

log = logging.getLogger(__name__)

SPIN_COUNT = "1000"
"""Rounds an OpenMP thread spins before it sleeps: enough that a free core never waits for a wake-up."""

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in which the system counts a process's memory."""

GPU_FILE = Path("/dev/nvidia0")
"""Where there is a GPU, as its driver shows it."""

BFLOAT16_SINCE = 8
"""The first compute capability (Ampere) with units of its own for bfloat16."""
MOST_BESIDE = 8
"""Most frames whose motion is looked for at once: each holds about 12 bytes a pixel, and none is painted faster."""
NO_BACKBONES: frozenset[Backbone] = frozenset()
WIDE_BACKBONES = frozenset({Backbone.VGG19})
"""Those of wide convolutions alone: a CPU with units for bfloat16 (Intel's AMX) takes half of their time or less.
EfficientNet-Lite0's depthwise convolutions have no use for such units; it takes longer in bfloat16."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device as the ledger and the manifests name it."""

    torch_name: str  # "cpu", "cuda:0"
    title: str  # "cpu (2 threads)", "NVIDIA H100 80GB HBM3"
    memory_bytes: int
    low: frozenset[Backbone] = NO_BACKBONES
    """Backbones that compute in bfloat16; pixels, losses and Gram matrices stay float32."""

    def precision(self, backbone: Backbone) -> str:
        """What a backbone's network computes in: `float32` or `bfloat16`."""
        return "bfloat16" if backbone in self.low else "float32"

    def peak_bytes(self) -> int:
        """The most memory taken on it: of tensors since the last call on a GPU, of this process ever on a CPU."""
        import torch

        if self.torch_name == "cpu":
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT
        peak = torch.cuda.max_memory_allocated(self.torch_name)
        torch.cuda.reset_peak_memory_stats(self.torch_name)
        return peak


def limit_threads(threads: int) -> None:
    """Give this process `threads` CPU threads. Call it before torch is imported: OpenMP reads these once.

    Threads that wait spin for a moment only, then sleep. OpenMP's default is to spin for milliseconds: with a second
    busy process on the cores that makes an optimisation step up to fifty times slower, and alone it gains nothing.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPIN_COUNT)


def choose_device(settings: Settings) -> Device:
    """The device `FARM_DEVICE` names; `auto` takes a GPU where there is one. InvalidParameter where it is not there."""
    import cv2
    import torch

    cv2.setNumThreads(settings.threads)
    torch.set_num_threads(settings.threads)
    wanted = settings.device
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        if wanted == "auto" and GPU_FILE.exists():
            log.warning("there is a GPU here that torch can't use: is its driver older than torch's CUDA %s?",
                        torch.version.cuda)  # fmt: skip
        low = low_backbones("cpu", settings.precision)
        return Device("cpu", f"cpu ({settings.threads} threads)", usable_memory_bytes(), low)
    if not torch.cuda.is_available():
        raise InvalidParameter(
            f"FARM_DEVICE={wanted}: torch sees no CUDA device; install a driver, one no older than torch's CUDA "
            f"{torch.version.cuda}, or set FARM_DEVICE=cpu",
            name="FARM_DEVICE",
            value=wanted,
        )
    index = int(wanted.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise InvalidParameter(
            f"FARM_DEVICE={wanted}: this machine has {torch.cuda.device_count()} CUDA device(s), counted from 0",
            name="FARM_DEVICE",
            value=wanted,
        )
    return _cuda_device(torch.device("cuda", index), settings.precision)


def machine_of(device: Device, threads: int) -> Machine:
    """What a worker of `threads` CPU threads has beside its network. On a CPU the painter needs them all."""
    from worker.engine import Machine

    beside = 1 if device.torch_name == "cpu" else max(1, min(MOST_BESIDE, threads - 1))
    return Machine(device.torch_name, beside)


def repeat_alike() -> None:
    """Have torch use only what computes the same twice, as far as it knows: the same task gives the same bytes."""
    import torch

    torch.use_deterministic_algorithms(True, warn_only=True)
    # That mode also fills what is allocated, to show who reads it before writing: a fifth of a step for nothing.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def low_backbones(device: str, precision: str = "auto") -> frozenset[Backbone]:
    """The backbones that compute in bfloat16 on `cpu` or `cuda:N`, by `FARM_PRECISION`."""
    import torch

    if precision != "auto":
        return frozenset(Backbone) if precision == "bfloat16" else NO_BACKBONES
    if device == "cpu":
        known = torch.cpu.get_capabilities()
        return WIDE_BACKBONES if known.get("amx_tile") and known.get("amx_bf16") else NO_BACKBONES
    return frozenset(Backbone) if torch.cuda.get_device_properties(device).major >= BFLOAT16_SINCE else NO_BACKBONES


def versions() -> dict[str, str]:
    """What may make one worker's pixels differ from another's."""
    import cv2
    import torch

    from farm import __version__

    return {
        "farm": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),  # to import it would take longer than torch itself
        "opencv": cv2.__version__,
    }


def _cuda_device(device: torch.device, precision: str) -> Device:
    import torch

    # Products of bfloat16 features are exact in TF32; so are their sums, in float32. Who asks for float32 gets it.
    exact = precision == "float32"
    torch.set_float32_matmul_precision("highest" if exact else "high")
    torch.backends.cudnn.allow_tf32 = not exact
    facts = torch.cuda.get_device_properties(device)
    return Device(str(device), facts.name, facts.total_memory, low_backbones(str(device), precision))
