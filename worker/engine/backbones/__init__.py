"""The fixed networks whose features define style and content.

Each backbone is a module that builds a `Network` from a state dict; `load` is the one way to get one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

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


def load(
    backbone: Backbone,
    expected_sha256: str,
    device: torch.device | str,
    weights_dir: Path | None = None,
    *,
    bfloat16: bool = False,
) -> Network:
    """The backbone, frozen, on `device`; WeightsMismatch unless its file's SHA-256 starts with `expected_sha256`.

    `bfloat16`: its features are made in that type, at twice the speed and half the memory on a GPU that knows it.
    """
    network = _BUILDERS[backbone](load_state(backbone, expected_sha256, weights_dir))
    network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.lowered() if bfloat16 else network
