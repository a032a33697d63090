"""A picture painted in tiles is the picture painted whole, and takes no more memory than it may."""

from __future__ import annotations

import logging
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.step import vgg19_state
from farm.contract.params import Backbone, Params
from farm.contract.spec import WEIGHTS_SHA256
from worker.engine import Frame, Network, Painter, backbones
from worker.engine.backbones.vgg19 import vgg19
from worker.engine.losses import Phase, framed, style_grams
from worker.engine.memory import Memory, always_bytes, head_bytes_px, planned_bytes, smallest, tail_bytes_px
from worker.engine.objective import Objective, Pull
from worker.engine.tiling import TiledPicture, Tiling, cuts, reach, seen_px, tiles

SIZE_HW = (43, 101)  # no multiple of any stride


class Tiles(Memory):
    """A plan with one way to cut a picture."""

    def __init__(self, tiling: Tiling | None) -> None:
        super().__init__()
        self._tiling = tiling

    def tiling(self, network: Network, size_hw: tuple[int, int]) -> Tiling | None:
        return self._tiling


@pytest.fixture(scope="module", params=["efficientnet_lite0", "vgg19"])
def backbone(request: pytest.FixtureRequest, network: Network) -> Network:
    return network if request.param == "efficientnet_lite0" else vgg19(vgg19_state())


CUTS = range(5)
"""The ways to part a backbone in stages that see tiles and stages that see the whole; in the last there are none."""


def tiling_of(backbone: Network, cut: int) -> Tiling:
    """Tiles as small as that cut allows, or nearly: oneDNN rounds otherwise in tiles of less than 32 px."""
    stages = cuts(backbone)[cut]
    return Tiling(max(32, 2 * reach(backbone, stages).grid_px), stages)


def picture(size_hw: tuple[int, int], seed: int, channels: int = 3) -> Tensor:
    values = np.random.default_rng(seed).random((1, channels, *size_hw), dtype=np.float32)
    return torch.from_numpy(values)


def objective(network: Network, tiling: Tiling | None, channels: int = 3) -> Objective:
    grams = [gram.detach() for gram in style_grams(network, network(framed(picture((64, 64), 5))))]
    pull = Pull(picture(SIZE_HW, 2, channels), torch.full((1, 1, *SIZE_HW), 0.5))
    content = picture(SIZE_HW, 1, channels)
    return Objective(network, Params(), style_grams=grams, content_bchw=content, pull=pull, memory=Tiles(tiling))


def test_every_backbone_can_be_cut_in_as_many_ways(backbone: Network) -> None:
    assert len(cuts(backbone)) == len(CUTS)
    assert cuts(backbone)[-1] == len(backbone.names)


@pytest.mark.parametrize(
    ("phase", "channels", "cut"),
    [((0, 0), 3, 2), ((0, 1), 1, 4), ((1, 1), 3, 0), ((1, 1), 3, 1), ((1, 1), 3, 3)],
)
def test_the_gradient_in_tiles_is_that_of_the_whole(backbone: Network, phase: Phase, channels: int, cut: int) -> None:
    image = picture(SIZE_HW, 3, channels).requires_grad_()
    terms = objective(backbone, None, channels).descend(image, phase)
    gradient = image.grad
    assert gradient is not None
    tiled = objective(backbone, tiling_of(backbone, cut), channels)
    torch.testing.assert_close(tiled.descend(image, phase), terms, rtol=1e-5, atol=1e-7)
    assert image.grad is not None
    assert (image.grad - gradient).abs().max() <= 1e-5 * gradient.abs().max()
    torch.testing.assert_close(tiled.terms(image.detach(), phase), terms, rtol=1e-5, atol=1e-7)


def test_a_network_in_bfloat16_can_be_cut_too() -> None:
    lite0 = Backbone.EFFICIENTNET_LITE0
    lowered = backbones.load(lite0, WEIGHTS_SHA256[lite0], "cpu").lowered()
    image = picture(SIZE_HW, 3).requires_grad_()
    terms = objective(lowered, None).descend(image)
    gradient = image.grad
    assert gradient is not None
    torch.testing.assert_close(objective(lowered, tiling_of(lowered, 1)).descend(image), terms, rtol=1e-2, atol=1e-7)
    assert image.grad is not None
    assert torch.cosine_similarity(image.grad.flatten(), gradient.flatten(), dim=0) > 0.99


