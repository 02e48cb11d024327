"""Records of the report to JSON and back, by the types that their fields declare."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Self

from raypipe.core.errors import ConfigError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The base of the report's dataclasses.

    At construction a float that is not finite becomes None where the field allows None, so that
    "not known" has one form, and a datetime in a date field becomes its date.
    """

    def __post_init__(self) -> None:
        for name, hint in _hints(type(self)).items():
            value = getattr(self, name)
            if isinstance(value, float) and not math.isfinite(value):
                if not _optional(hint):
                    raise ConfigError(
                        f"{type(self).__name__}.{name} is not a finite number",
                        value,
                        "Give the figure, or leave the row out.",
                        name,
                    )
                object.__setattr__(self, name, None)
            elif isinstance(value, datetime) and _plain(hint) is date:
                object.__setattr__(self, name, value.date())

    def to_dict(self) -> dict[str, Any]:
        """This record as plain JSON values; dates and times in ISO form."""
        return {f.name: _encode(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, data: Mapping[str, object]) -> Self:
        """The record that `to_dict` wrote.

        Raises:
            ConfigError: a field is missing, unknown or of another type; `field` is its path.
        """
        return typing.cast(Self, _decode(cls, data, ""))


def _hints(cls: type[Record]) -> dict[str, Any]:
    return typing.get_type_hints(cls)


def _optional(hint: Any) -> bool:
    return isinstance(hint, types.UnionType) and types.NoneType in hint.__args__


def _plain(hint: Any) -> Any:
    """The type itself, without the `| None`."""
    if not isinstance(hint, types.UnionType):
        return hint
    return next(one for one in hint.__args__ if one is not types.NoneType)


def _encode(value: object) -> object:
    if isinstance(value, Record):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_encode(one) for one in value]
    if isinstance(value, date):  # a datetime is one too
        return value.isoformat()
    return value


def _decode(hint: Any, value: object, path: str) -> object:
    if _optional(hint) and value is None:
        return None
    hint = _plain(hint)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong(path, "a list", value)
        item = typing.get_args(hint)[0]
        return tuple(_decode(item, one, f"{path}[{i}]") for i, one in enumerate(value))
    if origin is typing.Literal:
        if value not in typing.get_args(hint):
            raise _wrong(path, "one of " + ", ".join(typing.get_args(hint)), value)
        return value
    if issubclass(hint, Record):
        return _decode_record(hint, value, path)
    if hint in (date, datetime):
        return _decode_time(hint, value, path)
    return _decode_scalar(hint, value, path)


def _decode_record(cls: type[Record], value: object, path: str) -> Record:
    if not isinstance(value, Mapping):
        raise _wrong(path or cls.__name__, "an object", value)
    hints = _hints(cls)
    at = f"{path}." if path else ""
    for name in value:
        if name not in hints:
            raise ConfigError("the report has no such field", f"{at}{name}", field=f"{at}{name}")
    for one in dataclasses.fields(cls):
        if one.name not in value and one.default is dataclasses.MISSING:
            raise ConfigError(
                "the report lacks a field", f"{at}{one.name}", field=f"{at}{one.name}"
            )
    given = {name: _decode(hints[name], one, f"{at}{name}") for name, one in value.items()}
    return cls(**given)


def _decode_time(hint: type[date], value: object, path: str) -> date:
    try:
        if not isinstance(value, str):
            raise ValueError(value)
        return hint.fromisoformat(value)
    except ValueError as error:
        raise _wrong(path, f"an ISO {hint.__name__}", value) from error


def _decode_scalar(hint: type, value: object, path: str) -> object:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise _wrong(path, hint.__name__, value)
    return value


def _wrong(path: str, wanted: str, value: object) -> ConfigError:
    return ConfigError(f"{path} of the report must be {wanted}", repr(value)[:80], field=path)
