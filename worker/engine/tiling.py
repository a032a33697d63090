"""A picture in tiles: where each begins and ends, and how much around it a network must see.

A network's feature depends on a bounded square of pixels. A tile with a halo as wide as that square's reach, its edges
on the network's grid, gives the very features the whole picture gives there; at the picture's own borders the network
pads a tile as it pads the picture. Most of what a network makes of a picture it makes in its first stages, which see
next to nothing around a tile: where only these see tiles, and those behind them the whole, halos hardly cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from worker.engine.backbones import Network
from worker.engine.backbones.winograd import OUT, ConvReLU
from worker.engine.losses import gram_matrix, gram_of_part, places_of
from worker.engine.pixels import SizeHW
from worker.heap import hand_back


@dataclass(frozen=True, slots=True)
class Tiling:
    """The first `stages` of a network see a picture in tiles, no side of one above `tile_px`; the others the whole."""

    tile_px: int
    stages: int


@dataclass(frozen=True, slots=True)
class Reach:
    """How the features of a network's first stages lie on the picture."""

    strides: Mapping[str, int]  # px from one feature to the next, by the names of `Network.head`
    grid_px: int  # a tile's edges lie on its multiples, which are multiples of the coarsest feature's stride
    halo_px: int  # a multiple of it: as far around a tile as any of its features sees


