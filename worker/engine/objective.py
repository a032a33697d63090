"""The weighted losses of one picture at one size, and their gradient: of the picture whole, or tile by tile.

By tiles it is the same gradient. A Gram matrix is a sum over places, so a first pass over the tiles adds up the whole
picture's. How the style loss changes with each Gram matrix is then known, and a second pass takes from each tile what
that, and the content loss, ask of its pixels. The stages that see tiles run forward twice, and keep one tile for the
way back; those behind them run as ever, on what the first pass gathered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from farm.contract.params import Params
from worker.engine.backbones import Network
from worker.engine.losses import (
    Phase,
    chroma_metric,
    content_and_style_weights,
    content_loss,
    energy,
    framed,
    framed_size,
    style_grams,
    style_loss,
    temporal_loss,
    tv_loss,
)
from worker.engine.memory import Memory
from worker.engine.tiling import Parts, Tile, TiledPicture, Tiling


@dataclass(frozen=True, slots=True)
class Pull:
    """The carried painting that holds a new one: `(1, 3, H, W)` and its mask `(1, 1, H, W)`, both float32 [0, 1]."""

    image: Tensor
    mask: Tensor


class Objective:
    """The weighted losses of one picture at one size."""

    def __init__(
        self,
        network: Network,
        params: Params,
        *,
        style_grams: Sequence[Tensor],
        content_bchw: Tensor,
        pull: Pull | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._network = network
        self._params = params
        self._content_weight, self._style_weight = content_and_style_weights(params)
        self._style_grams = style_grams
        self._pull = pull
        self._content = content_bchw
        self._memory = memory or Memory()
        self._metric = chroma_metric(content_bchw.shape[1], content_bchw.device)
        self._content_features: dict[Phase, Tensor] = {}

    def terms(self, image_bchw: Tensor, phase: Phase = (0, 0)) -> Tensor:
        """`(5,) float32`: the weighted terms in the order of `losses.TERMS`; the last is their sum, to be minimised.

        `phase` shifts the network's grid by that many px from the top and left.
        """
        with torch.no_grad():
            return self._memory.within(
                self._network,
                framed_size(image_bchw, phase),
                lambda: self._whole(image_bchw, phase),
                lambda tiling: self._in_tiles(image_bchw, phase, tiling),
            )

    def descend(self, image_bchw: Tensor, phase: Phase = (0, 0)) -> Tensor:
        """`terms`, and the gradient of the last one in `image_bchw.grad`, whatever that held before."""

        def whole() -> Tensor:
            image_bchw.grad = None
            terms = self._whole(image_bchw, phase)
            terms[-1].backward()  # type: ignore[no-untyped-call]
            return terms.detach()

        return self._memory.within(
            self._network,
            framed_size(image_bchw, phase),
            whole,
            lambda tiling: self._descend_in_tiles(image_bchw, phase, tiling),
        )

    def _whole(self, image_bchw: Tensor, phase: Phase) -> Tensor:
        features = self._network(framed(image_bchw, phase))
        content = content_loss(features[self._network.content_tap], self._content_features_at(phase))
        return self._weighted(image_bchw, content, style_grams(self._network, features))

    def _in_tiles(self, image_bchw: Tensor, phase: Phase, tiling: Tiling) -> Tensor:
        """`_whole` without its gradient."""
        target = self._content_features_at(phase, tiling)
        picture = TiledPicture(self._network, framed(image_bchw, phase), tiling)
        totals, waist = _gathered(picture, target)
        return self._weighted_by_name(image_bchw, totals | _behind(picture, waist, target))

    def _descend_in_tiles(self, image_bchw: Tensor, phase: Phase, tiling: Tiling) -> Tensor:
        seen, target = framed(image_bchw, phase), self._content_features_at(phase, tiling)
        picture = TiledPicture(self._network, seen.detach(), tiling)
        with torch.no_grad():
            totals, waist = _gathered(picture, target)
        leaves = [each.requires_grad_() for each in (*totals.values(), waist)]
        terms = self._weighted_by_name(image_bchw, totals | _behind(picture, waist, target))
        *pulls, smooth = torch.autograd.grad(terms[-1], [*leaves, image_bchw], materialize_grads=True)
        picture.hand_back()
        pull_of_waist = pulls.pop()
        gradient = torch.zeros_like(seen)
        for tile in picture.tiles:
            pixels = tile.seen(picture.pixels).clone().requires_grad_()
            features = picture.features(pixels)
            parts = _parts(picture, tile, features, target)
            asked = [*parts.values(), picture.own(tile, picture.waist, features)]
            by = [*pulls, picture.among(tile, picture.waist, pull_of_waist)]
            tile.seen(gradient).add_(torch.autograd.grad(asked, pixels, by)[0])
        image_bchw.grad = torch.autograd.grad(seen, image_bchw, gradient)[0] + smooth
        return terms.detach()

    def _weighted_by_name(self, image_bchw: Tensor, found: Parts) -> Tensor:
        return self._weighted(image_bchw, found[CONTENT], [found[tap] for tap in self._network.style_taps])

    def _weighted(self, image_bchw: Tensor, content: Tensor, grams: Sequence[Tensor]) -> Tensor:
        params = self._params
        content = self._content_weight * content
        style = self._style_weight * style_loss(grams, self._style_grams)
        smooth = params.tv_weight * tv_loss(image_bchw, self._metric)
        temporal = torch.zeros_like(style)
        if self._pull is not None:
            temporal = params.temporal_weight * temporal_loss(image_bchw, self._pull.image, self._pull.mask)
        return torch.stack([content, style, smooth, temporal, content + style + smooth + temporal])

    def _content_features_at(self, phase: Phase, tiling: Tiling | None = None) -> Tensor:
        if phase not in self._content_features:
            with torch.no_grad():
                seen, tap = framed(self._content, phase), self._network.content_tap
                features = (
                    self._network(seen, until=tap)[tap]
                    if tiling is None
                    else TiledPicture(self._network, seen, tiling).feature(tap)
                )
            self._content_features[phase] = features
        return self._content_features[phase]


CONTENT = "content"
"""The content loss, among Gram matrices by tap."""


def _gathered(picture: TiledPicture, target: Tensor) -> tuple[Parts, Tensor]:
    """The content loss and the Gram matrices of a picture's head, as far as they are its; and the waist."""
    return picture.gathered(picture.waist, lambda tile, features: _parts(picture, tile, features, target))


def _parts(picture: TiledPicture, tile: Tile, features: Mapping[str, Tensor], target: Tensor) -> Parts:
    """What a tile adds to them."""
    tap, parts = picture.network.content_tap, picture.gram_parts(tile, features)
    if tap in features:
        own, wanted = picture.own(tile, tap, features), picture.among(tile, tap, target)
        parts[CONTENT] = content_loss(own, wanted) * (energy(wanted) / energy(target))
    return parts


def _behind(picture: TiledPicture, waist_bchw: Tensor, target: Tensor) -> Parts:
    """Those of its tail."""
    tap, features = picture.network.content_tap, picture.behind(waist_bchw)
    found = picture.gram_matrices(features)
    return found | {CONTENT: content_loss(features[tap], target)} if tap in features else found
