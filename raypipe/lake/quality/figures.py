"""Expectations about a batch as a whole: a figure of its rows between two bounds.

Parts measure, measures merge, and the driver judges: what travels is a few numbers a column.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal, get_args

import polars as pl

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.lake.quality.base import OnFail, Rule, built, check_on_fail

Figure = Literal["mean", "null_share", "min", "max", "distinct"]
Now = Callable[[], datetime]
_WHOLE = ("fail", "warn")


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class FigureRule(Rule):
    """A figure of the rows that a write keeps, between two bounds.

    Attributes:
        figure: ``rows``, ``age`` (of the newest value, in seconds) or a ``Figure``.
        low: the least value allowed; None is open.
        high: the greatest; None is open.
        change: how far the figure may be from the one that the write before came to, as a share of
            that one; None is as far as it likes.
        now: tells the time that an age is counted to (naive UTC).
    """

    figure: str
    low: Any = None
    high: Any = None
    change: float | None = None
    now: Now = field(default=_utc_now, compare=False, repr=False)

    def __post_init__(self) -> None:
        why = ": it judges the batch as a whole, and no row of it"
        check_on_fail(self.name, self.on_fail, _WHOLE, why)


def row_count(low: int | None = None, high: int | None = None, on_fail: OnFail = "fail") -> Rule:
    """The write keeps ``low`` to ``high`` rows; an end that is None is open.

    Raises:
        ConfigError: no end, ends that are no whole numbers from 0 or that cross, or an ``on_fail``
            other than fail and warn.
    """
    for end in (low, high):
        if end is not None and (not isinstance(end, int) or isinstance(end, bool) or end < 0):
            raise ConfigError("row_count takes whole numbers from 0", end, None, "low")
    _check_ends("row_count", low, high)
    return FigureRule(f"row_count({low}, {high})", "rows", low, high, on_fail=on_fail)


def freshness(
    column: str, max_age: timedelta, on_fail: OnFail = "fail", *, now: datetime | Now | None = None
) -> Rule:
    """The newest value of a date or time column is at most ``max_age`` old; in the future it is
    fresh. A batch without a value breaks it.

    Args:
        column: of dates or times (naive ones are UTC).
        max_age: how old.
        on_fail: fail or warn.
        now: the time to count to, or what tells it; by default the clock when the write is judged.

    Raises:
        ConfigError: ``max_age`` is no timedelta from 0, or an ``on_fail`` other than these.
    """
    if not isinstance(max_age, timedelta) or max_age < timedelta(0):
        raise ConfigError("freshness takes a timedelta from 0", max_age, None, "max_age")
    clock: dict[str, Any] = {}
    if isinstance(now, datetime):
        clock["now"] = _Fixed(now)
    elif now is not None:
        clock["now"] = now
    name = f"freshness({column}, {max_age})"
    return FigureRule(
        name, "age", None, max_age.total_seconds(), on_fail=on_fail, columns=(column,), **clock
    )


@dataclass(frozen=True, slots=True)
class _Fixed:
    """A clock that stands; it pickles, as a lambda would not."""

    at: datetime

    def __call__(self) -> datetime:
        return self.at


def column_stat(
    column: str,
    figure: Figure,
    low: Any = None,
    high: Any = None,
    *,
    against_previous: float | None = None,
    on_fail: OnFail = "fail",
) -> Rule:
    """A figure of a column over the rows that the write keeps lies within bounds.

    Of a masked column it is the figure of what is stored. ``mean``, ``min`` and ``max`` of a batch
    without a value are none, which breaks a bound. ``distinct`` counts values other than null,
    exactly.

    Args:
        column: the column.
        figure: ``"mean"``, ``"null_share"`` (0 to 1), ``"min"``, ``"max"`` or ``"distinct"``.
        low: the least value allowed; None is open.
        high: the greatest; None is open.
        against_previous: how far the figure may be from that of the write before, as a share of
            it: 0.2 is a fifth up or down. The first write with this expectation has none before
            it, and holds. Numbers only.
        on_fail: fail or warn.

    Raises:
        ConfigError: no such figure, no bound at all, bounds that cross, or an ``on_fail`` other
            than fail and warn.
    """
    if figure not in get_args(Figure):
        names = ", ".join(get_args(Figure))
        raise ConfigError("column_stat has no such figure", figure, f"Use {names}.", "figure")
    if low is None and high is None and against_previous is None:
        raise ConfigError(
            "column_stat has no bound", column, "Give low, high or against_previous.", "low"
        )
    if low is not None or high is not None:
        _check_ends("column_stat", low, high)
    if against_previous is not None and not (
        isinstance(against_previous, int | float) and 0 <= against_previous < math.inf
    ):
        raise ConfigError(
            "against_previous is a share from 0", against_previous, None, "against_previous"
        )
    bounds = f"{low}, {high}"
    if against_previous is not None:
        bounds += f", ±{against_previous:g}"
    return FigureRule(
        f"column_stat({column}, {figure}, {bounds})",
        figure,
        low,
        high,
        against_previous,
        on_fail=on_fail,
        columns=(column,),
    )


def _check_ends(what: str, low: Any, high: Any) -> None:
    if low is None and high is None:
        raise ConfigError(f"{what} has no end", (low, high), "Give low, high or both.", "low")
    both = low is not None and high is not None
    if both and built(what, (low, high), lambda: bool(low > high)):
        raise ConfigError(f"{what} can never hold", (low, high), "Give low first.", "low")


@dataclass(frozen=True, slots=True)
class ColumnMeasure:
    """What one part tells of a column; two of them merge.

    Attributes:
        values: values other than null.
        total: their sum, for numbers.
        low: the least; a NaN counts as no value here, and makes ``total`` NaN.
        high: the greatest.
    """

    values: int = 0
    total: float = 0.0
    low: Any = None
    high: Any = None


@dataclass(frozen=True, slots=True)
class Measures:
    """What one part tells of the rows that it keeps; two of them merge."""

    rows: int = 0
    columns: Mapping[str, ColumnMeasure] = field(default_factory=dict)

    def __add__(self, other: Measures) -> Measures:
        names = dict.fromkeys([*self.columns, *other.columns])
        merged = {n: _merged(self.columns.get(n), other.columns.get(n)) for n in names}
        return Measures(self.rows + other.rows, merged)


def _merged(left: ColumnMeasure | None, right: ColumnMeasure | None) -> ColumnMeasure:
    one, two = left or ColumnMeasure(), right or ColumnMeasure()
    lows = [m.low for m in (one, two) if m.low is not None]
    highs = [m.high for m in (one, two) if m.high is not None]
    return ColumnMeasure(
        one.values + two.values,
        one.total + two.total,
        min(lows, default=None),
        max(highs, default=None),
    )


def measured_columns(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The columns that parts must measure for these rules."""
    return tuple(dict.fromkeys(c for r in rules if isinstance(r, FigureRule) for c in r.columns))


