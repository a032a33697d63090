"""The fixed networks whose features define style and content.

Each backbone is a module that builds a `Network` from a state dict; `load` is the one way to get one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from farm.contract.errors import FarmError
from farm.contract.params import Backbone
from worker.engine.backbones.base import Network, State
from worker.engine.backbones.efficientnet_lite0 import efficientnet_lite0
from worker.engine.backbones.vgg19 import vgg19
from worker.engine.backbones.weights import load_state, weights_sha256

__all__ = ["Network", "load", "weights_sha256"]

_BUILDERS: dict[Backbone, Callable[[State], Network]] = {
    Backbone.EFFICIENTNET_LITE0: efficientnet_lite0,
    Backbone.VGG19: vgg19,
}

WARM_SIZES_HW = ((64, 96), (96, 64))
"""Sides that differ, or a compiler would take them for one."""


def load(
    backbone: Backbone,
    expected_sha256: str,
    device: torch.device | str,
    weights_dir: Path | None = None,
    *,
    bfloat16: bool = False,
    compiled: bool = False,
) -> Network:
    """The backbone, frozen, on `device`; WeightsMismatch unless its file's SHA-256 starts with `expected_sha256`.

    `bfloat16`: its features are made in that type, at twice the speed and half the memory on a GPU that knows it.
    `compiled`: its steps run in kernels made for this device, here and now, which takes a minute or two; FarmError
    where that fails.
    """
    network = _BUILDERS[backbone](load_state(backbone, expected_sha256, weights_dir))
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if bfloat16:
        network.lowered()
    return warmed(network.compiled()) if compiled else network


def warmed(network: Network) -> Network:
    """The compiled network, after a step each on two small pictures: what is made at the first call is there.

    FarmError where there is no compiler, or it fails.
    """
    try:
        for size_hw in WARM_SIZES_HW:
            image = torch.zeros((1, 3, *size_hw), device=network.mean.device, requires_grad=True)
            total = torch.stack([feature.float().sum() for feature in network(image).values()]).sum()
            total.backward()  # type: ignore[no-untyped-call]
    except torch.OutOfMemoryError:  # its words name the cure
        raise
    except RuntimeError as error:
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise FarmError(
            f"FARM_COMPILE=on: torch can't compile on {network.mean.device}: {why}; "
            "install g++ (for a GPU also Triton), or set FARM_COMPILE=off"
        ) from error
    return network
