"""What the makers of row code share: a value in the making, and how nulls go through it.

A maker gets a writer, the values of its arguments, the result's type and the options, and gives
the result, or None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from raypipe.expressions import scalar
from raypipe.expressions.code import Code, Writer

FLOAT, BOOL, TEXT = pl.Float64(), pl.Boolean(), pl.String()
MAX_DEPTH = 20


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a row as code.

    Args:
        body: an expression without side effects, to be asked only where it is not null.
        dtype: its polars type.
        nulls: names; the value is null where one of them is None.
        nan: whether it may be NaN.
        constant: whether it reads no column; then ``value`` is it.
        loose: whether it is a literal number that takes the type of what it meets.
    """

    body: Code
    dtype: pl.DataType
    nulls: tuple[Code, ...] = ()
    nan: bool = False
    constant: bool = False
    value: Any = None
    loose: bool = False


Options = Mapping[str, Any]
Maker = Callable[[Writer, Sequence[Value], pl.DataType, Options], Value | None]


def is_int(arg: Value) -> bool:
    """Whether it is an integer."""
    return arg.dtype in scalar.BITS


def number(arg: Value) -> bool:
    """Whether it is an integer or a 64-bit float."""
    return is_int(arg) or arg.dtype == FLOAT


def is_null(write: Writer, nulls: Sequence[Code]) -> Code:
    """The test that one of some names is None."""
    made = write.piece("{} is None", nulls[0])
    for name in nulls[1:]:
        made = write.piece("{} or {} is None", made, name)
    return made


def inline(write: Writer, value: Value) -> Code:
    """An expression that gives the value, None for null."""
    if not value.nulls:
        return value.body
    if len(value.nulls) == 1 and value.body is value.nulls[0]:
        return value.body
    return write.piece("(None if {} else {})", is_null(write, value.nulls), value.body)


def settled(write: Writer, value: Value) -> Value:
    """The same value under a name of its own, computed once."""
    if value.body.depth == 0 and value.nulls in ((), (value.body,)):
        return value
    name = write.settled("{}", inline(write, value))
    return Value(name, value.dtype, (name,) if value.nulls else (), value.nan)


def strict(
    write: Writer,
    dtype: pl.DataType,
    template: str,
    *args: Value,
    nan: bool = True,
    gaps: Mapping[str, Code] | None = None,
) -> Value:
    """An expression that is null exactly where one of its arguments is.

    Args:
        write: the writer.
        dtype: the result's type.
        template: each argument stands once in it.
        *args: the arguments.
        nan: whether a float may come out as NaN.
        gaps: what stands at named gaps.
    """
    args = tuple(settled(write, arg) if arg.body.depth > MAX_DEPTH else arg for arg in args)
    nulls = tuple({id(name): name for arg in args for name in arg.nulls}.values())
    body = write.piece(template, *(arg.body for arg in args), **(gaps or {}))
    return Value(body, dtype, nulls, nan and dtype == FLOAT)


def applied(
    write: Writer, dtype: pl.DataType, done: Callable[..., Any], *args: Value, nan: bool = True
) -> Value:
    """A function's result; null where an argument is."""
    template = f"{{done}}({', '.join('{}' for _ in args)})"
    return strict(write, dtype, template, *args, nan=nan, gaps={"done": write.bind(done)})


def missing(write: Writer, dtype: pl.DataType, done: Callable[..., Any], arg: Value) -> Value:
    """A function's result, which is None for null; null where the argument is."""
    made = applied(write, dtype, done, arg)
    name = write.settled("{}", inline(write, made))
    return Value(name, dtype, (name,), made.nan)


def constant(write: Writer, value: Any, dtype: pl.DataType, *, loose: bool = False) -> Value:
    """A value that reads no column."""
    name = write.bind(value)
    nan = dtype == FLOAT and value != value
    return Value(name, dtype, (name,) if value is None else (), nan, True, value, loose)


def converted(write: Writer, arg: Value, dtype: pl.DataType) -> Value | None:
    """The argument as a value of a type that polars widens it to."""
    if arg.constant and arg.value is None:
        return arg
    if arg.dtype == dtype or (is_int(arg) and dtype in scalar.BITS):
        return arg
    if is_int(arg) and dtype == FLOAT:
        if arg.constant:
            return constant(write, float(arg.value), FLOAT)
        return strict(write, FLOAT, "({} * 1.0)", arg, nan=False)  # what float() gives, and faster
    return None


def pair(write: Writer, args: Sequence[Value], dtype: pl.DataType) -> tuple[Value, Value] | None:
    """Two arguments as values of one type, or None."""
    left, right = (converted(write, arg, dtype) for arg in args)
    return None if left is None or right is None else (left, right)
