"""Both backbones equal a plain reference, and weights are checked before they are used."""

from __future__ import annotations

import hashlib
from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import vgg19 as torchvision_vgg19

from farm.contract.errors import FarmError, WeightsMismatch
from farm.contract.params import Backbone
from farm.contract.spec import WEIGHTS_SHA256
from worker.engine import Network, backbones
from worker.engine.backbones.efficientnet_lite0 import BLOCKS, BN_EPS, folded
from worker.engine.backbones.weights import load_state

LITE0 = Backbone.EFFICIENTNET_LITE0


def unfolded_lite0(image: Tensor, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The network as trained: every batch-norm a step of its own."""

    def norm(x: Tensor, name: str) -> Tensor:
        mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
        return functional.batch_norm(x, mean, var, state[f"{name}.weight"], state[f"{name}.bias"], eps=BN_EPS)

    x = (image * 255 - 127) / 128
    x = functional.relu6(norm(functional.conv2d(x, state["_conv_stem.weight"], stride=2, padding=1), "_bn0"))
    features = {"stem": x}
    for i, block in enumerate(BLOCKS):
        name, before = f"_blocks.{i}", x
        if block.expansion > 1:
            x = functional.relu6(norm(functional.conv2d(x, state[f"{name}._expand_conv.weight"]), f"{name}._bn0"))
        deep, half = state[f"{name}._depthwise_conv.weight"], block.kernel // 2
        x = functional.conv2d(x, deep, stride=block.stride, padding=half, groups=deep.shape[0])
        x = functional.relu6(norm(x, f"{name}._bn1"))
        x = norm(functional.conv2d(x, state[f"{name}._project_conv.weight"]), f"{name}._bn2")
        x = x + before if x.shape == before.shape else x
        features[f"block{i}"] = x
    return features


def random_image(height: int, width: int) -> Tensor:
    return torch.rand((1, 3, height, width), generator=torch.Generator().manual_seed(3))


def test_the_folded_network_equals_the_unfolded_one(network: Network) -> None:
    image = random_image(64, 80)
    wanted = unfolded_lite0(image, dict(load_state(LITE0, WEIGHTS_SHA256[LITE0])))
    features = network(image)
    assert set(features) == {"stem", "block0", "block2", "block4", "block7", "block10"}
    for tap, feature in features.items():
        torch.testing.assert_close(feature, wanted[tap], rtol=1e-3, atol=1e-3)


def test_folding_scales_and_shifts_as_the_batch_norm_does() -> None:
    # (2·x − 1) / √(3 + 1) · 4 + 5  =  4·x + 3
    one = torch.ones(1)
    weight, bias = folded(2 * torch.ones(1, 1, 1, 1), 4 * one, 5 * one, one, 3 * one, eps=1.0)
    assert weight.item() == pytest.approx(4.0)
    assert bias.item() == pytest.approx(3.0)


def test_the_taps_have_the_strides_of_the_paper(network: Network) -> None:
    shapes = {tap: tuple(feature.shape[1:]) for tap, feature in network(random_image(64, 96)).items()}
    assert shapes == {
        "stem": (32, 32, 48),
        "block0": (16, 32, 48),
        "block2": (24, 16, 24),
        "block4": (40, 8, 12),
        "block7": (80, 4, 6),
        "block10": (112, 4, 6),
    }


def test_up_to_a_tap_its_features_are_those_of_the_whole_walk(network: Network) -> None:
    image = torch.rand((1, 3, 64, 96), generator=torch.Generator().manual_seed(1))
    part, whole = network(image, until=network.content_tap), network(image)
    assert list(part) == list(whole)[: list(whole).index(network.content_tap) + 1]
    assert all(torch.equal(part[tap], whole[tap]) for tap in part)


def test_only_the_image_receives_gradients(network: Network) -> None:
    image = random_image(32, 32).requires_grad_()
    network(image)["block4"].sum().backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not any(weight.requires_grad for weight in network.parameters())


def small_network() -> Network:
    torch.manual_seed(2)
    stages = [
        ("one", nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6())),
        ("two", nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU6())),
    ]
    return Network(stages, style_taps=("one", "two"), content_tap="one", mean=(0.4,) * 3, std=(0.2,) * 3)


def gradient(network: Network, image: Tensor) -> Tensor:
    pixels = image.clone().requires_grad_()
    torch.stack([feature.square().sum() for feature in network(pixels).values()]).sum().backward()
    assert pixels.grad is not None
    return pixels.grad


def test_a_compiled_network_has_the_same_gradient_at_any_size_from_one_compilation() -> None:
    plain, compiled = small_network(), backbones.warmed(small_network().compiled())
    made = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert made > 0
    for height, width in ((48, 80), (80, 48), (33, 65)):
        image = random_image(height, width)
        torch.testing.assert_close(gradient(compiled, image), gradient(plain, image), rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        image = random_image(40, 56)
        assert torch.equal(compiled(image)["two"], plain(image)["two"])  # not compiled at all
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == made


def test_a_compiler_that_is_missing_is_said_with_its_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch._inductor.config.cpp.cxx", ("/nowhere/g++",))
    monkeypatch.setattr("torch._inductor.config.force_disable_caches", True)
    network = small_network()
    network.stages[0][0].stride = (1, 1)  # another graph than any that was compiled before
    with pytest.raises(FarmError, match=r"FARM_COMPILE=on: torch can't compile on cpu: .*; install g\+\+") as caught:
        backbones.warmed(network.compiled())
    assert "\n" not in str(caught.value)


def test_no_memory_for_the_first_step_is_not_blamed_on_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_image: Tensor) -> dict[str, Tensor]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    network = small_network()
    monkeypatch.setattr(network, "forward", full)
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        backbones.warmed(network)


@pytest.fixture(scope="module")
def vgg_dir(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, nn.Module, str]:
    """A folder with seeded random VGG-19 weights, torchvision's own network holding them, and the file's SHA-256."""
    torch.manual_seed(11)
    reference = torchvision_vgg19(weights=None, init_weights=False).features[:30].eval()
    folder = tmp_path_factory.mktemp("weights")
    path = folder / "vgg19-dcbb9e9d.pth"
    torch.save({f"features.{name}": weight for name, weight in reference.state_dict().items()}, path)
    return folder, reference, hashlib.sha256(path.read_bytes()).hexdigest()


def test_vgg19_equals_torchvisions_with_average_pooling(vgg_dir: tuple[Path, nn.Module, str]) -> None:
    folder, reference, sha256 = vgg_dir
    network = backbones.load(Backbone.VGG19, sha256[:8], "cpu", folder)
    image = random_image(32, 48)
    features = network(image)
    x = (image - torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(
        1, 3, 1, 1
    )
    wanted = []
    with torch.no_grad():
        for layer in reference:
            x = functional.avg_pool2d(x, 2) if isinstance(layer, nn.MaxPool2d) else layer(x)
            wanted.append(x.clone())
    places = {"relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20, "relu4_2": 22, "relu5_1": 29}
    assert set(features) == set(places)
    for tap, place in places.items():
        torch.testing.assert_close(features[tap], wanted[place], rtol=1e-4, atol=1e-5)


def test_other_weights_than_the_specs_are_refused(vgg_dir: tuple[Path, nn.Module, str]) -> None:
    folder, _, sha256 = vgg_dir
    with pytest.raises(WeightsMismatch, match="dcbb9e9d") as caught:
        backbones.load(Backbone.VGG19, "dcbb9e9d", "cpu", folder)
    assert caught.value.found == sha256
    assert caught.value.wanted == "dcbb9e9d"


def test_an_empty_expectation_is_refused() -> None:
    with pytest.raises(WeightsMismatch, match="none"):
        backbones.load(LITE0, "", "cpu")


def test_a_file_that_holds_no_weights_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "vgg19-dcbb9e9d.pth"
    path.write_bytes(b"not a state dict")
    with pytest.raises(WeightsMismatch, match="can't be read") as caught:
        backbones.load(Backbone.VGG19, hashlib.sha256(path.read_bytes()).hexdigest(), "cpu", tmp_path)
    assert "\n" not in str(caught.value)


def test_missing_weights_that_can_not_be_downloaded_name_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsMismatch, match="FARM_WEIGHTS_DIR") as caught:
        backbones.load(Backbone.VGG19, "dcbb9e9d", "cpu", tmp_path)
    assert "\n" not in str(caught.value)


def test_the_installed_weights_are_those_the_spec_names() -> None:
    assert backbones.weights_sha256(LITE0) == WEIGHTS_SHA256[LITE0]


def test_weights_that_are_not_here_have_no_sha256(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert backbones.weights_sha256(Backbone.VGG19, tmp_path) is None
