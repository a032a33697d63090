"""The painting flags: made from the parameters, checked by them."""

from __future__ import annotations

import inspect

import pytest

from farm.cli.flags import PANEL, params_from, value_of, with_painting
from farm.contract.errors import InvalidParameter
from farm.contract.params import Backbone, Params, describe

DEFAULTS = {doc.name: str(doc.default) for doc in describe()}


def test_defaults_written_as_text_give_the_default_parameters() -> None:
    assert params_from(DEFAULTS) == Params()


def test_a_text_becomes_the_kind_its_parameter_has() -> None:
    params = params_from({**DEFAULTS, "steps": "7", "tv_weight": "2", "backbone": "vgg19"})
    assert (params.steps, params.tv_weight, params.backbone) == (7, 2.0, Backbone.VGG19)
    assert isinstance(params.tv_weight, float)


def test_a_text_of_no_such_kind_is_left_for_the_parameters_to_refuse() -> None:
    assert value_of(int, "1.5") == "1.5"
    with pytest.raises(InvalidParameter, match=r"--seed '1\.5' is not a"):
        params_from({**DEFAULTS, "seed": "1.5"})


def test_a_command_gets_one_flag_per_parameter_and_keeps_its_own() -> None:
    def command(clip: str, *, params: Params) -> tuple[str, Params]:
        return clip, params

    painted = with_painting(command)
    flags = inspect.signature(painted).parameters
    assert list(flags) == ["clip", *DEFAULTS]
    assert {flags[name].default.rich_help_panel for name in DEFAULTS} == {PANEL}
    assert painted(clip="a.mp4", **{**DEFAULTS, "steps": "9"}) == ("a.mp4", Params(steps=9))


def test_ranges_are_shown_as_a_person_writes_numbers() -> None:
    flags = inspect.signature(with_painting(lambda *, params: params)).parameters
    shown = {name: flags[name].default.metavar for name in DEFAULTS}
    assert shown["learning_rate"] == "0.00001…10"
    assert shown["temporal_weight"] == "0…1000000"
    assert shown["optimizer"] == "adam|lbfgs"
