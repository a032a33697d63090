"""How much memory a painter may take, and the tiles it paints in for that.

What a step takes is what the network leaves behind for the way back: so many bytes for each pixel it sees. They are
counted once for a network, on a small picture, as the tensors autograd keeps. Where that is more than the limit, or
where the device says that there is no more, the picture is painted in tiles, smaller ones each time.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor

from worker.engine.backbones import Network
from worker.engine.backbones.winograd import ConvReLU
from worker.engine.pixels import SizeHW
from worker.engine.tiling import reach, tiles

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
        self._most_px = math.inf  # what the network may see at once, as far as the device has said
        self._warned = False

    def within(self, network: Network, size_hw: SizeHW, whole: Callable[[], T], in_tiles: Callable[[int], T]) -> T:
        """What `whole`, or `in_tiles` with the longest side of a tile, gives where the network sees that size.

        Tried again in smaller tiles where memory runs out; what it raises otherwise, and at the last, is the caller's.
        """
        while True:
            tile_px = self.tile_px(network, size_hw)
            try:
                return whole() if tile_px is None else in_tiles(tile_px)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error) or not self._lower(tile_px, network, size_hw):
                    raise
            # Only here, with the error forgotten, is what the failed try held free again.
            if torch.cuda.is_available():
                torch.cuda.empty_cache()

    def tile_px(self, network: Network, size_hw: SizeHW) -> int | None:
        """The longest side of a tile; None where the picture can be painted whole."""
        height, width = size_hw
        most = min(self._most_px, self._affordable_px(network, height * width))
        if height * width <= most:
            return None
        fitting = (side for side in TILES_PX if _largest_px(network, size_hw, side) <= most)
        return next(fitting, None) or self._smallest(network, size_hw)

    def _smallest(self, network: Network, size_hw: SizeHW) -> int:
        """The last resort; said once, where it is more than the limit."""
        least_bytes = planned_bytes(network, size_hw, TILES_PX[-1])
        if self._limit_bytes is not None and least_bytes > self._limit_bytes and not self._warned:
            self._warned = True
            log.warning(
                "%d×%d px take %.0f MiB in the smallest tiles, more than the limit of %.0f MiB; raise FARM_MEMORY_MB",
                size_hw[1], size_hw[0], least_bytes / MIB, self._limit_bytes / MIB,
            )  # fmt: skip
        return TILES_PX[-1]

    def _lower(self, tile_px: int | None, network: Network, size_hw: SizeHW) -> bool:
        """Plan smaller tiles; False where there are none."""
        seen = size_hw[0] * size_hw[1] if tile_px is None else _largest_px(network, size_hw, tile_px)
        self._most_px = seen / 2
        smaller = self.tile_px(network, size_hw)
        if smaller is None or _largest_px(network, size_hw, smaller) >= seen:
            return False
        what = "the whole picture" if tile_px is None else f"tiles of {tile_px} px"
        log.warning("no memory for %s at %d×%d px: on in tiles of %d px", what, size_hw[1], size_hw[0], smaller)
        return True

    def _affordable_px(self, network: Network, pixels: int) -> float:
        if self._limit_bytes is None:
            return math.inf
        fixed = PICTURE_BYTES_PX * pixels + _kernels_bytes(network)
        return max(0.0, self._limit_bytes - fixed) / step_bytes_px(network)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device, or the machine, had no memory left. Torch's CPU allocator and CUDA's libraries use words."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)


def planned_bytes(network: Network, size_hw: SizeHW, tile_px: int | None) -> float:
    """Bytes that a step is planned to take on a picture that the network sees in that size; `tile_px` None: whole."""
    pixels = size_hw[0] * size_hw[1]
    seen = pixels if tile_px is None else _largest_px(network, size_hw, tile_px)
    return PICTURE_BYTES_PX * pixels + _kernels_bytes(network) + step_bytes_px(network) * seen


def _kernels_bytes(network: Network) -> int:
    """What a network makes of its weights at its first step, and keeps."""
    return sum(layer.kernels_bytes for layer in network.modules() if isinstance(layer, ConvReLU))


@lru_cache(maxsize=8)
def step_bytes_px(network: Network) -> float:
    """Bytes that a step takes at its peak for each pixel the network sees."""
    held: dict[int, int] = {}
    own = {tensor.untyped_storage().data_ptr() for tensor in (*network.parameters(), *network.buffers())}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            held[storage.data_ptr()] = storage.nbytes()
        return tensor

    image = torch.zeros((1, 3, SAMPLE_PX, SAMPLE_PX), device=network.mean.device, requires_grad=True)
    with torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        features = network.walked(image)
    del features
    return (sum(held.values()) + IN_PASSING * max(held.values())) / SAMPLE_PX**2


def _largest_px(network: Network, size_hw: SizeHW, tile_px: int) -> int:
    return max(tile.seen_px for tile in tiles(size_hw, tile_px, reach(network)))
