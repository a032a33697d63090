"""A picture in tiles: where each begins and ends, and how much around it a network must see.

A network's feature depends on a bounded square of pixels. A tile with a halo as wide as that square's reach, its edges
on the network's grid, gives the very features the whole picture gives there; at the picture's own borders the network
pads a tile as it pads the picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from worker.engine.backbones import Network
from worker.engine.backbones.winograd import OUT, ConvReLU
from worker.engine.losses import gram_matrix
from worker.engine.pixels import SizeHW
from worker.heap import hand_back


@dataclass(frozen=True, slots=True)
class Reach:
    """How a network's features lie on the picture."""

    strides: Mapping[str, int]  # px from one feature to the next, by tap
    grid_px: int  # a tile's edges lie on its multiples, which are multiples of the coarsest tap's stride
    halo_px: int  # a multiple of it: as far around a tile as any of its features sees


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile, in px: `[start, stop)` is its own, `[outer_start, outer_stop)` what the network must see."""

    start: int
    stop: int
    outer_start: int
    outer_stop: int
    last: bool  # it ends where the picture does

    def within(self, stride: int) -> slice:
        """The tile's own features among those of all it sees, of a tap of that stride."""
        begin = (self.start - self.outer_start) // stride
        return slice(begin, None if self.last else begin + (self.stop - self.start) // stride)


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the picture."""

    rows: Span
    columns: Span

    def seen(self, image_bchw: Tensor) -> Tensor:
        """What the network must see of the picture: the tile and its halo."""
        rows, columns = self.rows, self.columns
        return image_bchw[..., rows.outer_start : rows.outer_stop, columns.outer_start : columns.outer_stop]

    def own(self, features_bchw: Tensor, stride: int) -> Tensor:
        """The tile's own features among those of `seen`."""
        return features_bchw[..., self.rows.within(stride), self.columns.within(stride)]

    def among(self, features_bchw: Tensor, stride: int) -> Tensor:
        """The tile's features among those of the whole picture."""
        rows, columns = (
            slice(span.start // stride, None if span.last else span.stop // stride)
            for span in (self.rows, self.columns)
        )
        return features_bchw[..., rows, columns]

    @property
    def seen_px(self) -> int:
        """Pixels of the tile and its halo."""
        return (self.rows.outer_stop - self.rows.outer_start) * (self.columns.outer_stop - self.columns.outer_start)


TILES_BETWEEN = 4
"""After so many tiles on a CPU what is free goes back to the system. Each tile leaves gaps that the next does not fill:
without this the heap grows to several times what a tile takes. After every one it would cost a third of the time."""


class TiledPicture:
    """A picture, `(1, C, H, W)`, that a network sees tile by tile."""

    def __init__(self, network: Network, pixels_bchw: Tensor, tile_px: int) -> None:
        self.network = network
        self.pixels = pixels_bchw
        self.reach = reach(network)
        self._seen = 0  # tiles looked at
        self.tiles = list(tiles((pixels_bchw.shape[-2], pixels_bchw.shape[-1]), tile_px, self.reach))

    def own_features(self, tile: Tile, seen_bchw: Tensor) -> dict[str, Tensor]:
        """The features of a tile, by tap, from its pixels with the halo."""
        self._seen += 1
        if self._seen % TILES_BETWEEN == 0 and seen_bchw.device.type == "cpu":
            hand_back()
        features = self.network(seen_bchw)
        return {tap: tile.own(features[tap], stride) for tap, stride in self.reach.strides.items()}

    def own(self, tile: Tile, tap: str, feature_bchw: Tensor) -> Tensor:
        """The part of a tap's whole feature that is a tile's."""
        return tile.among(feature_bchw, self.reach.strides[tap])

    def gram_parts(self, own_features: Mapping[str, Tensor]) -> list[Tensor]:
        """What a tile adds to the Gram matrix of each style tap."""
        taps = self.network.style_taps
        return [gram_matrix(own_features[tap]) * (own_features[tap][0, 0].numel() / self._places(tap)) for tap in taps]

    def grams(self) -> list[Tensor]:
        """The Gram matrix of each style tap."""
        return summed(self.gram_parts(self.own_features(tile, tile.seen(self.pixels))) for tile in self.tiles)

    def feature(self, tap: str) -> Tensor:
        """A tap's feature of the whole picture."""
        rows: dict[int, list[Tensor]] = {}
        for tile in self.tiles:
            own = self.own_features(tile, tile.seen(self.pixels))[tap].clone()
            rows.setdefault(tile.rows.start, []).append(own)
        return torch.cat([torch.cat(row, dim=3) for row in rows.values()], dim=2)

    def _places(self, tap: str) -> int:
        return math.prod(_count(self.network, tap, side) for side in self.pixels.shape[-2:])


def summed(parts_by_tile: Iterable[list[Tensor]]) -> list[Tensor]:
    """The sum over the tiles of each of their parts; needs no gradient."""
    each = iter(parts_by_tile)
    totals = next(each)
    for parts in each:
        for total, part in zip(totals, parts, strict=True):
            total.add_(part)
    return totals


@lru_cache(maxsize=8)
def reach(network: Network) -> Reach:
    """How a network of convolutions and poolings in a row reaches over the picture (Araujo et al. 2019).

    Ways around a layer, as a residual's, reach no further than the way through it. A layer that makes its features in
    blocks rounds each by all that the block sees.
    """
    windows = list(_windows(network))
    strides, stride, grid = {}, 1, 1
    for name, window in windows:
        stride *= window.stride
        strides[name], grid = stride, math.lcm(grid, stride * window.block)
    before, after = 0, 0  # beyond what lies under the features asked for, which begin and end at the grid
    for _, window in reversed(windows):
        before, after = (-(-each // window.block) * window.block * window.stride for each in (before, after))
        before, after = before + window.padding, after + max(0, window.kernel - window.stride - window.padding)
    halo = -(-max(before, after) // grid) * grid
    return Reach({tap: strides[tap] for tap in (*network.style_taps, network.content_tap)}, grid, halo)


def tiles(size_hw: SizeHW, tile_px: int, reach: Reach) -> Iterator[Tile]:
    """The tiles of a picture, none with a side above `tile_px` (at least the grid's) and all nearly alike."""
    height, width = size_hw
    for rows in _spans(height, tile_px, reach):
        for columns in _spans(width, tile_px, reach):
            yield Tile(rows, columns)


def _spans(length: int, tile_px: int, reach: Reach) -> Iterator[Span]:
    cells = -(-length // reach.grid_px)
    count = -(-cells // max(1, tile_px // reach.grid_px))
    edges = [min(length, cells * part // count * reach.grid_px) for part in range(count + 1)]
    for start, stop in pairwise(edges):
        outer_start, outer_stop = max(0, start - reach.halo_px), min(length, stop + reach.halo_px)
        yield Span(start, stop, outer_start, outer_stop, last=stop == length)


class _Window(NamedTuple):
    """What a layer looks at, in its own input; the same in both directions."""

    kernel: int
    stride: int
    padding: int
    block: int  # features that are made at once, along a side


def _windows(network: Network) -> Iterator[tuple[str, _Window]]:
    """The convolutions and poolings of a network in order, each with the name of its stage."""
    for name, stage in zip(network.names, network.stages, strict=True):
        block = OUT if isinstance(stage, ConvReLU) and stage.by_winograd else 1
        for layer in stage.modules():
            if isinstance(layer, nn.Conv2d | nn.AvgPool2d):
                numbers = (getattr(layer, what) for what in ("kernel_size", "stride", "padding"))
                kernel, stride, padding = (int(each[0] if isinstance(each, tuple) else each) for each in numbers)
                yield name, _Window(kernel, stride, padding, block)


def _count(network: Network, tap: str, side_px: int) -> int:
    """Features of a tap along a side of the picture."""
    count, found = side_px, side_px
    for name, window in _windows(network):
        count = (count + 2 * window.padding - window.kernel) // window.stride + 1
        found = count if name == tap else found
    return found
