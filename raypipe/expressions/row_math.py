"""Arithmetic and functions of numbers as code of one row.

A maker gets a writer, the values of its arguments, the result's type and the options, and gives
the result, or None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions import scalar
from raypipe.expressions.row_base import (
    FLOAT,
    Maker,
    Options,
    Value,
    applied,
    constant,
    converted,
    inline,
    is_int,
    number,
    pair,
    strict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.expressions.code import Writer

# Arithmetic.


def _wrapped(write: Writer, dtype: pl.DataType, template: str, *args: Value) -> Value:
    """A whole number that overflows as polars lets it overflow."""
    wrap = scalar.wrapper(dtype)
    low, high = scalar.bounds(dtype)
    checked = f"({{t}} if {{low}} <= ({{t}} := {template}) <= {{high}} else {{wrap}}({{t}}))"
    bound = {"low": write.bind(low), "high": write.bind(high), "wrap": write.bind(wrap)}
    return strict(write, dtype, checked, *args, gaps={"t": write.name(), **bound})


def _arithmetic(sign: str) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        if not all(map(number, args)):
            return None
        both = pair(write, args, dtype)
        if both is None:
            return None
        if dtype == FLOAT:
            # polars leaves out an added or subtracted zero, which shows in the sign of zero.
            if sign != "*" and any(arg.constant and not arg.value for arg in args):
                return None
            return strict(write, FLOAT, f"({{}} {sign} {{}})", *both)
        return _wrapped(write, dtype, f"{{}} {sign} {{}}", *both)

    return make


def _sub(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if all(arg.dtype == pl.Datetime("us") for arg in args):
        return strict(write, dtype, "({} - {})", *args)
    return _arithmetic("-")(write, args, dtype, options)


def _div(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if dtype != FLOAT or not all(map(number, args)):
        return None
    both = pair(write, args, FLOAT)
    if both is None:
        return None
    left, divisor = both
    if divisor.constant and divisor.value is not None:
        inverse = constant(write, scalar.inverse(divisor.value), FLOAT)
        return strict(write, FLOAT, "({} * {})", left, inverse)
    return applied(write, FLOAT, scalar.true_div, left, divisor)


def _whole(done: Callable[[int, int], int]) -> Maker:
    """Floor division and remainder of integers; null where the divisor is 0."""

    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        if dtype not in scalar.BITS or not all(map(is_int, args)):
            return None
        both = pair(write, args, dtype)
        if both is None:
            return None
        wrap = scalar.wrapper(dtype)

        def whole(a: int, b: int) -> int | None:
            return wrap(done(a, b)) if b else None

        found = applied(write, dtype, whole, *both)
        if both[1].constant and both[1].value:
            return found
        # It may be null by itself, so it needs a name that tells so.
        name = write.settled("{}", inline(write, found))
        return Value(name, dtype, (name,))

    return make


def _neg(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if dtype == FLOAT and args[0].dtype == FLOAT:
        return strict(write, FLOAT, "(-{})", args[0])
    if dtype == args[0].dtype and dtype in scalar.BITS:
        return _wrapped(write, dtype, "-{}", args[0])
    return None


def _abs(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if dtype == FLOAT and args[0].dtype == FLOAT:
        return applied(write, FLOAT, abs, args[0])
    if dtype == args[0].dtype and dtype in scalar.BITS:
        return _wrapped(write, dtype, "{}", applied(write, dtype, abs, args[0]))
    return None


def _floats(done: Callable[[float], float]) -> Maker:
    """A function of floats; integers are made floats first."""

    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        if dtype != FLOAT or not number(args[0]):
            return None
        value = converted(write, args[0], FLOAT)
        return None if value is None else applied(write, FLOAT, done, value)

    return make


def _to_whole(done: Callable[[float], float]) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        if dtype in scalar.BITS and args[0].dtype == dtype:
            return args[0]
        return _floats(done)(write, args, dtype, options) if args[0].dtype == FLOAT else None

    return make


def _round(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if options["decimals"] or options["mode"] != "half_to_even":
        return None
    return _to_whole(scalar.round_even)(write, args, dtype, options)


def _log(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if not args[1].constant or args[1].value != math.e:
        return None
    return _floats(scalar.log)(write, args[:1], dtype, options)


def _clip(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
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
    names = {"t": write.name()}
    template, given = "{t}", "({t} := {})"
    if high is not None:
        names["high"] = write.bind(high)
        template = f"{{high}} if {given if low is None else '{t}'} > {{high}} else {{t}}"
    if low is not None:
        names["low"] = write.bind(low)
        template = f"{{low}} if {given} < {{low}} else {template}"
    if low is None and high is None:
        return value
    return strict(write, dtype, f"({template})", value, nan=value.nan, gaps=names)


MAKERS: dict[str, Maker] = {
    "add": _arithmetic("+"),
    "sub": _sub,
    "mul": _arithmetic("*"),
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