def measure(frame: pl.DataFrame, columns: Sequence[str]) -> Measures:
    """One part's measures, of rows as they are stored. Columns that are not there are left out."""
    here = [name for name in columns if name in frame.columns]
    return Measures(frame.height, {name: _measure(frame[name]) for name in here})


def _measure(column: pl.Series) -> ColumnMeasure:
    dtype = column.dtype
    values = column.len() - column.null_count()
    if values == 0 or dtype.is_nested() or isinstance(dtype, pl.Binary):
        return ColumnMeasure(values)
    total: Any = column.cast(pl.Float64).sum() if dtype.is_numeric() else 0.0
    if dtype.is_float():
        column = column.fill_nan(None)
    return ColumnMeasure(values, float(total), column.min(), column.max())


@dataclass(frozen=True, slots=True)
class Judged:
    """What a figure came to: its value (None: there is none), and whether it is within bounds."""

    value: Any
    holds: bool
    why: str = ""


def judge(rule: FigureRule, found: Measures, distinct: int | None, previous: Any) -> Judged:
    """Judges one figure.

    Args:
        rule: the expectation.
        found: all parts' measures, merged.
        distinct: the count of distinct values, for that figure.
        previous: the figure of the write before, None when there is none.
    """
    value = _value(rule, found, distinct)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        bound = rule.low is not None or rule.high is not None
        return Judged(None, not bound, "there is no value" if bound else "")
    if rule.low is not None and _less(value, rule.low):
        return Judged(value, False, f"{value} is below {rule.low}")
    if rule.high is not None and _less(rule.high, value):
        return Judged(value, False, f"{value} is above {rule.high}")
    if rule.change is not None and previous is not None and _is_number(value):
        allowed = abs(previous) * rule.change
        if abs(value - previous) > allowed:
            why = f"{value} is further than {rule.change:g} of it from {previous}, the one before"
            return Judged(value, False, why)
    return Judged(value, True)


def _value(rule: FigureRule, found: Measures, distinct: int | None) -> Any:
    if rule.figure == "rows":
        return found.rows
    column = found.columns.get(rule.columns[0], ColumnMeasure())
    if rule.figure == "distinct":
        return distinct
    if rule.figure == "null_share":
        return (found.rows - column.values) / found.rows if found.rows else None
    if rule.figure == "mean":
        return column.total / column.values if column.values else None
    if rule.figure == "age":
        if column.high is None:
            return None
        now, newest = _comparable(rule.now(), column.high)
        return (now - newest).total_seconds()
    return column.low if rule.figure == "min" else column.high


def _less(left: Any, right: Any) -> bool:
    one, two = _comparable(left, right)
    return bool(one < two)


def _comparable(left: Any, right: Any) -> tuple[Any, Any]:
    """Dates as midnights and times as naive UTC, so that any two can be compared."""
    if isinstance(left, date) and isinstance(right, date):
        return _naive(left), _naive(right)
    return left, right


def _naive(value: date) -> datetime:
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day)
    return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def check_figure(rule: FigureRule, schema: Mapping[str, pl.DataType], source: str) -> None:
    """The figure can be told of the column, and bounds are of its kind.

    Raises:
        SchemaError: it is otherwise.
    """
    if not rule.columns:
        return
    name = rule.columns[0]
    dtype = schema[name]
    clock = isinstance(dtype, pl.Date | pl.Datetime)
    ordered = dtype.is_numeric() or clock or isinstance(dtype, pl.String | pl.Boolean)
    fits = {"mean": dtype.is_numeric(), "age": clock, "min": ordered, "max": ordered}
    good = fits.get(rule.figure, not dtype.is_nested())
    if rule.change is not None and rule.figure in ("min", "max"):
        good = good and dtype.is_numeric()
    if good and rule.figure in ("min", "max"):
        for end in (rule.low, rule.high):
            good = good and (end is None or _alike(dtype, end))
    if not good:
        raise SchemaError(
            f"expectation {rule.name!r} does not fit {source}",
            f"a column of type {dtype}",
            "Ask for a figure that this type has, with bounds of its own kind.",
            name,
        )


def _alike(dtype: pl.DataType, end: object) -> bool:
    if dtype.is_numeric():
        return _is_number(end)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return isinstance(end, date)
    return isinstance(end, bool if isinstance(dtype, pl.Boolean) else str)
