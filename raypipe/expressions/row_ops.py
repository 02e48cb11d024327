"""How each operation becomes a function of one row; an operation not here is left to polars.

A maker gets its compiled arguments, the result's type and the options, and gives the function, or
None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Protocol

import polars as pl

from raypipe.expressions import scalar

Row = Any
RowFunction = Callable[[Row], Any]


class Arg(Protocol):
    """A compiled argument."""

    @property
    def call(self) -> RowFunction: ...
    @property
    def dtype(self) -> pl.DataType: ...
    @property
    def constant(self) -> bool: ...
    @property
    def value(self) -> Any: ...
    @property
    def loose(self) -> bool: ...


Options = Mapping[str, Any]
Maker = Callable[[Sequence[Arg], pl.DataType, Options], RowFunction | None]

_FLOAT, _BOOL, _TEXT = pl.Float64(), pl.Boolean(), pl.String()
_MICRO = timedelta(microseconds=1)


def _is_int(arg: Arg) -> bool:
    return arg.dtype in scalar.BITS


def _number(arg: Arg) -> bool:
    return _is_int(arg) or arg.dtype == _FLOAT


def _one(call: RowFunction, done: Callable[[Any], Any]) -> RowFunction:
    """A function of one argument that keeps null."""

    def apply(row: Row) -> Any:
        value = call(row)
        return None if value is None else done(value)

    return apply


def _two(a: RowFunction, b: RowFunction, done: Callable[[Any, Any], Any]) -> RowFunction:
    """A function of two arguments that is null when either is."""

    def apply(row: Row) -> Any:
        left = a(row)
        if left is None:
            return None
        right = b(row)
        return None if right is None else done(left, right)

    return apply


def _right(a: RowFunction, right: Any, done: Callable[[Any, Any], Any]) -> RowFunction:
    """The same with a constant on the right."""

    def apply(row: Row) -> Any:
        left = a(row)
        return None if left is None else done(left, right)

    return apply


def _converted(arg: Arg, dtype: pl.DataType) -> RowFunction | None:
    """The argument as a value of a type that polars widens it to."""
    if arg.constant and arg.value is None:
        return arg.call
    if arg.dtype == dtype or (_is_int(arg) and dtype in scalar.BITS):
        return arg.call
    if _is_int(arg) and dtype == _FLOAT:
        return _one(arg.call, float)
    return None


def _pair(args: Sequence[Arg], dtype: pl.DataType) -> tuple[RowFunction, RowFunction] | None:
    left, right = (_converted(arg, dtype) for arg in args)
    return None if left is None or right is None else (left, right)


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
    if _number(left) and _number(right):
        if _is_int(left) and _is_int(right):
            return left.call, right.call, plain
        pair = _pair(args, _FLOAT)
        return None if pair is None else (*pair, floats)
    return (left.call, right.call, plain) if left.dtype == right.dtype else None


def _compare(name: str) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        sides = _sides(args, name)
        if sides is None:
            return None
        left, right, done = sides
        constant = args[1].value if args[1].constant else None
        if constant is not None:
            return _right(left, right(None), done)
        return _two(left, right, done)

    return make


def _missing(name: str) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        sides = _sides(args, "eq")
        if sides is None:
            return None
        a, b, same = sides
        want = name == "eq_missing"

        def apply(row: Row) -> bool:
            left, right = a(row), b(row)
            if left is None or right is None:
                return (left is right) == want
            return same(left, right) == want

        return apply

    return make


# Arithmetic.


def _arithmetic(done: Callable[[Any, Any], Any]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if not all(map(_number, args)):
            return None
        pair = _pair(args, dtype)
        if pair is None:
            return None
        if dtype == _FLOAT:
            # polars leaves out an added or subtracted zero, which shows in the sign of zero.
            zero = done is not operator.mul and any(arg.constant and not arg.value for arg in args)
            return None if zero else _two(*pair, done)
        wrap = scalar.wrapper(dtype)
        return _two(*pair, lambda a, b: wrap(done(a, b)))

    return make


def _sub(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if all(arg.dtype == pl.Datetime("us") for arg in args):
        return _two(args[0].call, args[1].call, operator.sub)
    return _arithmetic(operator.sub)(args, dtype, options)


def _div(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if dtype != _FLOAT or not all(map(_number, args)):
        return None
    pair = _pair(args, _FLOAT)
    if pair is None:
        return None
    left, right = pair
    if args[1].constant and args[1].value is not None:
        return _right(left, scalar.inverse(right(None)), operator.mul)
    return _two(left, right, scalar.true_div)


def _whole(done: Callable[[int, int], int]) -> Maker:
    """Floor division and remainder of integers; null where the divisor is 0."""

    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if dtype not in scalar.BITS or not all(map(_is_int, args)):
            return None
        pair = _pair(args, dtype)
        if pair is None:
            return None
        wrap = scalar.wrapper(dtype)
        return _two(*pair, lambda a, b: wrap(done(a, b)) if b else None)

    return make


def _neg(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if dtype == _FLOAT:
        return _one(args[0].call, operator.neg)
    if dtype == args[0].dtype and dtype in scalar.BITS:
        wrap = scalar.wrapper(dtype)
        return _one(args[0].call, lambda value: wrap(-value))
    return None


def _abs(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if dtype == _FLOAT:
        return _one(args[0].call, abs)
    if dtype == args[0].dtype and dtype in scalar.BITS:
        wrap = scalar.wrapper(dtype)
        return _one(args[0].call, lambda value: wrap(abs(value)))
    return None


def _floats(done: Callable[[float], float]) -> Maker:
    """A function of floats; integers are made floats first."""

    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if dtype != _FLOAT or not _number(args[0]):
            return None
        call = _converted(args[0], _FLOAT)
        return None if call is None else _one(call, done)

    return make


def _to_whole(done: Callable[[float], float]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if dtype in scalar.BITS and args[0].dtype == dtype:
            return args[0].call
        return _floats(done)(args, dtype, options) if args[0].dtype == _FLOAT else None

    return make


def _round(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if options["decimals"] or options["mode"] != "half_to_even":
        return None
    return _to_whole(scalar.round_even)(args, dtype, options)


def _log(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if not args[1].constant or args[1].value != math.e:
        return None
    return _floats(scalar.log)(args[:1], dtype, options)


def _clip(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    value = args[0]
    if value.dtype != dtype or not _number(value):
        return None
    for bound in args[1:]:
        if not bound.constant or bound.value is None or not _number(bound):
            return None
        if _is_int(value) and not (_is_int(bound) and bound.loose):
            return None
    kind: Callable[[Any], Any] = float if dtype == _FLOAT else int
    bounds = [kind(bound.value) for bound in args[1:]]
    if any(bound != bound for bound in bounds):
        return None
    low = bounds[0] if options["low"] else None
    high = bounds[-1] if options["high"] else None
    if low is not None and high is not None and low > high:
        return None

    def done(found: Any) -> Any:
        if low is not None and found < low:
            return low
        return high if high is not None and found > high else found

    return _one(value.call, done)


# Truth: null is "not known", as in SQL.


def _logic(ends: bool) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if any(arg.dtype != _BOOL for arg in args):
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
    if any(arg.dtype != _BOOL for arg in args):
        return None
    return _two(args[0].call, args[1].call, operator.ne)


def _not(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    return _one(args[0].call, operator.not_) if args[0].dtype == _BOOL else None


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
        return _one(args[0].call, test) if args[0].dtype == _FLOAT else None

    return make


def _is_in(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    values, kind = options["values"], options["kind"]
    types = {"int64": pl.Int64(), "float64": _FLOAT, "string": _TEXT, "bool": _BOOL}
    if options["nulls_equal"] or None in values or types.get(kind) != args[0].dtype:
        return None
    found = frozenset(values)
    return _one(args[0].call, found.__contains__)


def _when(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    test = args[0].call
    pair = _pair(args[1:], dtype)
    if args[0].dtype != _BOOL or pair is None:
        return None
    then, other = pair
    return lambda row: then(row) if test(row) else other(row)


def _first(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    calls = []
    for arg in args:
        call = _converted(arg, dtype)
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
    if dtype == _FLOAT and (_is_int(arg) or arg.dtype == _BOOL):
        return _one(arg.call, float)
    if dtype == pl.Int64() and (_is_int(arg) or arg.dtype == _BOOL):
        return _one(arg.call, int)
    if dtype == _TEXT and _is_int(arg):
        return _one(arg.call, str)
    return None


# Texts and times.


def _text(done: Callable[[str], Any]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        return _one(args[0].call, done) if args[0].dtype == _TEXT else None

    return make


def _with_text(done: Callable[[str, str], bool]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if not options.get("literal", True) or any(arg.dtype != _TEXT for arg in args):
            return None
        return _two(args[0].call, args[1].call, done)

    return make


def _concat(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if options["ignore_nulls"] or not all(arg.dtype == _TEXT or _is_int(arg) for arg in args):
        return None
    calls, separator = [arg.call for arg in args], options["separator"]

    def apply(row: Row) -> Any:
        values = [call(row) for call in calls]
        return None if None in values else separator.join(map(str, values))

    return apply


def _date(done: Callable[[Any], int]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        fine = args[0].dtype in (pl.Datetime("us"), pl.Date())
        return _one(args[0].call, done) if fine else None

    return make


def _time(done: Callable[[Any], Any]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        return _one(args[0].call, done) if args[0].dtype == pl.Datetime("us") else None

    return make


def _total(micros: int) -> Maker:
    def done(value: timedelta) -> int:
        whole = value // _MICRO
        return -(-whole // micros) if whole < 0 else whole // micros

    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        return _one(args[0].call, done) if args[0].dtype == pl.Duration("us") else None

    return make


MAKERS: dict[str, Maker] = {
    **{name: _compare(name) for name in _COMPARE},
    "eq_missing": _missing("eq_missing"),
    "ne_missing": _missing("ne_missing"),
    "add": _arithmetic(operator.add),
    "sub": _sub,
    "mul": _arithmetic(operator.mul),
    "div": _div,
    "floordiv": _whole(operator.floordiv),
    "mod": _whole(operator.mod),
    "neg": _neg,
    "abs": _abs,
    "sqrt": _floats(scalar.sqrt),
    "exp": _floats(scalar.exp),
    "log": _log,
    "log1p": _floats(scalar.log1p),
    "sin": _floats(scalar.sin),
    "cos": _floats(scalar.cos),
    "tanh": _floats(math.tanh),
    "floor": _to_whole(scalar.floor),
    "ceil": _to_whole(scalar.ceil),
    "round": _round,
    "clip": _clip,
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
    "len_chars": _text(len),
    "len_bytes": _text(lambda value: len(value.encode())),
    "starts_with": _with_text(str.startswith),
    "ends_with": _with_text(str.endswith),
    "contains": _with_text(operator.contains),
    "concat_str": _concat,
    "year": _date(lambda value: int(value.year)),
    "quarter": _date(lambda value: (int(value.month) + 2) // 3),
    "month": _date(lambda value: int(value.month)),
    "week": _date(lambda value: int(value.isocalendar()[1])),
    "weekday": _date(lambda value: int(value.isoweekday())),
    "day": _date(lambda value: int(value.day)),
    "ordinal_day": _date(lambda value: int(value.timetuple().tm_yday)),
    "hour": _time(lambda value: int(value.hour)),
    "minute": _time(lambda value: int(value.minute)),
    "second": _time(lambda value: int(value.second)),
    "dt_date": _time(lambda value: value.date()),
    "total_days": _total(86_400_000_000),
    "total_hours": _total(3_600_000_000),
    "total_minutes": _total(60_000_000),
    "total_seconds": _total(1_000_000),
    "total_milliseconds": _total(1_000),
    "total_microseconds": _total(1),
}
