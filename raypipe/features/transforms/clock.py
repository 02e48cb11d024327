"""The parts of a date or a time: how a batch and how one row gives each, and its range."""

from __future__ import annotations

import calendar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True)
class Part:
    """A whole number of a date or a time.

    Args:
        batch: of a column.
        row: of a Python date or datetime.
        first: its least value.
        period: how many values there are before it begins anew; None for what never does.
        timed: whether a date does not have it.
    """

    batch: Callable[[pl.Expr], pl.Expr]
    row: Callable[[Any], int]
    first: int = 0
    period: int | None = None
    timed: bool = False


PARTS: dict[str, Part] = {
    "year": Part(lambda c: c.dt.year(), lambda v: int(v.year)),
    "iso_year": Part(lambda c: c.dt.iso_year(), lambda v: int(v.isocalendar()[0])),
    "quarter": Part(lambda c: c.dt.quarter(), lambda v: (v.month + 2) // 3, 1, 4),
    "month": Part(lambda c: c.dt.month(), lambda v: int(v.month), 1, 12),
    "week": Part(lambda c: c.dt.week(), lambda v: int(v.isocalendar()[1]), 1, 53),
    "day": Part(lambda c: c.dt.day(), lambda v: int(v.day), 1, 31),
    "weekday": Part(lambda c: c.dt.weekday(), lambda v: int(v.isoweekday()), 1, 7),
    "weekend": Part(lambda c: c.dt.weekday() > 5, lambda v: int(v.isoweekday() > 5)),
    "yearday": Part(lambda c: c.dt.ordinal_day(), lambda v: int(v.timetuple().tm_yday), 1, 366),
    "days_in_month": Part(
        lambda c: c.dt.days_in_month(), lambda v: calendar.monthrange(v.year, v.month)[1]
    ),
    "hour": Part(lambda c: c.dt.hour(), lambda v: int(v.hour), 0, 24, True),
    "minute": Part(lambda c: c.dt.minute(), lambda v: int(v.minute), 0, 60, True),
    "second": Part(lambda c: c.dt.second(), lambda v: int(v.second), 0, 60, True),
    "minute_of_day": Part(
        lambda c: c.dt.hour().cast(pl.Int64) * 60 + c.dt.minute().cast(pl.Int64),
        lambda v: int(v.hour * 60 + v.minute),
        0,
        1440,
        True,
    ),
}
