"""What the makers of row functions share.

A maker gets its compiled arguments, the result's type and the options, and gives the function, or
None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from raypipe.expressions import scalar

Row = Any
RowFunction = Callable[[Row], Any]


class Arg(Protocol):
    """A compiled argument: its function, its type, and its value if that needs no row."""

    @property
    def call(self) -> RowFunction:
        """The function of a row."""

    @property
    def dtype(self) -> pl.DataType:
        """The polars type."""

    @property
    def constant(self) -> bool:
        """Whether it reads no column."""

    @property
    def value(self) -> Any:
        """The value of a constant."""

    @property
    def loose(self) -> bool:
        """Whether it is a literal number that takes the type of what it meets."""


Options = Mapping[str, Any]
Maker = Callable[[Sequence[Arg], pl.DataType, Options], RowFunction | None]

FLOAT, BOOL, TEXT = pl.Float64(), pl.Boolean(), pl.String()


def is_int(arg: Arg) -> bool:
    """Whether it is an integer."""
    return arg.dtype in scalar.BITS


def number(arg: Arg) -> bool:
    """Whether it is an integer or a 64-bit float."""
    return is_int(arg) or arg.dtype == FLOAT


def one(call: RowFunction, done: Callable[[Any], Any]) -> RowFunction:
    """A function of one argument that keeps null."""

    def apply(row: Row) -> Any:
        value = call(row)
        return None if value is None else done(value)

    return apply


def two(a: RowFunction, b: RowFunction, done: Callable[[Any, Any], Any]) -> RowFunction:
    """A function of two arguments that is null when either is."""

    def apply(row: Row) -> Any:
        left = a(row)
        if left is None:
            return None
        right = b(row)
        return None if right is None else done(left, right)

    return apply


def right(a: RowFunction, right: Any, done: Callable[[Any, Any], Any]) -> RowFunction:
    """The same with a constant on the right."""

    def apply(row: Row) -> Any:
        left = a(row)
        return None if left is None else done(left, right)

    return apply


def converted(arg: Arg, dtype: pl.DataType) -> RowFunction | None:
    """The argument as a value of a type that polars widens it to."""
    if arg.constant and arg.value is None:
        return arg.call
    if arg.dtype == dtype or (is_int(arg) and dtype in scalar.BITS):
        return arg.call
    if is_int(arg) and dtype == FLOAT:
        return one(arg.call, float)
    return None


def pair(args: Sequence[Arg], dtype: pl.DataType) -> tuple[RowFunction, RowFunction] | None:
    """Two arguments as values of one type, or None."""
    left, right = (converted(arg, dtype) for arg in args)
    return None if left is None or right is None else (left, right)
