"""Expectations: what rows must be, and what happens to those that are not.

Those that look at one row hold for a null value, but for ``not_null``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from numbers import Number
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, RecipeError, SchemaError
from raypipe.expressions import encode
from raypipe.lake.quality.base import OnFail, Rule, built, first_line
from raypipe.lake.quality.figures import (
    FigureRule,
    check_figure,
    column_stat,
    freshness,
    row_count,
)
from raypipe.lake.quality.keys import ForeignKeyRule, UniqueRule, check_keys, foreign_key, unique

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.quality.masks import Mask

__all__ = [
    "Expectation",
    "OnFail",
    "Rule",
    "between",
    "column_stat",
    "foreign_key",
    "freshness",
    "in_set",
    "matches",
    "not_null",
    "row_count",
    "that",
    "unique",
]


@dataclass(frozen=True, slots=True)
class Expectation(Rule):
    """A rule that each row keeps or breaks by itself.

    Attributes:
        holds: a boolean expression; null counts as true.
        values: what values of the (only) column are compared with; they must be of its kind.
    """

    holds: pl.Expr = field(compare=False)
    values: tuple[Any, ...] = field(default=(), compare=False)

    def broken(self) -> pl.Expr:
        """True where a row breaks the rule; never null."""
        return self.holds.fill_null(True).not_().alias(self.name)


def not_null(*columns: str, on_fail: OnFail = "fail") -> tuple[Expectation, ...]:
    """Every one of the columns has a value (NaN is one).

    Raises:
        ConfigError: no column is named.
    """
    if not columns:
        raise ConfigError("not_null names no column", None, "Name one or more.", "columns")
    return tuple(
        Expectation(f"not_null({c})", pl.col(c).is_not_null(), on_fail=on_fail, columns=(c,))
        for c in columns
    )


def between(column: str, low: Any, high: Any, on_fail: OnFail = "fail") -> Expectation:
    """``low <= value <= high``; an end that is None is open. NaN breaks it.

    Raises:
        ConfigError: both ends are None, low is above high, or the two cannot be compared.
    """
    if low is None and high is None:
        raise ConfigError("between has no end", (low, high), "Give low, high or both.", "low")
    ends = tuple(end for end in (low, high) if end is not None)
    if len(ends) == 2 and built("between", ends, lambda: bool(low > high)):
        raise ConfigError("between can never hold", (low, high), "Give low first.", "low")
    holds = built("between", ends, lambda: _within(pl.col(column), low, high))
    name = f"between({column}, {low}, {high})"
    return Expectation(name, holds, ends, on_fail=on_fail, columns=(column,))


def _within(value: pl.Expr, low: Any, high: Any) -> pl.Expr:
    holds = pl.lit(True)
    if low is not None:
        holds = holds & (value >= low)
        if high is None and isinstance(low, int | float):
            # polars orders NaN above every number: an open upper end would let it through.
            holds = holds & value.cast(pl.Float64).is_not_nan()
    if high is not None:
        holds = holds & (value <= high)
    return holds


def in_set(column: str, values: Collection[Any], on_fail: OnFail = "fail") -> Expectation:
    """The value is one of ``values``.

    Raises:
        ConfigError: no value is given, a string instead of a collection, or values of two kinds.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Collection) or not len(values):
        raise ConfigError("in_set needs a collection of values", values, None, "values")
    items = sorted(values, key=repr)
    shown = ", ".join(map(repr, items[:5])) + (", …" if len(items) > 5 else "")
    holds = built("in_set", shown, lambda: pl.col(column).is_in(items))
    name = f"in_set({column}, {shown})"
    return Expectation(name, holds, tuple(items), on_fail=on_fail, columns=(column,))


def matches(column: str, regex: str, on_fail: OnFail = "fail") -> Expectation:
    """The whole string matches the regular expression (Rust syntax: no look-around).

    Raises:
        ConfigError: the expression is not one.
    """
    whole = f"^(?:{regex})$"
    try:
        pl.select(pl.lit("").str.contains(whole, strict=True))
    except pl.exceptions.ComputeError as error:
        reason = str(error).split("\n", 1)[0]
        raise ConfigError(
            "not a regular expression", f"{regex!r}: {reason}", None, "regex"
        ) from None
    holds = pl.col(column).str.contains(whole)
    return Expectation(f"matches({column}, {regex})", holds, on_fail=on_fail, columns=(column,))


