"""Which rows to train on and which to judge on: by time, and by groups that must stay together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from typing import Any

    import numpy as np
    import numpy.typing as npt

Time = TypeVar("Time", datetime, date)
_MOST = 10_000
_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSplit:
    """Rows to train on, then rows to judge on; each span holds its start and not its end.

    Attributes:
        train_start: where training rows begin; ``None`` for the beginning of all.
        train_end: where they end.
        test_start: where the rows to judge on begin, at or after ``train_end``.
        test_end: where they end.
    """

    train_start: datetime | date | None
    train_end: datetime | date
    test_start: datetime | date
    test_end: datetime | date

    def train(self, column: str) -> pl.Expr:
        """A filter for the training rows, by their time in a column."""
        upto = pl.col(column) < self.train_end
        return upto if self.train_start is None else (pl.col(column) >= self.train_start) & upto

    def test(self, column: str) -> pl.Expr:
        """A filter for the rows to judge on."""
        return (pl.col(column) >= self.test_start) & (pl.col(column) < self.test_end)


def rolling_origin(
    start: Time,
    end: Time,
    *,
    horizon: timedelta,
    step: timedelta | None = None,
    window: timedelta | None = None,
    gap: timedelta = timedelta(0),
) -> tuple[TimeSplit, ...]:
    """Splits that walk through time: train on what was known, judge on what came next.

    Tashman, Out-of-sample tests of forecasting accuracy, 2000.

    Args:
        start: the first origin: training rows lie before it.
        end: no row to judge on lies at or after it.
        horizon: how far past its origin each split judges.
        step: from origin to origin; the horizon by default, so that each row is judged on once.
        window: how far back training rows go; to the beginning by default.
        gap: left out before each origin: how late labels come. A training row younger than that
            would have had no label yet.

    Returns:
        The splits in order of time. The last may judge on a shorter span than ``horizon``.

    Raises:
        ConfigError: a span is no timedelta, or not positive (the gap may be zero), ``end`` is not
            after ``start``, one of them is a date and the other a time or only one has a time zone,
            spans of dates are not of whole days, or there would be more than 10,000 splits.
    """
    pace = horizon if step is None else step
    spans = {"horizon": horizon, "step": pace, "window": window}
    for name, span in {**spans, "gap": gap}.items():
        if span is not None and not isinstance(span, timedelta):
            raise ConfigError(f"{name} is a timedelta", span, "Use dates or times.", name)
    for name, span in spans.items():
        if span is not None and span <= timedelta(0):
            raise ConfigError(f"{name} must be longer than nothing", span, field=name)
    if gap < timedelta(0):
        raise ConfigError("gap must not be negative", gap, field="gap")
    _check_ends(start, end)
    for name, span in {**spans, "gap": gap}.items():
        if span is not None and not isinstance(start, datetime) and span % _DAY:
            raise ConfigError(f"{name} is of whole days, as dates are", span, "Give times.", name)
    if (end - start) / pace > _MOST:
        raise ConfigError(f"more than {_MOST:,} splits", pace, "Use a longer step.", "step")
    origins = [start + number * pace for number in range(-(-(end - start) // pace))]
    try:
        return tuple(
            TimeSplit(
                train_start=None if window is None else origin - gap - window,
                train_end=origin - gap,
                test_start=origin,
                test_end=end if end - origin < horizon else origin + horizon,
            )
            for origin in origins
        )
    except OverflowError:
        reach = f"{window or gap} before {start}"
        raise ConfigError("a window begins before all time", reach, field="window") from None


def _check_ends(start: object, end: object) -> None:
    for name, one in (("start", start), ("end", end)):
        if not isinstance(one, date):
            raise ConfigError(f"{name} is a date or a time", repr(one), field=name)
    assert isinstance(start, date)
    assert isinstance(end, date)
    kinds = {
        (isinstance(one, datetime), getattr(one, "tzinfo", None) is None) for one in (start, end)
    }
    if len(kinds) > 1:
        raise ConfigError(
            "start and end are of two kinds",
            f"{start!r} and {end!r}",
            "Give two dates, or two times, both with a time zone or both without.",
            "end",
        )
    if end <= start:
        raise ConfigError("end must be after start", f"{start} to {end}", field="end")


def group_folds(groups: Any, folds: int = 5, *, seed: int = 0) -> npt.NDArray[np.int64]:
    """The fold of each row, 0 to ``folds`` - 1, so that rows of one group are in one fold.

    A group's fold is a hash of its key and the seed: it stays when rows or other groups come or go.
    Folds are equal in groups only on average, and may differ much in rows where a few groups are
    large.

    Args:
        groups: the key of each row (text, numbers, dates); null is a group.
        folds: how many.
        seed: another one gives other folds.

    Raises:
        ConfigError: there are fewer groups than folds, ``folds`` is below 2, or a key is none of
            the above.
    """
    if isinstance(folds, bool) or not isinstance(folds, int) or folds < 2:
        raise ConfigError("folds must be a whole number >= 2", folds, field="folds")
    keys = _keys(groups)
    distinct = keys.unique()
    if distinct.len() < folds:
        raise ConfigError(
            "there are fewer groups than folds", f"{distinct.len()} for {folds}", field="folds"
        )
    fold = [_fold(key, folds, seed) for key in distinct]
    table = pl.DataFrame({"key": distinct, "fold": pl.Series(fold, dtype=pl.Int64)})
    joined = keys.to_frame("key").join(
        table, on="key", how="left", nulls_equal=True, maintain_order="left"
    )
    return joined["fold"].to_numpy()


def _keys(groups: Any) -> pl.Series:
    """The keys as text."""
    try:
        series = groups if isinstance(groups, pl.Series) else pl.Series(list(groups))
        plain = not (series.dtype.is_nested() or series.dtype in (pl.Object, pl.Binary))
        found = str(series.dtype)
    except TypeError:
        plain, found = False, repr(groups)[:80]
    if not plain:
        act = "Give one text, number or date for each row."
        raise ConfigError("groups are the keys of rows", found, act, "groups")
    return series.cast(pl.String)


def _fold(key: str | None, folds: int, seed: int) -> int:
    text = f"{seed}:{'n' if key is None else 'k' + key}"
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") % folds
