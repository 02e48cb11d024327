"""Comparison, truth, choice and casts as functions of one row.

A maker gets its compiled arguments, the result's type and the options, and gives the function, or
None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions.row_base import (
    BOOL,
    FLOAT,
    TEXT,
    Arg,
    Maker,
    Options,
    Row,
    RowFunction,
    converted,
    is_int,
    number,
    one,
    pair,
    right,
    two,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Comparison: in polars NaN equals NaN and is greater than every number.


def _float_eq(a: Any, b: Any) -> bool:
    return bool(a == b or (a != a and b != b))


def _float_ge(a: Any, b: Any) -> bool:
    return bool(a >= b or a != a)


_COMPARE: dict[str, tuple[Callable[[Any, Any], bool], Callable[[Any, Any], bool]]] = {
    "eq": (operator.eq, _float_eq),
    "ne": (operator.ne, lambda a, b: not _float_eq(a, b)),
    "ge": (operator.ge, _float_ge),
    "lt": (operator.lt, lambda a, b: not _float_ge(a, b)),
    "le": (operator.le, lambda a, b: _float_ge(b, a)),
    "gt": (operator.gt, lambda a, b: not _float_ge(b, a)),
}


def _sides(
    args: Sequence[Arg], name: str
) -> tuple[RowFunction, RowFunction, Callable[[Any, Any], bool]] | None:
    plain, floats = _COMPARE[name]
    left, right = args
    if any(arg.constant and arg.value is None for arg in args):
        return None
    if number(left) and number(right):
        if is_int(left) and is_int(right):
            return left.call, right.call, plain
        both = pair(args, FLOAT)
        return None if both is None else (*both, floats)
    return (left.call, right.call, plain) if left.dtype == right.dtype else None


def _compare(name: str) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        sides = _sides(args, name)
        if sides is None:
            return None
        left, other, done = sides
        constant = args[1].value if args[1].constant else None
        if constant is not None:
            return right(left, other(None), done)
        return two(left, other, done)

    return make


def _missing(name: str) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        sides = _sides(args, "eq")
        if sides is None:
            return None
        a, b, same = sides
        want = name == "eq_missing"

        def apply(row: Row) -> bool:
            first, second = a(row), b(row)
            if first is None or second is None:
                return (first is second) == want
            return same(first, second) == want

        return apply

    return make


# Truth: null is "not known", as in SQL.


def _logic(ends: bool) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if any(arg.dtype != BOOL for arg in args):
            return None
        calls = [arg.call for arg in args]

        def apply(row: Row) -> Any:
            result: Any = not ends
            for call in calls:
                value = call(row)
                if value is ends:
                    return ends
                if value is None:
                    result = None
            return result

        return apply

    return make


def _xor(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if any(arg.dtype != BOOL for arg in args):
        return None
    return two(args[0].call, args[1].call, operator.ne)


def _not(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    return one(args[0].call, operator.not_) if args[0].dtype == BOOL else None


def _between(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    closed = options["closed"]
    low = _compare("ge" if closed in ("both", "left") else "gt")(args[:2], dtype, {})
    upper = [args[0], args[2]]
    high = _compare("le" if closed in ("both", "right") else "lt")(upper, dtype, {})
    if low is None or high is None:
        return None
    first, second = low, high

    def apply(row: Row) -> Any:
        a = first(row)
        if a is False:
            return False
        b = second(row)
        return False if b is False else None if a is None or b is None else True

    return apply


def _null(want: bool) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        call = args[0].call
        return lambda row: (call(row) is None) is want

    return make


def _float_test(test: Callable[[float], bool]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        return one(args[0].call, test) if args[0].dtype == FLOAT else None

    return make


def _is_in(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    values, kind = options["values"], options["kind"]
    types = {"int64": pl.Int64(), "float64": FLOAT, "string": TEXT, "bool": BOOL}
    if options["nulls_equal"] or None in values or types.get(kind) != args[0].dtype:
        return None
    found = frozenset(values)
    return one(args[0].call, found.__contains__)


def _when(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    test = args[0].call
    both = pair(args[1:], dtype)
    if args[0].dtype != BOOL or both is None:
        return None
    then, other = both
    return lambda row: then(row) if test(row) else other(row)


def _first(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    calls = []
    for arg in args:
        call = converted(arg, dtype)
        if call is None:
            return None
        calls.append(call)

    def apply(row: Row) -> Any:
        for call in calls:
            value = call(row)
            if value is not None:
                return value
        return None

    return apply


def _cast(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    arg = args[0]
    if arg.dtype == dtype:
        return arg.call
    if dtype == FLOAT and (is_int(arg) or arg.dtype == BOOL):
        return one(arg.call, float)
    if dtype == pl.Int64() and (is_int(arg) or arg.dtype == BOOL):
        return one(arg.call, int)
    if dtype == TEXT and is_int(arg):
        return one(arg.call, str)
    return None


MAKERS: dict[str, Maker] = {
    **{name: _compare(name) for name in _COMPARE},
    "eq_missing": _missing("eq_missing"),
    "ne_missing": _missing("ne_missing"),
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
    "alias": lambda args, dtype, options: args[0].call,
}