def test_tiles_cover_the_picture_once_and_see_as_far_as_the_network_does(backbone: Network) -> None:
    far = reach(backbone, len(backbone.names))
    seen = np.zeros(SIZE_HW, int)
    for tile in tiles(SIZE_HW, 48, far):
        rows, columns = tile.rows, tile.columns
        seen[rows.start : rows.stop, columns.start : columns.stop] += 1
        for span, side in ((rows, SIZE_HW[0]), (columns, SIZE_HW[1])):
            assert span.start % far.grid_px == 0
            assert span.stop - span.start <= 48
            assert span.outer_start == max(0, span.start - far.halo_px)
            assert span.outer_stop == min(side, span.stop + far.halo_px)
    assert (seen == 1).all()


@pytest.mark.parametrize("cut", CUTS)
def test_the_halo_is_as_wide_as_the_network_sees(backbone: Network, cut: int) -> None:
    """A change of one pixel reaches no feature further away than that, and some nearly so far."""
    stages = cuts(backbone)[cut]
    far = reach(backbone, stages)
    image = picture((33, 2 * far.halo_px + 65), 1).requires_grad_()
    tap = max(far.strides, key=lambda name: (far.strides[name], name))
    feature = backbone.head(image, stages)[tap]
    middle = feature.shape[-1] // 2
    feature[..., middle].square().sum().backward()
    assert image.grad is not None
    columns = image.grad.abs().sum(dim=(0, 1, 2)).nonzero().flatten()
    stride = far.strides[tap]
    reached = max(middle * stride - int(columns.min()), int(columns.max()) - (middle + 1) * stride + 1)
    assert far.halo_px / 3 < reached <= far.halo_px


@pytest.mark.parametrize("cut", CUTS)
def test_the_style_in_tiles_has_the_same_gram_matrices(backbone: Network, cut: int) -> None:
    seen = picture(SIZE_HW, 4)
    with torch.no_grad():
        wanted = style_grams(backbone, backbone(seen))
        for gram, whole in zip(TiledPicture(backbone, seen, tiling_of(backbone, cut)).grams(), wanted, strict=True):
            assert (gram - whole).abs().max() <= 1e-5 * whole.abs().max()


def test_a_limit_asks_for_tiles_that_fit_it_and_none_without_need(network: Network) -> None:
    size_hw = (1080, 1920)
    whole_bytes, fixed_bytes = planned_bytes(network, size_hw, None), always_bytes(network, size_hw)
    assert Memory().tiling(network, size_hw) is None
    assert Memory(math.ceil(whole_bytes)).tiling(network, size_hw) is None
    limits = [int(fixed_bytes + share * (whole_bytes - fixed_bytes)) for share in (0.9, 0.5, 0.25, 0.1)]
    found = [Memory(limit).tiling(network, size_hw) for limit in limits]
    for limit, tiling in zip(limits, found, strict=True):
        assert tiling is not None
        assert planned_bytes(network, size_hw, tiling) <= limit
    stages = [tiling.stages for tiling in found if tiling]
    assert stages == sorted(stages)  # what is computed again grows
    assert stages[0] < stages[-1] == len(network.names)


def test_half_of_the_memory_costs_little(backbone: Network) -> None:
    """Of the stages that see tiles each pixel is computed once more, and hardly any twice more."""
    size_hw = (1080, 1920)
    half = (planned_bytes(backbone, size_hw, None) + always_bytes(backbone, size_hw)) / 2
    tiling = Memory(int(half)).tiling(backbone, size_hw)
    assert tiling is not None
    assert tiling.stages < len(backbone.names) / 2
    _, seen = seen_px(size_hw, tiling.tile_px, reach(backbone, tiling.stages))
    assert seen < 1.1 * 1080 * 1920


def test_a_limit_that_no_tiles_keep_is_said_once(network: Network, caplog: pytest.LogCaptureFixture) -> None:
    last = smallest(network, (1080, 1920))
    least = planned_bytes(network, (1080, 1920), last)
    memory = Memory(int(0.9 * least))
    with caplog.at_level(logging.WARNING):
        assert [memory.tiling(network, (1080, 1920)) for _ in range(2)] == [last, last]
    assert len(caplog.records) == 1
    assert f"1920×1080 px take {least / 2**20:.0f} MiB" in caplog.text
    assert Memory(math.ceil(least)).tiling(network, (1080, 1920)) == last
    assert len(caplog.records) == 1  # that one it keeps


