"""How much memory a painter may take, and the tiles it paints in for that.

What a step takes is what the network leaves behind for the way back: so many bytes for each pixel it sees. They are
counted once for a network, on a small picture, as the tensors autograd keeps. Where that is more than the limit, or
where the device says that there is no more, the network's first stages see the picture in tiles, or all stages do: of
all the ways to cut it that are planned to fit, the one with the least to compute again.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from worker.engine.backbones import Network
from worker.engine.backbones.winograd import ConvReLU
from worker.engine.pixels import SizeHW
from worker.engine.tiling import Tiling, cuts, reach, seen_px
from worker.heap import hand_back

log = logging.getLogger(__name__)

T = TypeVar("T")

TILES_PX = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128, 64)
"""Longest sides of tiles, from the largest."""
SAMPLE_PX = 128
MIB = 1 << 20
IN_PASSING = 6
"""How many of a network's largest tensors a step holds at its peak beside what it keeps for the way back: a layer's
output before and after its ReLU, their gradients, workspace. On a CPU it is 3 for EfficientNet-Lite0, 5 for VGG19, and
up to 6 where tiles leave gaps in a heap that is kept."""
IN_PASSING_BEHIND = 8
"""That of the stages behind tiles, whose largest tensor is so much smaller than the whole network's."""
BLOCKS_BYTES = 220 * MIB
"""What convolving in blocks takes beside its kernels: transforms of what comes in and goes out, a matrix product's own
workspace, and the gaps that these leave in the heap."""
PICTURE_BYTES_PX = 300
"""What a pixel takes whatever the tiles: picture, gradient, the optimiser's moments, targets, what is carried."""

NO_MEMORY = (
    "can't allocate memory",  # torch
    "not enough memory", "could not create a primitive",  # oneDNN
    "CUDA error: out of memory", "ALLOC_FAILED", "ALLOCATION_FAILED",  # CUDA, cuBLAS, cuDNN
    "unable to find an engine",  # torch, where none of cuDNN's ways to convolve found the room it works in
)  # fmt: skip
"""Words of those who had no memory left."""


class Memory:
    """One painter's memory plan. `limit_bytes`: what it may take; None: what there is."""

    def __init__(self, limit_bytes: int | None = None) -> None:
        self._limit_bytes = limit_bytes
        self._said_bytes = math.inf  # what a step may take beside what it always does, as far as the device has said
        self._warned = False

    def within(self, network: Network, size_hw: SizeHW, whole: Callable[[], T], in_tiles: Callable[[Tiling], T]) -> T:
        """What `whole`, or `in_tiles`, gives where the network sees that size.

        Tried again in smaller tiles where memory runs out; what it raises otherwise, and at the last, is the caller's.
        """
        while True:
            tiling = self.tiling(network, size_hw)
            try:
                return whole() if tiling is None else in_tiles(tiling)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                failed = error.with_traceback(None)  # its frames hold what the failed try did
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            hand_back()
            if not self._lower(tiling, network, size_hw):
                raise failed

    def tiling(self, network: Network, size_hw: SizeHW) -> Tiling | None:
        """The tiles to paint a picture in; None where it can be painted whole."""
        limit_bytes = math.inf if self._limit_bytes is None else self._limit_bytes
        if math.isinf(limit_bytes) and math.isinf(self._said_bytes):
            return None
        most_bytes = min(limit_bytes, always_bytes(network, size_hw) + self._said_bytes)
        if planned_bytes(network, size_hw, None) <= most_bytes:
            return None
        fitting = quickest(network, size_hw, most_bytes)
        if fitting is None:
            self._say_exceeded(network, size_hw)
        return fitting or smallest(network, size_hw)

    def _say_exceeded(self, network: Network, size_hw: SizeHW) -> None:
        """Once, where the smallest tiles are more than the limit."""
        least_bytes = planned_bytes(network, size_hw, smallest(network, size_hw))
        if self._limit_bytes is not None and least_bytes > self._limit_bytes and not self._warned:
            self._warned = True
            log.warning(
                "%d×%d px take %.0f MiB in the smallest tiles, more than the limit of %.0f MiB; raise FARM_MEMORY_MB",
                size_hw[1], size_hw[0], least_bytes / MIB, self._limit_bytes / MIB,
            )  # fmt: skip

    def _lower(self, tiling: Tiling | None, network: Network, size_hw: SizeHW) -> bool:
        """Plan for half of it; False where there is no such plan."""
        failed_bytes = planned_bytes(network, size_hw, tiling)
        self._said_bytes = (failed_bytes - always_bytes(network, size_hw)) / 2
        lower = self.tiling(network, size_hw)
        if lower is None or planned_bytes(network, size_hw, lower) >= failed_bytes:
            return False
        what = "the whole picture" if tiling is None else f"tiles of {tiling.tile_px} px"
        size = f"{size_hw[1]}×{size_hw[0]} px"
        log.warning("no memory for %s at %s: on in tiles of %d px", what, size, lower.tile_px)
        return True


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the machine, had no memory left. Torch's CPU allocator and CUDA's libraries use words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


