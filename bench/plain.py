"""The method of Gatys, Ecker, Bethge 2016, written plainly: what the painter is held against.

torchvision's VGG19 as it comes, in float32, and an image moved by Adam or L-BFGS, with the defaults of neural-style
(Johnson 2015): content at relu4_2 with weight 5, style at relu1_1 to relu5_1 with weight 100, total variation 1e-3,
max-pooling, pixels of 0 to 255, Adam's rate 10, L-BFGS of 100 corrections without a line search. Started from the
content, as films are (Eidnes 2015).
Differs: neural-style's Caffe network sees pixels of ±128, torchvision's of about ±2; features are multiplied by the
ratio, so that the weights mean what they meant. Gradients of the network's weights are not computed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from torchvision.models import vgg19

CONTENT_WEIGHT, STYLE_WEIGHT, TV_WEIGHT = 5.0, 100.0, 1e-3
ADAM_RATE, LBFGS_CORRECTIONS = 10.0, 100
CONTENT_LAYER = 22
"""relu4_2, by torchvision's number of it."""
STYLE_LAYERS = (1, 6, 11, 20, 29)
"""relu1_1, relu2_1, relu3_1, relu4_1, relu5_1."""
LAYERS = 30
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FEATURE_SCALE = 255 * sum(STD) / 3
ITERATIONS = 1000
"""neural-style's number of them: a loop that has not done by then counts as not done."""


@dataclass(frozen=True, slots=True)
class Descent:
    """How a loop went: its time and steps, its style loss as a share of that at the content, and what it painted."""

    seconds: float
    steps: int
    share: float
    image: Tensor  # (1, 3, H, W) float32, 0 to 255


def features(weights: Mapping[str, Tensor]) -> nn.Sequential:
    """torchvision's VGG19 up to relu5_1, with `weights` under torchvision's names."""
    network = vgg19(weights=None).features[:LAYERS]
    wanted = network.state_dict()
    network.load_state_dict({name: weights[f"features.{name}"] for name in wanted})
    return network.requires_grad_(requires_grad=False).eval()


class Gatys:
    """One picture to paint. `content` and `style`: `(1, 3, H, W) float32, sRGB, 0 to 255`."""

    def __init__(self, network: nn.Sequential, content: Tensor, style: Tensor) -> None:
        self._network = network
        self._mean = torch.tensor(MEAN, device=content.device).view(1, 3, 1, 1)
        self._std = torch.tensor(STD, device=content.device).view(1, 3, 1, 1)
        self._content = content
        with torch.no_grad():
            self._wanted = self._features(content)[CONTENT_LAYER]
            seen = self._features(style)
            self._grams = {layer: gram(seen[layer]) for layer in STYLE_LAYERS}

    def losses(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The style loss, and the whole loss."""
        seen = self._features(image)
        style = STYLE_WEIGHT * sum(
            (mse_loss(gram(seen[layer]), self._grams[layer]) for layer in STYLE_LAYERS), image.new_zeros(())
        )
        content = CONTENT_WEIGHT * mse_loss(seen[CONTENT_LAYER], self._wanted)
        across = (image[..., :, 1:] - image[..., :, :-1]).square().sum() / 2
        down = (image[..., 1:, :] - image[..., :-1, :]).square().sum() / 2
        return style, content + style + TV_WEIGHT * (across + down)

    def paint(self, optimizer: str, share: float = 0.0, limit: int = ITERATIONS) -> Descent:
        """Steps of `adam` or `lbfgs` from the content until the style loss is `share` of its first value."""
        image = self._content.clone().requires_grad_()
        step = self._step(image, optimizer)
        began_s = time.perf_counter()
        first = style = step()
        steps = 1
        while steps < limit and style > share * first:
            style = step()
            steps += 1
        return Descent(time.perf_counter() - began_s, steps, style / first, image.detach().clamp(0, 255))

    def _step(self, image: Tensor, optimizer: str) -> Callable[[], float]:
        """A step; it returns the style loss it began with. One evaluation, also of L-BFGS."""
        adam = optimizer == "adam"
        moving = torch.optim.Adam([image], lr=ADAM_RATE) if adam else torch.optim.LBFGS(
            [image], max_iter=1, history_size=LBFGS_CORRECTIONS, tolerance_grad=-1, tolerance_change=-1
        )  # fmt: skip
        last: list[Tensor] = []

        def closure() -> Tensor:
            moving.zero_grad()
            style, whole = self.losses(image)
            whole.backward()
            last[:] = [style.detach()]
            return whole

        def step() -> float:
            moving.step(closure)
            return last[0].item()

        return step

    def _features(self, image: Tensor) -> dict[int, Tensor]:
        x, seen = (image / 255 - self._mean) / self._std, {}
        for number, layer in enumerate(self._network):
            x = layer(x)
            if number == CONTENT_LAYER or number in STYLE_LAYERS:
                seen[number] = FEATURE_SCALE * x
        return seen


def gram(features_bchw: Tensor) -> Tensor:
    """`(C, C)`: `F Fᵀ / (CHW)`, neural-style's scale."""
    flat = features_bchw[0].flatten(1)  # (C, HW)
    return flat @ flat.T / flat.numel()