@dataclass(frozen=True, slots=True)
class Span:
    """One axis of a tile, in px: `[start, stop)` is its own, `[outer_start, outer_stop)` what the network must see."""

    start: int
    stop: int
    outer_start: int
    outer_stop: int
    last: bool  # it ends where the picture does

    def within(self, stride: int, count: int) -> slice:
        """The tile's own features among the `count` of all it sees, of a tap of that stride."""
        begin = (self.start - self.outer_start) // stride
        return slice(begin, count if self.last else begin + (self.stop - self.start) // stride)


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the picture."""

    rows: Span
    columns: Span

    def seen(self, image_bchw: Tensor) -> Tensor:
        """What the network must see of the picture: the tile and its halo."""
        rows, columns = self.rows, self.columns
        return image_bchw[..., rows.outer_start : rows.outer_stop, columns.outer_start : columns.outer_stop]

    def own(self, features_bchw: Tensor, stride: int) -> tuple[slice, slice]:
        """Rows and columns of the tile's own features among those of `seen`."""
        height, width = features_bchw.shape[2:]
        return self.rows.within(stride, height), self.columns.within(stride, width)

    def among(self, features_bchw: Tensor, stride: int) -> Tensor:
        """The tile's features among those of the whole picture."""
        rows, columns = (
            slice(span.start // stride, None if span.last else span.stop // stride)
            for span in (self.rows, self.columns)
        )
        return features_bchw[..., rows, columns]


TILES_BETWEEN = 4
"""After so many tiles on a CPU, and after the last, what is free goes back to the system. Each leaves gaps that the
next does not fill: without this the heap grows to several times what a tile takes. After every one it would cost a
third of the time."""


Parts = dict[str, Tensor]
"""What a tile adds to sums over the picture, by name."""


class TiledPicture:
    """A picture, `(1, C, H, W)`, whose tiles the first stages of a network see: its head, and its tail the whole.

    `waist`: the name of the head's last stage, whose feature is all that the tail sees.
    """

    def __init__(self, network: Network, pixels_bchw: Tensor, tiling: Tiling) -> None:
        self.network = network
        self.pixels = pixels_bchw
        self.reach = reach(network, tiling.stages)
        self.waist = network.names[tiling.stages - 1]
        self.tiles = list(tiles((pixels_bchw.shape[-2], pixels_bchw.shape[-1]), tiling.tile_px, self.reach))
        self._stages = tiling.stages
        self._seen = 0  # tiles looked at

    def features(self, seen_bchw: Tensor) -> dict[str, Tensor]:
        """The features of the head's taps and the waist, from a tile's pixels with the halo."""
        self._seen += 1
        if self._seen % TILES_BETWEEN == 0:
            self.hand_back()
        return self.network.head(seen_bchw, self._stages)

    def own(self, tile: Tile, name: str, features: Mapping[str, Tensor]) -> Tensor:
        """What of one of these features is the tile's own."""
        rows, columns = tile.own(features[name], self.reach.strides[name])
        return features[name][..., rows, columns]

    def among(self, tile: Tile, name: str, whole_bchw: Tensor) -> Tensor:
        """What of such a feature of the whole picture is the tile's."""
        return tile.among(whole_bchw, self.reach.strides[name])

    def gram_parts(self, tile: Tile, features: Mapping[str, Tensor]) -> Parts:
        """What a tile adds to the Gram matrix of each style tap of the head."""
        found: Parts = {}
        for tap in self.network.style_taps:
            if tap in features:
                part = tile.own(features[tap], self.reach.strides[tap])
                found[tap] = gram_of_part(features[tap], part) * (places_of(part) / math.prod(self._size_hw(tap)))
        return found

    def gathered(self, name: str, parts: Callable[[Tile, dict[str, Tensor]], Parts]) -> tuple[Parts, Tensor]:
        """The sums of what the tiles add, and a whole feature of the head; needs no gradient."""
        totals: Parts = {}
        whole: Tensor | None = None
        for tile in self.tiles:
            features = self.features(tile.seen(self.pixels))
            for part, value in parts(tile, features).items():
                totals[part] = totals[part].add_(value) if part in totals else value
            if whole is None:
                whole = self._empty(name, features[name])
            self.among(tile, name, whole).copy_(self.own(tile, name, features))
        assert whole is not None  # a picture has tiles
        self.hand_back()
        return totals, whole

    def behind(self, waist_bchw: Tensor, until: str | None = None) -> dict[str, Tensor]:
        """The features of the tail's taps, by tap."""
        return self.network.tail(waist_bchw, self._stages, until)

    def gram_matrices(self, features: Mapping[str, Tensor]) -> Parts:
        """The Gram matrix of each style tap among whole features."""
        return {tap: gram_matrix(features[tap]) for tap in self.network.style_taps if tap in features}

    def grams(self) -> list[Tensor]:
        """The Gram matrix of each style tap."""
        found, waist = self.gathered(self.waist, self.gram_parts)
        found |= self.gram_matrices(self.behind(waist))
        return [found[tap] for tap in self.network.style_taps]

    def feature(self, tap: str) -> Tensor:
        """A tap's feature of the whole picture."""
        name = tap if tap in self.reach.strides else self.waist
        _, whole = self.gathered(name, lambda _, __: {})
        return whole if name == tap else self.behind(whole, until=tap)[tap]

    def hand_back(self) -> None:
        """What is free of a CPU's memory goes back to the system."""
        if self.pixels.device.type == "cpu":
            hand_back()

    def _empty(self, name: str, like: Tensor) -> Tensor:
        shape = (1, like.shape[1], *self._size_hw(name))
        return torch.empty(shape, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)

    def _size_hw(self, name: str) -> SizeHW:
        """Of a feature of the whole picture."""
        height, width = (_count(self.network, name, side) for side in self.pixels.shape[-2:])
        return height, width


@lru_cache(maxsize=64)
def reach(network: Network, stages: int) -> Reach:
    """How the first of a network's convolutions and poolings in a row reach over the picture (Araujo et al. 2019).

    Ways around a layer, as a residual's, reach no further than the way through it. A layer that makes its features in
    blocks rounds each by all that the block sees.
    """
    windows = list(_windows(network, stages))
    strides, stride, grid = {}, 1, 1
    for name, window in windows:
        stride *= window.stride
        strides[name], grid = stride, math.lcm(grid, stride * window.block)
    before, after = 0, 0  # beyond what lies under the features asked for, which begin and end at the grid
    for _, window in reversed(windows):
        before, after = (-(-each // window.block) * window.block * window.stride for each in (before, after))
        before, after = before + window.padding, after + max(0, window.kernel - window.stride - window.padding)
    halo = -(-max(before, after) // grid) * grid
    kept = {*network.style_taps, network.content_tap, network.names[stages - 1]}
    return Reach({name: strides[name] for name in network.names[:stages] if name in kept}, grid, halo)


@lru_cache(maxsize=8)
def cuts(network: Network) -> tuple[int, ...]:
    """How many stages may see tiles: all, or up to one that strides, as little is kept of what it makes."""
    strides = dict.fromkeys(network.names, 1)
    for name, window in _windows(network, len(network.names)):
        strides[name] *= window.stride
    striding = [number for number, name in enumerate(network.names, start=1) if strides[name] > 1]
    return (*striding, len(network.names))


def tiles(size_hw: SizeHW, tile_px: int, reach: Reach) -> Iterator[Tile]:
    """The tiles of a picture, none with a side above `tile_px` and all nearly alike.

    `tile_px` is twice the grid's at least: the last tile has two of its steps then, and some of each feature.
    """
    height, width = size_hw
    for rows in _spans(height, tile_px, reach):
        for columns in _spans(width, tile_px, reach):
            yield Tile(rows, columns)


def seen_px(size_hw: SizeHW, tile_px: int, reach: Reach) -> tuple[int, int]:
    """Pixels of the largest tile with its halo, and of all tiles together."""
    sides = [[span.outer_stop - span.outer_start for span in _spans(length, tile_px, reach)] for length in size_hw]
    return math.prod(map(max, sides)), math.prod(map(sum, sides))


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


def _windows(network: Network, stages: int) -> Iterator[tuple[str, _Window]]:
    """The convolutions and poolings of a network's first stages in order, each with the name of its stage."""
    for name, stage in zip(network.names[:stages], network.stages, strict=False):
        block = OUT if isinstance(stage, ConvReLU) and stage.by_winograd else 1
        for layer in stage.modules():
            if isinstance(layer, nn.Conv2d | nn.AvgPool2d):
                numbers = (getattr(layer, what) for what in ("kernel_size", "stride", "padding"))
                kernel, stride, padding = (int(each[0] if isinstance(each, tuple) else each) for each in numbers)
                yield name, _Window(kernel, stride, padding, block)


def _count(network: Network, name: str, side_px: int) -> int:
    """Features of a stage along a side of the picture."""
    count = side_px
    for _, window in _windows(network, network.names.index(name) + 1):
        count = (count + 2 * window.padding - window.kernel) // window.stride + 1
    return count
