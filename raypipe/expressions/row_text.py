"""Texts and times as code of one row.

A maker gets a writer, the values of its arguments, the result's type and the options, and gives
the result, or None for types on which it is not known to agree with polars.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.expressions.row_base import (
    TEXT,
    Maker,
    Options,
    Value,
    applied,
    is_int,
    strict,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from raypipe.expressions.code import Writer

_MICRO = timedelta(microseconds=1)


def _text(done: Callable[[str], Any]) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        return applied(write, dtype, done, args[0]) if args[0].dtype == TEXT else None

    return make


def _with_text(done: Callable[[str, str], bool] | None) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        if not options.get("literal", True) or any(arg.dtype != TEXT for arg in args):
            return None
        if done is None:
            return strict(write, dtype, "({1} in {0})", *args)
        return applied(write, dtype, done, *args)

    return make


def _concat(
    write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
) -> Value | None:
    if options["ignore_nulls"] or not all(arg.dtype == TEXT or is_int(arg) for arg in args):
        return None
    separator: str = options["separator"]
    return applied(write, dtype, lambda *values: separator.join(map(str, values)), *args)


def _of_date(template: str) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        fine = args[0].dtype in (pl.Datetime("us"), pl.Date())
        return strict(write, dtype, template, args[0]) if fine else None

    return make


def _date(done: Callable[[Any], int]) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        fine = args[0].dtype in (pl.Datetime("us"), pl.Date())
        return applied(write, dtype, done, args[0]) if fine else None

    return make


def _of_time(template: str) -> Maker:
    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        fine = args[0].dtype == pl.Datetime("us")
        return strict(write, dtype, template, args[0]) if fine else None

    return make


def _total(micros: int) -> Maker:
    def done(value: timedelta) -> int:
        whole = value // _MICRO
        return -(-whole // micros) if whole < 0 else whole // micros

    def make(
        write: Writer, args: Sequence[Value], dtype: pl.DataType, options: Options
    ) -> Value | None:
        fine = args[0].dtype == pl.Duration("us")
        return applied(write, dtype, done, args[0]) if fine else None

    return make


MAKERS: dict[str, Maker] = {
    "len_chars": _text(len),
    "len_bytes": _text(lambda value: len(value.encode())),
    "starts_with": _with_text(str.startswith),
    "ends_with": _with_text(str.endswith),
    "contains": _with_text(None),
    "concat_str": _concat,
    "year": _of_date("{}.year"),
    "quarter": _date(lambda value: (int(value.month) + 2) // 3),
    "month": _of_date("{}.month"),
    "week": _date(lambda value: int(value.isocalendar()[1])),
    "weekday": _of_date("{}.isoweekday()"),
    "day": _of_date("{}.day"),
    "ordinal_day": _date(lambda value: int(value.timetuple().tm_yday)),
    "hour": _of_time("{}.hour"),
    "minute": _of_time("{}.minute"),
    "second": _of_time("{}.second"),
    "dt_date": _of_time("{}.date()"),
    "total_days": _total(86_400_000_000),
    "total_hours": _total(3_600_000_000),
    "total_minutes": _total(60_000_000),
    "total_seconds": _total(1_000_000),
    "total_milliseconds": _total(1_000),
    "total_microseconds": _total(1),
}