def that(expr: pl.Expr, name: str, on_fail: OnFail = "fail") -> Expectation:
    """Any boolean expression over the columns of one row.

    Raises:
        ConfigError: it is no expression, not row-wise, or holds a Python function.
    """
    try:
        encode(expr)
    except RecipeError as error:
        raise ConfigError(
            f"expectation {name!r} cannot be used: {error.what}", error.got, error.act, "expr"
        ) from None
    columns = tuple(expr.meta.root_names())
    return Expectation(name, expr, on_fail=on_fail, columns=columns)


def named(expect: Sequence[Rule], masks: Mapping[str, Mask]) -> tuple[Rule, ...]:
    """The expectations with names that hold no value of a masked column.

    Names stand in logs, reports and quarantined rows; a list of addresses does not belong there.
    """
    return tuple(
        replace(one, name=f"in_set({one.columns[0]}, {len(one.values)} values)")
        if isinstance(one, Expectation)
        and masks.keys() & set(one.columns)
        and one.name.startswith("in_set(")
        else one
        for one in expect
    )


def flatten(expect: Rule | Sequence[Rule | Sequence[Rule]]) -> tuple[Rule, ...]:
    """Expectations in one tuple, each of another name; a single one need not be in a list.

    Raises:
        ConfigError: an item is no expectation, or two have one name.
    """
    found: list[Rule] = []
    for item in expect if isinstance(expect, list | tuple) else (expect,):
        found.extend(item if isinstance(item, list | tuple) else [item])
    seen: set[str] = set()
    for one in found:
        if not isinstance(one, Rule):
            raise ConfigError("not an expectation", type(one).__name__, None, "expect")
        if one.name in seen:
            raise ConfigError(
                "two expectations have one name", one.name, "Name one anew.", "expect"
            )
        seen.add(one.name)
    return tuple(found)


def check_types(
    expect: Sequence[Rule],
    schema: Mapping[str, pl.DataType],
    source: str,
    masks: Mapping[str, Mask] | None = None,
) -> None:
    """Every expectation fits the columns' types, and one for rows tells true or false of each.

    Raises:
        SchemaError: one does not; a rule of another type would sort rows by something else.
        ConfigError: keys cannot be compared once they are masked.
    """
    empty = pl.DataFrame(schema=dict(schema))
    for one in expect:
        _refuse_missing(one, empty.columns, source)
        if isinstance(one, FigureRule):
            check_figure(one, schema, source)
        if isinstance(one, UniqueRule | ForeignKeyRule):
            check_keys(one, schema, masks or {}, source)
        if not isinstance(one, Expectation):
            continue
        for value in one.values:
            if not _of_kind(schema[one.columns[0]], value):
                raise SchemaError(
                    f"expectation {one.name!r} does not fit {source}",
                    f"{value!r} for a column of type {schema[one.columns[0]]}",
                    "Compare with values of the column's own kind.",
                    one.columns[0],
                )
        try:
            found = empty.select(one.holds.alias("holds")).schema["holds"]
        except (pl.exceptions.PolarsError, TypeError, ValueError, OverflowError) as error:
            raise SchemaError(
                f"an expectation does not fit {source}", f"{[one.name]}: {first_line(error)}"
            ) from error
        if not isinstance(found, pl.Boolean):
            raise SchemaError(
                f"expectation {one.name!r} must be boolean",
                str(found),
                "Write a comparison, such as pl.col('x') > 0.",
                one.columns[0] if one.columns else None,
            )


def _of_kind(dtype: pl.DataType, value: object) -> bool:
    if value is None:
        return True
    if dtype.is_numeric():
        return isinstance(value, Number) and not isinstance(value, bool)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return isinstance(value, date | datetime)
    kinds: dict[type[pl.DataType], type] = {pl.String: str, pl.Boolean: bool, pl.Binary: bytes}
    return isinstance(value, kinds.get(type(dtype), object))


