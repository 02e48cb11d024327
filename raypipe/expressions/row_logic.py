"""Comparison, truth, choice and casts as code of one row.

A maker gets a writer, the values of its arguments, the result's type and the options, and gives
the result, or None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions.row_base import (
    BOOL,
    FLOAT,
    TEXT,
    Maker,
    Options,
    Value,
    applied,
    converted,
    inline,
    is_int,
    is_null,
    number,
    pair,
    settled,
    strict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.expressions.code import Writer

# Comparison: in polars NaN equals NaN and is greater than every number.


def _float_eq(a: Any, b: Any) -> bool:
    return bool(a == b or (a != a and b != b))


def _float_ge(a: Any, b: Any) -> bool:
    return bool(a >= b or a != a)


# For each comparison: the code, the code for floats where the right side is a number that is no
# NaN (so that a NaN on the left is greater), and the function for any two floats.
_COMPARE: dict[str, tuple[str, str, Callable[[Any, Any], bool]]] = {
    "eq": ("({} == {})", "({} == {})", _float_eq),
    "ne": ("({} != {})", "({} != {})", lambda a, b: not _float_eq(a, b)),
    "ge": ("({} >= {})", "(not {} < {})", _float_ge),
    "lt": ("({} < {})", "({} < {})", lambda a, b: not _float_ge(a, b)),
    "le": ("({} <= {})", "({} <= {})", lambda a, b: _float_ge(b, a)),
    "gt": ("({} > {})", "(not {} <= {})", lambda a, b: not _float_ge(b, a)),
}


def _compared(write: Writer, args: Sequence[Value], name: str) -> Value | None:
    plain, beside_number, any_floats = _COMPARE[name]
    left, right = args
    if any(arg.constant and arg.value is None for arg in args):
        return None
    if number(left) and number(right) and not (is_int(left) and is_int(right)):
        both = pair(write, args, FLOAT)
        if both is None:
            return None
        if not both[1].nan:
            return strict(write, BOOL, beside_number, *both)
        return applied(write, BOOL, any_floats, *both)
    if left.dtype == right.dtype or (is_int(left) and is_int(right)):
        return strict(write, BOOL, plain, left, right)
    return None


def _compare(name: str) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        return _compared(write, args, name)

    return make


def _missing(want: bool) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        same = _compared(write, args, "eq" if want else "ne")
        if same is None:
            return None
        a, b = args
        if not same.nulls:
            return same
        # Both null is equal, one null is not.
        first = is_null(write, a.nulls) if a.nulls else write.bind(False)
        second = is_null(write, b.nulls) if b.nulls else write.bind(False)
        template = (
            "(({}) and ({}) if {} else {})" if want else "(not (({}) and ({})) if {} else {})"
        )
        body = write.piece(template, first, second, is_null(write, same.nulls), same.body)
        return Value(body, BOOL)

    return make


# Truth: null is "not known", as in SQL.


def _logic(ends: bool) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        if any(arg.dtype != BOOL for arg in args):
            return None
        result = args[0]
        for arg in args[1:]:
            result = _both(write, result, arg, ends)
        return result

    return make


def _both(write: Writer, a: Value, b: Value, ends: bool) -> Value:
    if not a.nulls and not b.nulls:
        template = "({} or {})" if ends else "({} and {})"
        return strict(write, BOOL, template, a, b)
    a, b = settled(write, a), settled(write, b)
    end, rest = ("True", "False") if ends else ("False", "True")
    unknown = is_null(write, (*a.nulls, *b.nulls))
    test = f"({end} if {{}} is {end} or {{}} is {end} else None if {{}} else {rest})"
    name = write.settled(test, a.body, b.body, unknown)
    return Value(name, BOOL, (name,))


def _xor(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if any(arg.dtype != BOOL for arg in args):
        return None
    return strict(write, BOOL, "({} is not {})", *args)


def _not(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    return strict(write, BOOL, "(not {})", args[0]) if args[0].dtype == BOOL else None


def _between(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    closed, value = options["closed"], settled(write, args[0])
    low = _compared(write, [value, args[1]], "ge" if closed in ("both", "left") else "gt")
    high = _compared(write, [value, args[2]], "le" if closed in ("both", "right") else "lt")
    return None if low is None or high is None else _both(write, low, high, False)


def _null(want: bool) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        nulls = args[0].nulls
        if not nulls:
            return Value(write.bind(not want), BOOL)
        template = "({})" if want else "(not ({}))"
        return Value(write.piece(template, is_null(write, nulls)), BOOL)

    return make


def _float_test(test: Callable[[float], bool]) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        return applied(write, BOOL, test, args[0]) if args[0].dtype == FLOAT else None

    return make


def _is_in(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    values, kind = options["values"], options["kind"]
    types = {"int64": pl.Int64(), "float64": FLOAT, "string": TEXT, "bool": BOOL}
    if options["nulls_equal"] or None in values or types.get(kind) != args[0].dtype:
        return None
    return strict(
        write, BOOL, "({} in {found})", args[0], gaps={"found": write.bind(frozenset(values))}
    )


def _when(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    test = args[0]
    both = pair(write, args[1:], dtype)
    if test.dtype != BOOL or both is None:
        return None
    then, other = both
    parts = (inline(write, then), inline(write, test), inline(write, other))
    name = write.settled("{} if {} else {}", *parts)
    return Value(name, dtype, (name,) if then.nulls or other.nulls else (), dtype == FLOAT)


def _first(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    found: Value | None = None
    for arg in args:
        value = converted(write, arg, dtype)
        if value is None:
            return None
        if found is None:
            found = value
        elif found.nulls:
            found = settled(write, found)
            name = write.settled(
                "{0} if {0} is not None else {1}", found.body, inline(write, value)
            )
            found = Value(name, dtype, (name,) if value.nulls else (), dtype == FLOAT)
    return found


def _cast(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    arg = args[0]
    if arg.dtype == dtype:
        return arg
    if dtype == FLOAT and (is_int(arg) or arg.dtype == BOOL):
        return strict(write, FLOAT, "({} * 1.0)", arg, nan=False)
    if dtype == pl.Int64() and is_int(arg):
        return strict(write, dtype, "{}", arg)
    if dtype == pl.Int64() and arg.dtype == BOOL:
        return applied(write, dtype, int, arg)
    if dtype == TEXT and is_int(arg):
        return applied(write, dtype, str, arg)
    return None


MAKERS: dict[str, Maker] = {
    **{name: _compare(name) for name in _COMPARE},
    "eq_missing": _missing(True),
    "ne_missing": _missing(False),
    "and": _logic(False),
    "or": _logic(True),
    "all_horizontal": _logic(False),
    "any_horizontal": _logic(True),
    "xor": _xor,
    "not": _not,
    "is_between": _between,
    "is_null": _null(True),
    "is_not_null": _null(False),
    "is_nan": _float_test(math.isnan),
    "is_not_nan": _float_test(lambda value: not math.isnan(value)),
    "is_finite": _float_test(math.isfinite),
    "is_infinite": _float_test(math.isinf),
    "is_in": _is_in,
    "when": _when,
    "fill_null": _first,
    "coalesce": _first,
    "cast": _cast,
    "alias": lambda write, args, dtype, options: args[0],
}
