"""The painting parameters: one frozen model with default, range and doc.

The CLI makes its flags from this model, the spec carries it, the engine reads it. A parameter is
declared here and nowhere else.
"""

from __future__ import annotations

from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from typing import Any

from farm.contract.errors import InvalidParameter


class Backbone(StrEnum):
    """The fixed network whose features define style and content."""

    EFFICIENTNET_LITE0 = "efficientnet_lite0"  # fast; its weights come with the installation
    VGG19 = "vgg19"  # the reference of Gatys et al.; weights from FARM_WEIGHTS_DIR or the torch cache


class Color(StrEnum):
    """Whose colours the film has."""

    STYLE = "style"  # the style's
    CONTENT = "content"  # the clip's own: light and shade are painted, the clip's chroma is laid over them
    MATCH = "match"  # the clip's, on the whole: the style is given the shot's mean and covariance before painting


class Optimizer(StrEnum):
    """What moves the pixels."""

    ADAM = "adam"
    LBFGS = "lbfgs"


class FlowMethod(StrEnum):
    """How motion between two source frames is estimated."""

    DIS = "dis"  # Kroeger et al. 2016, dense inverse search
    FARNEBACK = "farneback"  # Farnebäck 2003, polynomial expansion


class Coherence(StrEnum):
    """How a film painted in pieces is made to look painted in one."""

    BLEND = "blend"  # anchors, chunks painted towards each other, and the flow-blend over their boundaries: the best
    ANCHORS = "anchors"  # the same without the flow-blend
    SEQUENTIAL = "sequential"  # no boundaries: every shot is one chunk, one frame after another
    OFF = "off"  # chunks painted independently: what a farm without anchors gives
    LEGACY = "legacy"  # Eidnes 2015: every frame painted by itself, a little of the carried last one mixed in


def _param(default: object, doc: str, low: float | None = None, high: float | None = None) -> Any:
    return field(default=default, metadata={"doc": doc, "low": low, "high": high})


@dataclass(frozen=True, slots=True)
class Params:
    """How a job is painted. Every field has a default, a range and a doc (see `describe`)."""

    backbone: Backbone = _param(Backbone.EFFICIENTNET_LITE0, "Network whose features define style and content.")
    optimizer: Optimizer = _param(Optimizer.ADAM, "Optimiser of the pixels.")
    steps: int = _param(480, "Steps per pyramid level of a shot's first frame.", 1, 5000)
    steps_anchor: int = _param(
        48, "Steps of an anchor, at the end of its lead-in; half as many again after a long way.", 1, 5000
    )
    steps_next: int = _param(
        24,
        "Steps of a frame that follows a painted one; newly seen places get more, and frames after an anchor.",
        0,
        5000,
    )
    steps_settle: int = _param(
        20, "Most steps of a frame that a boundary's blend changed, by how much of it; 0 leaves it as mixed.", 0, 5000
    )
    pyramid: int = _param(6, "Most levels of the coarse-to-fine pyramid, each twice the last.", 1, 8)
    content_weight: float = _param(
        0.1, "How firmly the clip's shapes are kept; --style-weight is the simpler knob.", 0.0, 1e4
    )
    style_weight: float = _param(
        1.0, "How much is painted: 0.25 is a hint, 1 a painting, 4 nothing but paint.", 0.0, 16.0
    )
    style_scale: float = _param(1.0, "Size of the strokes: the style picture's against the painting's.", 0.25, 4.0)
    color: Color = _param(Color.STYLE, "Whose colours: the style's, the clip's own, or a match of the two.")
    tv_weight: float = _param(0.5, "Total variation: how smooth the paint lies.", 0.0, 1e4)
    temporal_weight: float = _param(20.0, "How firmly strokes follow the motion from the last frame.", 0.0, 1e6)
    learning_rate: float = _param(0.03, "Adam's step size in [0, 1] pixels; L-BFGS finds its own.", 1e-5, 10.0)
    flow: FlowMethod = _param(FlowMethod.DIS, "Optical flow method.")
    coherence: Coherence = _param(Coherence.BLEND, "How chunks are made to agree; `legacy` is the method of 2015.")
    blend_frames: int = _param(6, "Frames over which a boundary is blended; 0 blends none.", 0, 64)
    seed: int = _param(0, "Seed of all randomness.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        for info in fields(self):
            value = getattr(self, info.name)
            _check(info, value)
            if isinstance(info.default, float):  # 2 and 2.0 are one job
                object.__setattr__(self, info.name, float(value))


@dataclass(frozen=True, slots=True)
class ParamDoc:
    """One parameter as the CLI and the documentation show it."""

    name: str
    type: type
    default: Any
    doc: str
    low: float | None
    high: float | None

    @property
    def flag(self) -> str:
        """The command-line flag, e.g. `--content-weight`."""
        return "--" + self.name.replace("_", "-")


def describe() -> tuple[ParamDoc, ...]:
    """Every parameter with its type, default, doc and range, in order of declaration."""
    return tuple(
        ParamDoc(
            info.name,
            type(info.default),
            info.default,
            info.metadata["doc"],
            info.metadata["low"],
            info.metadata["high"],
        )
        for info in fields(Params)
        if info.default is not MISSING
    )


def _check(info: Field[Any], value: object) -> None:
    """Raise InvalidParameter where `value` is not of the field's kind or outside its range."""
    flag = "--" + info.name.replace("_", "-")
    kind = type(info.default)
    if issubclass(kind, StrEnum):
        if not isinstance(value, kind):
            choices = ", ".join(kind)
            raise InvalidParameter(
                f"{flag} {value!r} is unknown; choose one of: {choices}", name=info.name, value=value
            )
        return
    right_kind = isinstance(value, int) if kind is int else isinstance(value, int | float)
    if not right_kind or isinstance(value, bool):
        wanted = "whole number" if kind is int else "number"
        raise InvalidParameter(f"{flag} {value!r} is not a {wanted}; give one", name=info.name, value=value)
    low, high = info.metadata["low"], info.metadata["high"]
    if not low <= value <= high:
        raise InvalidParameter(
            f"{flag} {value} is outside its range; give a value from {low:g} to {high:g}", name=info.name, value=value
        )
