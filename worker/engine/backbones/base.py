"""The form every backbone has: a frozen chain of stages, some of them tapped for features.

Owns normalisation, freezing and the walk along the chain; each backbone's module owns its layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

State = Mapping[str, Tensor]
"""A state dict: weights by name, float32."""


class Network(nn.Module):
    """A frozen network. Called with `(B, 3, H, W) float32, sRGB [0, 1]`, it returns features by the name of their tap.

    Each feature is `(B, C, H/s, W/s)`, in the type of the network's weights: float32, or bfloat16 after `lowered`.
    Only the image receives gradients.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        stages: Sequence[tuple[str, nn.Module]],
        *,
        style_taps: tuple[str, ...],
        content_tap: str,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.style_taps = style_taps
        self.content_tap = content_tap
        self._taps = frozenset((*style_taps, content_tap))
        self.names = tuple(name for name, _ in stages)
        self.stages = nn.ModuleList(stage for _, stage in stages)
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1))
        self._descended: Callable[[Tensor], dict[str, Tensor]] | None = None  # compiled
        self.requires_grad_(requires_grad=False)
        self.eval()

    @property
    def dtype(self) -> torch.dtype:
        """The type of its weights and features."""
        return next(self.stages.parameters()).dtype

    def lowered(self) -> Network:
        """Itself, with weights and features in bfloat16; what comes in and its normalisation stay float32."""
        self.stages.to(torch.bfloat16)
        return self

    def compiled(self) -> Network:
        """Itself; what asks for a gradient runs in kernels that `torch.compile` makes at the first call, for any size.

        Calls without one are few: they run as they are, so that there is one compilation and no more.
        """
        self._descended = torch.compile(self.walked, dynamic=True)
        return self

    def forward(self, image_bchw: Tensor, until: str | None = None) -> dict[str, Tensor]:
        """Features of every tap; of those up to the tap `until`, if given: what lies behind it is not looked at."""
        descended = self._descended if until is None and torch.is_grad_enabled() else None
        return self.walked(image_bchw, until) if descended is None else descended(image_bchw)

    def walked(self, image_bchw: Tensor, until: str | None = None) -> dict[str, Tensor]:
        """`forward`, never compiled: its tensors and operations can be counted."""
        return self._walked(self._normalised(image_bchw), slice(None), until)

    def head(self, image_bchw: Tensor, stages: int) -> dict[str, Tensor]:
        """Features of the taps among the first `stages`, and of the last of these stages, by name."""
        if stages == len(self.names):
            return self.forward(image_bchw)  # in the kernels of `compiled`, where there are any
        return self._walked(self._normalised(image_bchw), slice(stages), kept=self.names[stages - 1])

    def tail(self, x: Tensor, stages: int, until: str | None = None) -> dict[str, Tensor]:
        """Features of the taps behind the first `stages`, from what the last of these made; `until` as in `forward`."""
        return self._walked(x, slice(stages, None), until)

    def _normalised(self, image_bchw: Tensor) -> Tensor:
        return ((image_bchw - self.mean) / self.std).to(self.dtype).contiguous(memory_format=torch.channels_last)

    def _walked(self, x: Tensor, part: slice, until: str | None = None, kept: str | None = None) -> dict[str, Tensor]:
        features: dict[str, Tensor] = {}
        for name, stage in zip(self.names[part], list(self.stages)[part], strict=True):
            x = stage(x)
            if name in self._taps or name == kept:
                features[name] = x
            if name == until:
                break
        return features


def with_weights(conv: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """`conv`, holding these weights."""
    if conv.bias is None or conv.weight.shape != weight.shape:
        raise ValueError(f"a convolution of {tuple(conv.weight.shape)} can't hold weights of {tuple(weight.shape)}")
    with torch.no_grad():
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
    return conv
