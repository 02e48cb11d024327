"""bins: which interval a number lies in."""

from __future__ import annotations

import itertools
from bisect import bisect_right
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.expressions.row_base import applied, missing
from raypipe.features.quantiles import QuantileSketch
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    State,
    Transform,
    check_keys,
    check_text,
    slot,
    tampered,
)
from raypipe.features.transforms.numbers import (
    Range,
    as_floats,
    check_finite,
    check_numeric,
    float_code,
    nothing,
    state_numbers,
)
from raypipe.features.transforms.shared import RowsView

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

How = Literal["quantile", "uniform", "given"]
MAX_BINS = 1_000
_FEW = 16  # edges that are compared one by one, several times as fast as a search


@dataclass(frozen=True, slots=True)
class Bins(Transform):
    """``<column>_bin``: how many edges are at or below the value, from 0; null and NaN give null.

    Bin n reaches from its lower edge, which belongs to it, to below the next; the first and the
    last are open, so infinities and values that the fit did not see have a bin. Edges lie between
    the finite values of the fit in equal steps ("uniform") or at their quantiles, or are given.
    Edges that fall together are one: a constant column has a single edge or none, and so few bins.
    """

    column: str
    how: How
    count: int | None
    edges: tuple[float, ...] | None
    kind: ClassVar[str] = "bins"

    @property
    def reads(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The bin's number."""
        check_numeric(self.kind, self.column, schema[self.column])
        return {f"{self.column}_bin": pl.Int64()}

    def state(self, schema: Schema) -> State | None:
        """The range, a quantile sketch, or nothing where the edges are given."""
        if self.count is None:
            return None
        made = _Uniform if self.how == "uniform" else _Quantiles
        return made(self.column, self.count)

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """With the edges."""
        edges = self.edges
        if edges is None:
            if not isinstance(state, list) or len(state) >= (self.count or 0):
                raise tampered(self.kind, "its edges are no list, or too many", self.column)
            edges = tuple(state_numbers(state, self.kind, self.column, len(state)))
            if not _rising(edges):
                raise tampered(self.kind, "its edges do not rise", self.column)
        elif state is not None:
            raise tampered(self.kind, "given edges have a state", self.column)
        return _Binned(tuple(self.outputs(schema)), self.column, edges)

    def to_json(self) -> dict[str, Json]:
        """The settings."""
        edges = None if self.edges is None else list(self.edges)
        return {"column": self.column, "how": self.how, "count": self.count, "edges": edges}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again."""
        check_keys(data, {"column", "how", "count", "edges"}, cls.kind)
        how, count, edges = data["how"], data["count"], data["edges"]
        if not isinstance(how, str) or how not in ("quantile", "uniform", "given"):
            raise tampered(cls.kind, "its way is unknown", "how")
        if (how == "given") != (edges is not None) or (how == "given") != (count is None):
            raise tampered(cls.kind, "count and edges do not fit its way", "edges")
        column = check_text(data["column"], cls.kind, "column")
        if edges is not None:
            return cls(column, "given", None, _checked_edges(edges))
        return cls(column, _checked_how(how), _checked_count(count), None)


class _Uniform(Range):
    def __init__(self, column: str, count: int) -> None:
        super().__init__(column)
        self.count = count

    def finish(self) -> Json:
        if self.empty:
            raise nothing(Bins.kind, self.column, "Give edges.")
        low, width = Fraction(self.low), Fraction(self.high) - Fraction(self.low)
        # Each rounded once, so that a range too wide for a float does no harm.
        edges = {float(low + width * n / self.count) for n in range(1, self.count)}
        return sorted(edges) if width else []


@dataclass(slots=True)
class _Quantiles:
    column: str
    count: int
    sketch: QuantileSketch = field(default_factory=QuantileSketch)

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        self.take(RowsView.of(frame, target))

    def take(self, view: RowsView) -> None:
        self.sketch.merge(view.sketch(self.column))

    def merge(self, other: _Quantiles) -> None:
        self.sketch.merge(other.sketch)

    def finish(self) -> Json:
        if not self.sketch.count:
            raise nothing(Bins.kind, self.column, "Give edges.")
        edges = self.sketch.quantiles([n / self.count for n in range(1, self.count)])
        return np.unique(edges + 0.0).tolist()


@dataclass(frozen=True, slots=True)
class _Binned(Fitted):
    column: str
    edges: tuple[float, ...]

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        value = as_floats(source[self.column])
        if len(self.edges) <= _FEW:
            place = _among(value, self.edges, 0, len(self.edges))
        else:
            edges = pl.lit(pl.Series("edges", self.edges, pl.Float64))
            place = edges.search_sorted(value, side="right")
        made = pl.when(value.is_not_nan()).then(place.cast(pl.Int64))
        return frame.with_columns(made.alias(slot(target[self.outputs[0]])))

    def row(self, source: Slots, target: Slots) -> RowStep:
        have, place = source[self.column], target[self.outputs[0]]
        edges = list(self.edges)

        def step(slots: list[Any]) -> None:
            value = slots[have]
            if value is not None and value == value:
                slots[place] = bisect_right(edges, float(value))

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        value = float_code(write, source[self.column])
        edges, whole = list(self.edges), pl.Int64()
        if not value.nan:
            made = applied(write, whole, lambda number: bisect_right(edges, number), value)
        else:

            def found(number: float) -> int | None:
                return bisect_right(edges, number) if number == number else None

            made = missing(write, whole, found, value)
        write.put(target[self.outputs[0]], made)
        return True


def _among(value: pl.Expr, edges: Sequence[float], low: int, high: int) -> pl.Expr:
    """Which of the bins ``low`` to ``high`` a number lies in, by halves."""
    if low == high:
        return pl.lit(low, dtype=pl.UInt8)
    middle = (low + high) // 2
    above = _among(value, edges, middle + 1, high)
    return pl.when(value >= edges[middle]).then(above).otherwise(_among(value, edges, low, middle))


def _rising(edges: Sequence[float]) -> bool:
    return all(a < b for a, b in itertools.pairwise(edges))


def _checked_how(how: Any) -> Any:
    if not isinstance(how, str) or how not in ("quantile", "uniform"):
        raise RecipeError(
            "bins does not know this way",
            repr(how)[:100],
            'Use "quantile" or "uniform", or give edges.',
            "how",
        )
    return how


def _checked_count(count: Any) -> int:
    if not isinstance(count, int) or isinstance(count, bool) or not 2 <= count <= MAX_BINS:
        raise RecipeError(
            "bins needs a count of bins", repr(count)[:100], f"Give 2 to {MAX_BINS}.", "count"
        )
    return count


def _checked_edges(edges: Any) -> tuple[float, ...]:
    if not isinstance(edges, list | tuple) or not 1 <= len(edges) < MAX_BINS:
        raise RecipeError(
            "bins needs a list of edges", repr(edges)[:100], f"Give 1 to {MAX_BINS - 1}.", "edges"
        )
    numbers = tuple(check_finite(edge, Bins.kind, "edges") for edge in edges)
    if not _rising(numbers):
        raise RecipeError("the edges of bins do not rise", repr(list(edges))[:100], None, "edges")
    return numbers


def bins(
    *columns: str,
    count: int | None = None,
    how: How = "quantile",
    edges: Sequence[float] | None = None,
) -> tuple[Bins, ...]:
    """Which interval numbers lie in, as features named ``<column>_bin``, counted from 0.

    Args:
        *columns: numbers or booleans.
        count: how many bins the fit makes, 2 to 1,000; 10 by default.
        how: "quantile" (each of about as many rows) or "uniform" (of one width).
        edges: in place of count: rising inner edges. A value at an edge is in the bin above it.

    Raises:
        RecipeError: count and edges are both given, or one of them is not usable.
    """
    names = [check_text(column, "bins", "column") for column in columns]
    if edges is not None:
        if count is not None or how == "uniform":
            raise RecipeError("bins takes a count or edges, not both", repr(count), None, "edges")
        given = _checked_edges(edges)
        return tuple(Bins(name, "given", None, given) for name in names)
    number = _checked_count(10 if count is None else count)
    way = _checked_how(how)
    return tuple(Bins(name, way, number, None) for name in names)
