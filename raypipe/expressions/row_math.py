"""Arithmetic and functions of numbers as functions of one row.

A maker gets its compiled arguments, the result's type and the options, and gives the function, or
None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions import scalar
from raypipe.expressions.row_base import (
    FLOAT,
    Arg,
    Maker,
    Options,
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

# Arithmetic.


def _arithmetic(done: Callable[[Any, Any], Any]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if not all(map(number, args)):
            return None
        both = pair(args, dtype)
        if both is None:
            return None
        if dtype == FLOAT:
            # polars leaves out an added or subtracted zero, which shows in the sign of zero.
            zero = done is not operator.mul and any(arg.constant and not arg.value for arg in args)
            return None if zero else two(*both, done)
        wrap = scalar.wrapper(dtype)
        return two(*both, lambda a, b: wrap(done(a, b)))

    return make


def _sub(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if all(arg.dtype == pl.Datetime("us") for arg in args):
        return two(args[0].call, args[1].call, operator.sub)
    return _arithmetic(operator.sub)(args, dtype, options)


def _div(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if dtype != FLOAT or not all(map(number, args)):
        return None
    both = pair(args, FLOAT)
    if both is None:
        return None
    left, divisor = both
    if args[1].constant and args[1].value is not None:
        return right(left, scalar.inverse(divisor(None)), operator.mul)
    return two(left, divisor, scalar.true_div)


def _whole(done: Callable[[int, int], int]) -> Maker:
    """Floor division and remainder of integers; null where the divisor is 0."""

    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if dtype not in scalar.BITS or not all(map(is_int, args)):
            return None
        both = pair(args, dtype)
        if both is None:
            return None
        wrap = scalar.wrapper(dtype)
        return two(*both, lambda a, b: wrap(done(a, b)) if b else None)

    return make


def _neg(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if dtype == FLOAT:
        return one(args[0].call, operator.neg)
    if dtype == args[0].dtype and dtype in scalar.BITS:
        wrap = scalar.wrapper(dtype)
        return one(args[0].call, lambda value: wrap(-value))
    return None


def _abs(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if dtype == FLOAT:
        return one(args[0].call, abs)
    if dtype == args[0].dtype and dtype in scalar.BITS:
        wrap = scalar.wrapper(dtype)
        return one(args[0].call, lambda value: wrap(abs(value)))
    return None


def _floats(done: Callable[[float], float]) -> Maker:
    """A function of floats; integers are made floats first."""

    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if dtype != FLOAT or not number(args[0]):
            return None
        call = converted(args[0], FLOAT)
        return None if call is None else one(call, done)

    return make


def _to_whole(done: Callable[[float], float]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if dtype in scalar.BITS and args[0].dtype == dtype:
            return args[0].call
        return _floats(done)(args, dtype, options) if args[0].dtype == FLOAT else None

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
    if value.dtype != dtype or not number(value):
        return None
    for bound in args[1:]:
        if not bound.constant or bound.value is None or not number(bound):
            return None
        if is_int(value) and not (is_int(bound) and bound.loose):
            return None
    kind: Callable[[Any], Any] = float if dtype == FLOAT else int
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

    return one(value.call, done)


MAKERS: dict[str, Maker] = {
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
}
