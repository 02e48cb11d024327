"""Expectations: what rows must be, and what happens to those that are not.

All of them hold for a null value, but for ``not_null``.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date, datetime
from numbers import Number
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import polars as pl

from raypipe.core.errors import ConfigError, RecipeError, SchemaError
from raypipe.expressions import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

OnFail = Literal["fail", "drop", "quarantine", "warn"]
_T = TypeVar("_T")

__all__ = ["Expectation", "OnFail", "between", "in_set", "matches", "not_null", "that"]


@dataclass(frozen=True, slots=True)
class Expectation:
    """A rule for rows.

    Attributes:
        name: how reports and quarantined rows name it.
        holds: a boolean expression; null counts as true.
        on_fail: ``"fail"`` commits nothing, ``"drop"`` leaves the rows out, ``"quarantine"`` puts
            them into the quarantine table with reasons, ``"warn"`` keeps them and logs.
        columns: the columns it looks at.
        values: what values of the (only) column are compared with; they must be of its kind.
    """

    name: str
    holds: pl.Expr = field(compare=False)
    on_fail: OnFail = "fail"
    columns: tuple[str, ...] = ()
    values: tuple[Any, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        if self.on_fail not in get_args(OnFail):
            raise ConfigError(
                f"expectation {self.name!r} has no such on_fail",
                self.on_fail,
                f"Use one of {', '.join(get_args(OnFail))}.",
                "on_fail",
            )

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
        Expectation(f"not_null({c})", pl.col(c).is_not_null(), on_fail, (c,)) for c in columns
    )


def between(column: str, low: Any, high: Any, on_fail: OnFail = "fail") -> Expectation:
    """``low <= value <= high``; an end that is None is open. NaN breaks it.

    Raises:
        ConfigError: both ends are None, low is above high, or the two cannot be compared.
    """
    if low is None and high is None:
        raise ConfigError("between has no end", (low, high), "Give low, high or both.", "low")
    ends = tuple(end for end in (low, high) if end is not None)
    if len(ends) == 2 and _built("between", ends, lambda: bool(low > high)):
        raise ConfigError("between can never hold", (low, high), "Give low first.", "low")
    holds = _built("between", ends, lambda: _within(pl.col(column), low, high))
    return Expectation(f"between({column}, {low}, {high})", holds, on_fail, (column,), ends)


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


def _built(what: str, values: object, build: Callable[[], _T]) -> _T:
    """What ``build`` makes of a caller's values; values that polars cannot take are a mistake."""
    try:
        return build()
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
        raise ConfigError(
            f"{what} cannot use these values",
            f"{values!r}: {_reason(error)}",
            "Give plain values of one kind.",
            "values",
        ) from error


def _reason(error: BaseException) -> str:
    return str(error).split("\n", 1)[0]


def in_set(column: str, values: Collection[Any], on_fail: OnFail = "fail") -> Expectation:
    """The value is one of ``values``.

    Raises:
        ConfigError: no value is given, a string instead of a collection, or values of two kinds.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Collection) or not len(values):
        raise ConfigError("in_set needs a collection of values", values, None, "values")
    items = sorted(values, key=repr)
    shown = ", ".join(map(repr, items[:5])) + (", …" if len(items) > 5 else "")
    holds = _built("in_set", shown, lambda: pl.col(column).is_in(items))
    return Expectation(f"in_set({column}, {shown})", holds, on_fail, (column,), tuple(items))


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
    return Expectation(
        f"matches({column}, {regex})", pl.col(column).str.contains(whole), on_fail, (column,)
    )


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
    return Expectation(name, expr, on_fail, tuple(expr.meta.root_names()))


def flatten(expect: Sequence[Expectation | Sequence[Expectation]]) -> tuple[Expectation, ...]:
    """Expectations in one tuple, with names made unique.

    Raises:
        ConfigError: an item is no expectation, or two have one name.
    """
    found: list[Expectation] = []
    for item in expect:
        found.extend([item] if isinstance(item, Expectation) else item)
    seen: set[str] = set()
    for one in found:
        if not isinstance(one, Expectation):
            raise ConfigError("not an expectation", type(one).__name__, None, "expect")
        if one.name in seen:
            raise ConfigError(
                "two expectations have one name", one.name, "Name one anew.", "expect"
            )
        seen.add(one.name)
    return tuple(found)


def check_types(
    expect: Sequence[Expectation], schema: Mapping[str, pl.DataType], source: str
) -> None:
    """Every expectation fits the columns' types and tells true or false of a row.

    Raises:
        SchemaError: one does not; a rule of another type would sort rows by something else.
    """
    empty = pl.DataFrame(schema=dict(schema))
    for one in expect:
        _refuse_missing(one, empty.columns, source)
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
                f"an expectation does not fit {source}", f"{[one.name]}: {_reason(error)}"
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


def _refuse_missing(one: Expectation, columns: Sequence[str], source: str) -> None:
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
    flags = _flags(frame, expect, source)
    hit = {
        action: [e.name for e in expect if e.on_fail == action] for action in ("quarantine", "drop")
    }
    reasons = [pl.when(pl.col(name)).then(pl.lit(name)) for name in hit["quarantine"]]
    judged = flags.with_columns(
        pl.any_horizontal(pl.lit(False), *hit["quarantine"]).alias("_bad"),
        pl.any_horizontal(pl.lit(False), *hit["drop"]).alias("_gone"),
        pl.concat_list(reasons or [pl.lit(None, pl.String)]).list.drop_nulls().alias("_reasons"),
    )
    bad, gone = judged["_bad"], judged["_gone"]
    return Split(
        frame.filter(~(bad | gone)),
        frame.with_columns(judged["_reasons"]).filter(bad),
        int((gone & ~bad).sum()),
        tuple(int(flags[e.name].sum()) for e in expect),
    )


def _flags(frame: pl.DataFrame, expect: Sequence[Expectation], source: str) -> pl.DataFrame:
    for one in expect:
        _refuse_missing(one, frame.columns, source)
    try:
        flags = frame.select(one.broken() for one in expect)
    except pl.exceptions.PolarsError as error:
        got = f"{[one.name for one in expect]}: {_reason(error)}"
        raise SchemaError(f"an expectation does not fit {source}", got) from error
    if flags.height != frame.height:
        raise ConfigError("an expectation must look at each row", [e.name for e in expect])
    return flags
