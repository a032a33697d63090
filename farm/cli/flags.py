"""The painting parameters as command-line flags, made from `farm.contract.params` and from nothing else.

Values are checked by `Params` itself, so the CLI, the payload and the engine refuse the same things in the same words.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import Any

import typer

from farm.contract.params import ParamDoc, Params, describe

PANEL = "Painting"


def with_painting(command: Callable[..., Any]) -> Callable[..., Any]:
    """`command`, whose keyword `params: Params` comes from one flag per painting parameter."""
    signature = inspect.signature(command, eval_str=True)
    own = [item for item in signature.parameters.values() if item.name != "params"]
    docs = describe()

    @functools.wraps(command)
    def with_flags(**given: Any) -> Any:
        values = {doc.name: given.pop(doc.name) for doc in docs}
        return command(params=params_from(values), **given)

    parameters = [item.replace(kind=inspect.Parameter.KEYWORD_ONLY) for item in own] + [_flag(doc) for doc in docs]
    with_flags.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {item.name: item.annotation for item in parameters}
    del with_flags.__wrapped__  # Typer would read the flags of the inner one
    return with_flags


def params_from(values: dict[str, str]) -> Params:
    """The parameters that command-line values name; InvalidParameter where one can't be used."""
    return Params(**{doc.name: value_of(doc.type, values[doc.name]) for doc in describe()})


def value_of(kind: type, text: str) -> Any:
    """`text` as a `kind` where it is one; else as it is, for the model to refuse in its own words."""
    try:
        return kind(text)
    except ValueError:
        return text


def _flag(doc: ParamDoc) -> inspect.Parameter:
    metavar = "|".join(map(str, doc.type)) if issubclass(doc.type, StrEnum) else _range_text(doc)
    option = typer.Option(str(doc.default), doc.flag, help=doc.doc, metavar=metavar, rich_help_panel=PANEL)
    return inspect.Parameter(doc.name, inspect.Parameter.KEYWORD_ONLY, default=option, annotation=str)


def _range_text(doc: ParamDoc) -> str:
    low, high = ("" if bound is None else _number_text(bound) for bound in (doc.low, doc.high))
    return f"{low}…{high}"


def _number_text(value: float) -> str:
    return f"{value:.7f}".rstrip("0").rstrip(".") if value < 1 else f"{value:.0f}"
