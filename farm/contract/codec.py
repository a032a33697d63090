"""Frozen dataclasses to canonical JSON and back, strictly.

Canonical: keys sorted, no spaces, UTF-8; so equal values give equal bytes and one SHA-256.
Reading refuses unknown fields, missing fields, wrong kinds and unknown versions.
A field that came after values were stored is marked `LATER`: it is written only where it is not its default, so that
what says the same as before has the bytes, and the SHA-256, that it had.
"""

from __future__ import annotations

import hashlib
import json
import types
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from farm.contract.errors import InvalidInput, UnknownVersion

T = TypeVar("T")
LATER = {"later": True}
"""Metadata of a dataclass's field."""


def to_plain(value: Any) -> Any:
    """Dataclasses, enums and tuples as dicts, strings and lists."""
    if is_dataclass(value) and not isinstance(value, type):
        items = {info.name: getattr(value, info.name) for info in fields(value) if not _left_out(value, info)}
        return {name: to_plain(item) for name, item in items.items()}
    if isinstance(value, StrEnum):
        return str(value)
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_plain(item) for key, item in value.items()}
    return value


def _left_out(value: Any, info: Field[Any]) -> bool:
    return "later" in info.metadata and getattr(value, info.name) == info.default


def to_json(value: Any) -> bytes:
    """Canonical JSON bytes of a dataclass or plain value."""
    text = json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def sha256_hex(data: bytes) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def from_json(kind: type[T], data: bytes | str) -> T:
    """A `kind` from its JSON; InvalidInput or UnknownVersion where it is not one."""
    try:
        plain = json.loads(data)
    except ValueError as error:
        raise InvalidInput(f"not JSON: {error}; the {kind.__name__} was not written by the farm") from error
    return from_plain(kind, plain)


def from_plain(kind: type[T], plain: Any) -> T:
    """A `kind` from what `to_plain` made of it; strict."""
    version = getattr(kind, "VERSION", None)
    if version is not None:
        found = plain.get("version") if isinstance(plain, dict) else None
        if found != version:
            raise UnknownVersion(
                f"{kind.__name__} has version {found!r}, this farm reads {version}; "
                "use the release of the farm that wrote it",
                found=found,
                known=version,
            )
    try:
        return _build(kind, plain, kind.__name__)  # type: ignore[no-any-return]
    except (TypeError, ValueError, KeyError) as error:
        raise InvalidInput(f"not a {kind.__name__}: {error}; it was not written by the farm") from error


def _build(kind: Any, plain: Any, where: str) -> Any:
    if kind is Any:
        return plain
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _build_optional(kind, plain, where)
    if origin is tuple:
        return _build_tuple(kind, plain, where)
    if origin is dict:
        value_kind = get_args(kind)[1]
        return {key: _build(value_kind, item, f"{where}.{key}") for key, item in dict(plain).items()}
    if is_dataclass(kind):
        return _build_dataclass(kind, plain, where)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return kind(plain)
    if kind is float and isinstance(plain, int) and not isinstance(plain, bool):
        return float(plain)
    if type(plain) is not kind:
        raise TypeError(f"{where} is {plain!r}, wanted {kind.__name__}")
    return plain


def _build_optional(kind: Any, plain: Any, where: str) -> Any:
    if plain is None:
        return None
    inner = next(arg for arg in get_args(kind) if arg is not type(None))
    return _build(inner, plain, where)


def _build_tuple(kind: Any, plain: Any, where: str) -> Any:
    args = get_args(kind)
    if not isinstance(plain, list | tuple):
        raise TypeError(f"{where} is {plain!r}, wanted a list")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_build(args[0], item, f"{where}[{i}]") for i, item in enumerate(plain))
    if len(args) != len(plain):
        raise TypeError(f"{where} has {len(plain)} items, wanted {len(args)}")
    return tuple(_build(arg, item, f"{where}[{i}]") for i, (arg, item) in enumerate(zip(args, plain, strict=True)))


def _build_dataclass(kind: Any, plain: Any, where: str) -> Any:
    if not isinstance(plain, dict):
        raise TypeError(f"{where} is {plain!r}, wanted an object")
    hints, required = _shape(kind)
    unknown = sorted(plain.keys() - hints)
    if unknown:
        raise TypeError(f"{where} has unknown fields {', '.join(unknown)}")
    missing = sorted(required - plain.keys())
    if missing:
        raise TypeError(f"{where} lacks {', '.join(missing)}")
    return kind(**{name: _build(hints[name], item, f"{where}.{name}") for name, item in plain.items()})


@cache
def _shape(kind: Any) -> tuple[dict[str, Any], frozenset[str]]:
    """A dataclass's fields with their kinds, and the names of those without a default."""
    hints, infos = get_type_hints(kind), fields(kind)
    required = frozenset(i.name for i in infos if i.default is MISSING and i.default_factory is MISSING)
    return {info.name: hints[info.name] for info in infos}, required
