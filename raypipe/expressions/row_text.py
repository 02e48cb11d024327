"""Texts and times as functions of one row.

A maker gets its compiled arguments, the result's type and the options, and gives the function, or
None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

import operator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions.row_base import (
    TEXT,
    Arg,
    Maker,
    Options,
    Row,
    RowFunction,
    is_int,
    one,
    two,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_MICRO = timedelta(microseconds=1)


# Texts and times.


def _text(done: Callable[[str], Any]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        return one(args[0].call, done) if args[0].dtype == TEXT else None

    return make


def _with_text(done: Callable[[str, str], bool]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        if not options.get("literal", True) or any(arg.dtype != TEXT for arg in args):
            return None
        return two(args[0].call, args[1].call, done)

    return make


def _concat(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
    if options["ignore_nulls"] or not all(arg.dtype == TEXT or is_int(arg) for arg in args):
        return None
    calls, separator = [arg.call for arg in args], options["separator"]

    def apply(row: Row) -> Any:
        values = [call(row) for call in calls]
        return None if None in values else separator.join(map(str, values))

    return apply


def _date(done: Callable[[Any], int]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        fine = args[0].dtype in (pl.Datetime("us"), pl.Date())
        return one(args[0].call, done) if fine else None

    return make


def _time(done: Callable[[Any], Any]) -> Maker:
    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        return one(args[0].call, done) if args[0].dtype == pl.Datetime("us") else None

    return make


def _total(micros: int) -> Maker:
    def done(value: timedelta) -> int:
        whole = value // _MICRO
        return -(-whole // micros) if whole < 0 else whole // micros

    def make(args: Sequence[Arg], dtype: pl.DataType, options: Options) -> RowFunction | None:
        return one(args[0].call, done) if args[0].dtype == pl.Duration("us") else None

    return make


MAKERS: dict[str, Maker] = {
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
