"""The weighted losses of one picture at one size, and their gradient: of the picture whole, or tile by tile.

By tiles it is the same gradient. A Gram matrix is a sum over places, so a first pass over the tiles adds up the whole
picture's. How the style loss changes with each Gram matrix is then known, and a second pass takes from each tile what
that, and the content loss, ask of its pixels. The network runs forward twice, and keeps one tile for the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from worker.engine.tiling import Tile, TiledPicture, summed


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
                lambda tile_px: self._in_tiles(image_bchw, phase, tile_px),
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
            lambda tile_px: self._descend_in_tiles(image_bchw, phase, tile_px),
        )

    def _whole(self, image_bchw: Tensor, phase: Phase) -> Tensor:
        features = self._network(framed(image_bchw, phase))
        content = content_loss(features[self._network.content_tap], self._content_features_at(phase))
        return self._weighted(image_bchw, content, style_grams(self._network, features))

    def _in_tiles(self, image_bchw: Tensor, phase: Phase, tile_px: int) -> Tensor:
        """`_whole` without its gradient."""
        picture = TiledPicture(self._network, framed(image_bchw, phase), tile_px)
        content, *grams = _totals(picture, self._content_features_at(phase, tile_px))
        return self._weighted(image_bchw, content, grams)

    def _descend_in_tiles(self, image_bchw: Tensor, phase: Phase, tile_px: int) -> Tensor:
        seen, target = framed(image_bchw, phase), self._content_features_at(phase, tile_px)
        picture = TiledPicture(self._network, seen.detach(), tile_px)
        with torch.no_grad():
            totals = [total.requires_grad_() for total in _totals(picture, target)]
        terms = self._weighted(image_bchw, totals[0], totals[1:])
        *pulls, smooth = torch.autograd.grad(terms[-1], [*totals, image_bchw])
        gradient = torch.zeros_like(seen)
        for tile in picture.tiles:
            pixels = tile.seen(picture.pixels).clone().requires_grad_()
            parts = _parts(picture, tile, pixels, target)
            asked = [(pull * part).sum() for pull, part in zip(pulls, parts, strict=True)]
            tile.seen(gradient).add_(torch.autograd.grad(torch.stack(asked).sum(), pixels)[0])
        image_bchw.grad = torch.autograd.grad(seen, image_bchw, gradient)[0] + smooth
        return terms.detach()

    def _weighted(self, image_bchw: Tensor, content: Tensor, grams: Sequence[Tensor]) -> Tensor:
        params = self._params
        content = self._content_weight * content
        style = self._style_weight * style_loss(grams, self._style_grams)
        smooth = params.tv_weight * tv_loss(image_bchw, self._metric)
        temporal = torch.zeros_like(style)
        if self._pull is not None:
            temporal = params.temporal_weight * temporal_loss(image_bchw, self._pull.image, self._pull.mask)
        return torch.stack([content, style, smooth, temporal, content + style + smooth + temporal])

    def _content_features_at(self, phase: Phase, tile_px: int | None = None) -> Tensor:
        if phase not in self._content_features:
            with torch.no_grad():
                seen, tap = framed(self._content, phase), self._network.content_tap
                features = (
                    self._network(seen, until=tap)[tap]
                    if tile_px is None
                    else TiledPicture(self._network, seen, tile_px).feature(tap)
                )
            self._content_features[phase] = features
        return self._content_features[phase]


def _totals(picture: TiledPicture, target: Tensor) -> list[Tensor]:
    """The content loss and the Gram matrices of a picture."""
    return summed(_parts(picture, tile, tile.seen(picture.pixels), target) for tile in picture.tiles)


def _parts(picture: TiledPicture, tile: Tile, pixels_bchw: Tensor, target: Tensor) -> list[Tensor]:
    """What a tile adds to them; `pixels_bchw`: the tile with its halo."""
    tap, features = picture.network.content_tap, picture.own_features(tile, pixels_bchw)
    wanted = picture.own(tile, tap, target)
    content = content_loss(features[tap], wanted) * (energy(wanted) / energy(target))
    return [content, *picture.gram_parts(features)]