def _refuse_missing(one: Rule, columns: Sequence[str], source: str) -> None:
    missing = [c for c in one.columns if c not in columns]
    if missing:
        raise SchemaError(
            f"expectation {one.name!r} needs column {missing[0]!r}, which {source} lacks",
            f"columns {list(columns)}",
            None,
            missing[0],
        )


@dataclass(frozen=True, slots=True)
class Split:
    """A frame sorted by what its rows broke.

    Attributes:
        kept: the rows to be written.
        quarantined: the rows for the quarantine table, with ``_reasons`` (a list of names).
        dropped: how many rows are left out.
        broken: rows that broke each expectation, in their order.
    """

    kept: pl.DataFrame
    quarantined: pl.DataFrame
    dropped: int
    broken: tuple[int, ...]


def apply(frame: pl.DataFrame, expect: Sequence[Expectation], source: str) -> Split:
    """Judges every row. A row that quarantines and drops at once is quarantined.

    Raises:
        SchemaError: an expectation needs a column that is not there, or of another type.
    """
    if not expect:
        empty = frame.clear().with_columns(_reasons=pl.lit([], dtype=pl.List(pl.String)))
        return Split(frame, empty, 0, ())
    if _all_hold(frame, expect):
        nobody = _refused(frame.clear(), frame.clear(), [])
        return Split(frame, nobody, 0, (0,) * len(expect))
    flags = _flags(frame, expect, source)
    broken = tuple(int(flags[one.name].sum()) for one in expect)
    hit = {
        action: [e.name for e, n in zip(expect, broken, strict=True) if n and e.on_fail == action]
        for action in ("quarantine", "drop")
    }
    if not hit["quarantine"] and not hit["drop"]:
        return Split(frame, _refused(frame.clear(), flags.clear(), []), 0, broken)
    judged = flags.select(
        pl.any_horizontal(pl.lit(False), *hit["quarantine"]).alias("bad"),
        pl.any_horizontal(pl.lit(False), *hit["drop"]).alias("gone"),
    )
    bad, gone = judged["bad"], judged["gone"]
    return Split(
        frame.filter(~(bad | gone)),
        _refused(frame.filter(bad), flags.filter(bad), hit["quarantine"]),
        int((gone & ~bad).sum()),
        broken,
    )


def _all_hold(frame: pl.DataFrame, expect: Sequence[Expectation]) -> bool:
    """Whether no row breaks anything: the usual case, told in one pass that keeps nothing.

    False also where this cannot tell: who looks at each row then says what is wrong.
    """
    flags = [one.broken().alias(f"{i}") for i, one in enumerate(expect)]
    sums = [pl.col(f"{i}").sum() for i in range(len(expect))]
    try:
        found = frame.lazy().select(flags).select(*sums, rows=pl.len()).collect().row(0)
    except pl.exceptions.PolarsError:
        return False
    return bool(found[-1] == frame.height and not any(found[:-1]))


def _refused(rows: pl.DataFrame, flags: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    reasons = [pl.when(pl.col(name)).then(pl.lit(name)) for name in names]
    if not reasons:
        return rows.with_columns(pl.lit([], dtype=pl.List(pl.String)).alias("_reasons"))
    found = flags.select(pl.concat_list(reasons).list.drop_nulls().alias("_reasons"))
    return rows.with_columns(found.to_series())


def _flags(frame: pl.DataFrame, expect: Sequence[Expectation], source: str) -> pl.DataFrame:
    for one in expect:
        _refuse_missing(one, frame.columns, source)
    try:
        flags = frame.select(one.broken() for one in expect)
    except pl.exceptions.PolarsError as error:
        got = f"{[one.name for one in expect]}: {first_line(error)}"
        raise SchemaError(f"an expectation does not fit {source}", got) from error
    if flags.height != frame.height:
        raise ConfigError("an expectation must look at each row", [e.name for e in expect])
    return flags