class Scarce(torch.nn.Module):
    """A network on a device without memory to keep more than so many bytes for the way back."""

    def __init__(self, network: Network, most_bytes: float) -> None:
        super().__init__()
        self.network, self.most_bytes, self.held = network, most_bytes, list[float]()

    def __getattr__(self, name: str) -> object:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("network"), name)

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        self.hold(head_bytes_px(self.network, len(self.network.names)), image)
        features: dict[str, Tensor] = self.network(image)
        return features

    def head(self, image: Tensor, stages: int) -> dict[str, Tensor]:
        self.hold(head_bytes_px(self.network, stages), image)
        return self.network.head(image, stages)

    def tail(self, waist: Tensor, stages: int, until: str | None = None) -> dict[str, Tensor]:
        stride = max(reach(self.network, stages).strides.values())
        self.hold(stride**2 * tail_bytes_px(self.network, stages), waist)
        return self.network.tail(waist, stages, until)

    def hold(self, bytes_px: float, x: Tensor) -> None:
        if torch.is_grad_enabled():
            asked = bytes_px * x.shape[-1] * x.shape[-2]
            if asked > self.most_bytes:
                raise torch.OutOfMemoryError("CUDA out of memory")
            self.held.append(asked)


@pytest.mark.parametrize("share", [0.8, 0.5, 0.3])
def test_where_memory_runs_out_the_frame_is_painted_on_in_smaller_tiles(
    network: Network, stripes: Frame, caplog: pytest.LogCaptureFixture, share: float
) -> None:
    size_hw, style = (24, 640), stripes[:4]
    content = np.random.default_rng(0).integers(0, 256, (*size_hw, 3), dtype=np.uint8)
    params = replace(Params(), steps=2, pyramid=1)
    whole = Painter(network, params, style, size_hw=size_hw, device="cpu").paint_still(content)
    scarce = Scarce(network, math.inf)
    planned = {planned_bytes(scarce, SEEN_HW, Tiling(64, stages)) for stages in cuts(network)}  # type: ignore[arg-type]
    assert len(planned) == len(CUTS)  # counted, which takes more than it has left
    scarce.most_bytes = share * (planned_bytes(network, SEEN_HW, None) - always_bytes(network, SEEN_HW))
    scarce.held.clear()
    with caplog.at_level(logging.WARNING):
        tiled = Painter(scarce, params, style, size_hw=size_hw, device="cpu").paint_still(content)  # type: ignore[arg-type]
    assert np.abs(whole.frame.astype(int) - tiled.frame).max() <= 1
    assert 0 < max(scarce.held) <= scarce.most_bytes
    assert "in tiles of" in caplog.text


SEEN_HW = (24 + 32, 640 + 32)
"""That picture with its margin."""


def test_where_no_tile_is_small_enough_the_error_stands(network: Network, stripes: Frame) -> None:
    content = np.zeros((64, 96, 3), np.uint8)
    with pytest.raises(torch.OutOfMemoryError):
        Painter(Scarce(network, 1e6), Params(), stripes, size_hw=(64, 96), device="cpu").paint_still(content)  # type: ignore[arg-type]


def test_other_errors_are_not_tried_again(network: Network) -> None:
    calls: list[int] = []

    def fails() -> Tensor:
        calls.append(1)
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes"):
        Memory().within(network, (32, 32), fails, lambda _: fails())
    assert calls == [1]


PEAK = """
import re, resource, sys
import torch
torch.set_num_threads(1)
from farm.contract.params import Backbone, Params
from farm.contract.spec import WEIGHTS_SHA256
from tests.unit.worker.engine.test_tiling import picture
from worker.engine import backbones
from worker.engine.losses import framed, style_grams
from worker.engine.memory import Memory, planned_bytes
from worker.engine.objective import Objective

lite0, limit = Backbone.EFFICIENTNET_LITE0, int(sys.argv[1])
network = backbones.load(lite0, WEIGHTS_SHA256[lite0], "cpu")
size_hw = (32, 9000)
grams = [gram.detach() for gram in style_grams(network, network(framed(picture((32, 32), 5))))]
image = picture(size_hw, 3).requires_grad_()
planned_bytes(network, size_hw, None)  # what that counts, it counts once
memory = Memory(limit or None)
work = Objective(network, Params(), style_grams=grams, content_bchw=picture(size_hw, 1), memory=memory)


def peak():
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1])


before = peak()
if len(sys.argv) > 2:  # as a machine without more
    pages = int(open("/proc/self/statm").read().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + int(sys.argv[2]), resource.RLIM_INFINITY))
work.descend(image)
print(peak() - before)
"""


def peak_bytes(*arguments: int) -> tuple[int, str]:
    """What one step takes in a process of its own, and what that says."""
    command = [sys.executable, "-c", PEAK, *map(str, arguments)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    return int(ended.stdout), ended.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as Linux does")
def test_a_limit_of_memory_is_kept() -> None:
    limit = 150 << 20
    whole, _ = peak_bytes(0)
    limited, _ = peak_bytes(limit)
    assert whole > 1.1 * limit  # else this shows nothing
    assert limited <= limit


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited and measured as Linux does")
def test_a_machine_without_memory_for_the_whole_paints_in_tiles() -> None:
    _, said = peak_bytes(0, 300 << 20)
    assert "in tiles of" in said