@lru_cache(maxsize=64)
def quickest(network: Network, size_hw: SizeHW, most_bytes: float) -> Tiling | None:
    """Of the tilings planned to take no more, the one with the least to compute again; None where there is none."""
    fitting = (each for each in _tilings(network) if planned_bytes(network, size_hw, each) <= most_bytes)
    return min(fitting, key=lambda each: _seen_again(network, size_hw, each), default=None)


@lru_cache(maxsize=64)
def smallest(network: Network, size_hw: SizeHW) -> Tiling:
    """The tiling planned to take least."""
    return min(_tilings(network), key=lambda each: planned_bytes(network, size_hw, each))


def _tilings(network: Network) -> Iterator[Tiling]:
    return (Tiling(tile_px, stages) for stages in cuts(network) for tile_px in TILES_PX)


def _seen_again(network: Network, size_hw: SizeHW, tiling: Tiling) -> int:
    """What is computed again, as pixels times stages: a network's stages are about as costly as each other."""
    return tiling.stages * seen_px(size_hw, tiling.tile_px, reach(network, tiling.stages))[1]


def planned_bytes(network: Network, size_hw: SizeHW, tiling: Tiling | None) -> float:
    """Bytes that a step is planned to take on a picture that the network sees in that size; `tiling` None: whole."""
    pixels, always = size_hw[0] * size_hw[1], always_bytes(network, size_hw)
    if tiling is None:
        return always + head_bytes_px(network, len(network.names)) * pixels
    largest_px, _ = seen_px(size_hw, tiling.tile_px, reach(network, tiling.stages))
    head = head_bytes_px(network, tiling.stages) * largest_px
    tail = tail_bytes_px(network, tiling.stages) * pixels
    return always + 2 * _waist_bytes_px(network, tiling.stages) * pixels + max(head, tail)  # a gradient is as large


def always_bytes(network: Network, size_hw: SizeHW) -> float:
    """Bytes that a step takes whatever the tiles."""
    kernels_bytes = _kernels_bytes(network)
    blocks_bytes = BLOCKS_BYTES if kernels_bytes else 0
    return PICTURE_BYTES_PX * size_hw[0] * size_hw[1] + kernels_bytes + blocks_bytes


def _kernels_bytes(network: Network) -> int:
    """What a network makes of its weights at its first step, and keeps."""
    return sum(layer.kernels_bytes for layer in network.modules() if isinstance(layer, ConvReLU))


@lru_cache(maxsize=64)
def head_bytes_px(network: Network, stages: int) -> float:
    """Bytes that a step takes at its peak in a network's first stages, for each pixel they see."""
    image = torch.zeros((1, 3, SAMPLE_PX, SAMPLE_PX), device=network.mean.device)
    return _bytes_px(network, image, lambda x: network.walked(x, until=network.names[stages - 1]), IN_PASSING)


@lru_cache(maxsize=64)
def tail_bytes_px(network: Network, stages: int) -> float:
    """Bytes that a step takes at its peak behind them, for each pixel of the picture."""
    if stages == len(network.names):
        return 0.0
    return _bytes_px(network, _sample_of(network, stages), lambda x: network.tail(x, stages), IN_PASSING_BEHIND)


def _bytes_px(network: Network, x: Tensor, walk: Callable[[Tensor], object], in_passing: int) -> float:
    held: dict[int, int] = {}
    own = {tensor.untyped_storage().data_ptr() for tensor in (x, *network.parameters(), *network.buffers())}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        walk(x.requires_grad_())
    return (sum(held.values()) + in_passing * max(held.values())) / SAMPLE_PX**2


@lru_cache(maxsize=64)
def _waist_bytes_px(network: Network, stages: int) -> float:
    """Bytes of what a network's first stages make, for each pixel they see."""
    return _sample_of(network, stages).nbytes / SAMPLE_PX**2


@torch.no_grad()
def _sample_of(network: Network, stages: int) -> Tensor:
    image = torch.zeros((1, 3, SAMPLE_PX, SAMPLE_PX), device=network.mean.device)
    return network.head(image, stages)[network.names[stages - 1]]
