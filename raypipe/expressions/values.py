"""Plain values in the JSON form: ``{"lit": value, "type": name}`` and ``{"list": …, "type": …}``.

Types ``int`` and ``float`` are numbers that take the type of what they meet, as in polars; the
others are exact. Times are ISO text without a zone, durations are whole microseconds. An instant
is of type ``datetime[zone]`` and its text is that of UTC; a number of type
``decimal[precision,scale]`` is a text with all its places.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.ops import MAX_LIST, POLARS_ERRORS, TYPE_NAMES, TYPES, is_text

if TYPE_CHECKING:
    from collections.abc import Callable

Node = dict[str, Any]

_BITS = {
    f"{sign}int{bits}": (
        (0, 2**bits - 1) if sign == "u" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    )
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
_INSTANT = re.compile(r"datetime\[([A-Za-z0-9_+/-]{1,64})\]", re.ASCII)
_DECIMAL = re.compile(r"decimal\[([0-9]{1,2}),([0-9]{1,2})\]", re.ASCII)
_PLACES = re.compile(r"-?([0-9]{1,38})(?:\.([0-9]{1,38}))?", re.ASCII)
_LIST_TYPES = ("int64", "float64", "string", "bool", "date", "datetime", "null")


def bad(what: str, got: object = None) -> RecipeError:
    """The error for an expression in JSON that is not one of ours."""
    return RecipeError(
        f"the stored expression is not valid: {what}",
        None if got is None else repr(got)[:200],
        "Write it again with raypipe.expressions.encode.",
        "expression",
    )


def type_name(dtype: pl.DataType) -> str:
    """How the JSON form names the type of a value; empty for one that it cannot hold."""
    if isinstance(dtype, pl.Datetime) and dtype.time_unit == "us" and dtype.time_zone is not None:
        return f"datetime[{dtype.time_zone}]"
    if isinstance(dtype, pl.Decimal):
        return f"decimal[{dtype.precision},{dtype.scale}]"
    return TYPE_NAMES.get(dtype, "")


def type_of(name: str) -> pl.DataType | None:
    """The type that ``type_name`` named; None for one that takes the type of what it meets.

    Raises:
        RecipeError: there is no such time zone, or no such decimal.
    """
    instant, decimal = _INSTANT.fullmatch(name), _DECIMAL.fullmatch(name)
    if instant:
        return pl.Datetime("us", _zone(instant[1]).key)
    if decimal:
        precision, scale = int(decimal[1]), int(decimal[2])
        if not 1 <= precision <= 38 or scale > precision:
            raise bad("a decimal cannot be of this type", name)
        return pl.Decimal(precision, scale)
    return TYPES.get(name)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise bad("a time zone is unknown", name) from None


def _instant(value: Any, zone: str) -> datetime:
    found: datetime = _time(datetime)(value)
    try:
        return found.replace(tzinfo=UTC).astimezone(_zone(zone))
    except OverflowError:
        raise bad("a time is too far away", value) from None


def _decimal(value: Any, dtype: pl.Decimal) -> Decimal:
    places = _PLACES.fullmatch(value) if isinstance(value, str) else None
    whole, rest = (places[1].lstrip("0"), places[2] or "") if places else ("", "")
    fits = len(rest) == dtype.scale and len(whole) + len(rest) <= (dtype.precision or 38)
    if places is None or not fits:
        raise bad("a decimal does not have the digits of its type", value)
    return Decimal(value)


def _is_int(value: Any, low: int = -(2**63), high: int = 2**63 - 1) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _is_float(value: Any) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _time(kind: type[datetime] | type[date]) -> Callable[[Any], Any]:
    def parse(value: Any) -> Any:
        if not is_text(value):
            raise bad("a time is not ISO text", value)
        try:
            found = kind.fromisoformat(value)
        except ValueError:
            raise bad("a time is not ISO text", value) from None
        if isinstance(found, datetime) and found.tzinfo is not None:
            raise bad("a time has a zone", value)
        return found

    return parse


def parse(value: Any, kind: Any) -> Any:
    """A plain Python value from its JSON, checked against its type's name.

    Raises:
        RecipeError: the type is unknown or the value is not of it.
    """
    if not isinstance(kind, str):
        raise bad("a type is not a name", kind)
    if kind == "null" and value is None:
        return None
    if kind in ("int", "int64") and _is_int(value):
        return value
    if kind in _BITS and _is_int(value, *_BITS[kind]):
        return value
    if kind in ("float", "float32", "float64") and _is_float(value):
        return value
    if kind == "string" and is_text(value):
        return value
    if kind == "bool" and isinstance(value, bool):
        return value
    if kind == "datetime":
        return _time(datetime)(value)
    if kind == "date":
        return _time(date)(value)
    if kind == "duration" and _is_int(value):
        try:
            return timedelta(microseconds=value)
        except OverflowError:
            raise bad("a duration is too long", value) from None
    instant = _INSTANT.fullmatch(kind)
    if instant:
        return _instant(value, instant[1])
    dtype = type_of(kind)
    if isinstance(dtype, pl.Decimal):
        return _decimal(value, dtype)
    raise bad(f"a value is not of type {kind!r}"[:100], value)


def plain(value: Any) -> Any:
    """The JSON of a plain Python value; the other way of ``parse``."""
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).replace(tzinfo=None).isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value // timedelta(microseconds=1)
    return value


def literal(node: Node) -> pl.Expr:
    """A checked ``lit`` node as a polars expression.

    Raises:
        RecipeError: the type is unknown or the value is not of it.
    """
    if set(node) != {"lit", "type"}:
        raise bad("a value has other keys than lit and type", sorted(map(str, node)))
    kind = node["type"]
    value = parse(node["lit"], kind)
    if kind in ("null", "int", "float", "string", "bool", "date"):
        return pl.lit(value)
    try:
        return pl.lit(value, dtype=type_of(kind))
    except POLARS_ERRORS:  # such as a zone that this machine has and polars has not
        raise bad(f"polars has no value of type {kind!r}"[:100], node["lit"]) from None


def list_values(node: Node) -> list[Any]:
    """The checked values of a ``list`` node; null may stand among them.

    Raises:
        RecipeError: it is too long, of a type that a list cannot have, or a value is of another.
    """
    if set(node) != {"list", "type"}:
        raise bad("a list has other keys than list and type", sorted(map(str, node)))
    values, kind = node["list"], node["type"]
    if not isinstance(values, list) or len(values) > MAX_LIST:
        raise bad(f"a list is longer than {MAX_LIST} values, or is not one")
    if kind not in _LIST_TYPES and not (
        isinstance(kind, str) and (_INSTANT.fullmatch(kind) or _DECIMAL.fullmatch(kind))
    ):
        raise bad("a list cannot be of this type", kind)
    return [None if value is None else parse(value, kind) for value in values]


def list_literal(node: Node) -> pl.Expr:
    """A checked ``list`` node as a polars expression.

    Raises:
        RecipeError: as ``list_values``.
    """
    values = list_values(node)
    try:
        return pl.lit(pl.Series(values, dtype=type_of(node["type"]) or pl.Null()).to_list())
    except POLARS_ERRORS:
        raise bad(f"polars has no values of type {node['type']!r}"[:100]) from None
