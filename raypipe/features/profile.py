"""The reference profile: how each raw input was spread over the rows of the fit."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.identity import canonical_json
from raypipe.features.stored import load
from raypipe.features.transforms.base import check_keys, is_number, tampered
from raypipe.features.transforms.categories import coded, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

BINS = 32
TOP = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnProfile:
    """One raw input.

    Args:
        name: the column.
        kind: "numeric" (integers, floats) or "categorical" (strings, booleans).
        edges: rising; bin i holds ``edges[i-1] <= x < edges[i]``, the first and last are open.
            They are the distinct values at the 1/32, 2/32, … 31/32 quantiles of the fit.
        categories: up to 64, the most frequent first, ties in text order; booleans are "false" and
            "true".
        counts: rows of the fit by bin (one more than edges), or by category and last all others.
        nulls: rows of the fit with null or NaN.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...]
    nulls: int

    def codes(self, series: pl.Series) -> npt.NDArray[np.int64]:
        """The bin or category of each value; null and NaN get ``len(counts)``.

        Args:
            series: numbers or booleans for a numeric column; strings or booleans for a
                categorical one.

        Raises:
            RecipeError: the series is of another type.
        """
        if self.kind == "numeric":
            if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
                raise self._wrong(series)
            values = series.cast(pl.Float64).fill_null(math.nan).to_numpy()
            codes = np.searchsorted(np.asarray(self.edges, np.float64), values, side="right")
            codes[np.isnan(values)] = len(self.counts)
            return codes.astype(np.int64)
        if series.dtype not in (pl.String, pl.Boolean, pl.Categorical, pl.Enum, pl.Null):
            raise self._wrong(series)
        if not self.categories or series.dtype == pl.Null:
            found = pl.select(pl.when(series.is_null()).then(1).otherwise(0)).to_series()
            return np.where(found.to_numpy() == 1, len(self.counts), len(self.counts) - 1)
        other, missing = len(self.categories), len(self.counts)
        found = series.cast(pl.String).replace_strict(
            list(self.categories),
            list(range(other)),
            default=other,
            return_dtype=pl.Int64,
        )
        return np.where(series.is_null().to_numpy(), missing, found.to_numpy()).astype(np.int64)

    def _wrong(self, series: pl.Series) -> RecipeError:
        return RecipeError(
            f"the profile of {self.name!r} is {self.kind}", str(series.dtype), None, self.name
        )

    def to_json(self) -> dict[str, Any]:
        """The profile as JSON."""
        return {
            "name": self.name,
            "kind": self.kind,
            "edges": list(self.edges),
            "categories": list(self.categories),
            "counts": list(self.counts),
            "nulls": self.nulls,
        }

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """The other way of ``to_json``.

        Raises:
            RecipeError: it is not a profile that this library wrote.
        """
        check_keys(data, {"name", "kind", "edges", "categories", "counts", "nulls"}, "profile")
        name, kind = data["name"], data["kind"]
        edges, categories, counts = data["edges"], data["categories"], data["counts"]
        if not isinstance(name, str) or kind not in ("numeric", "categorical"):
            raise tampered("profile", "name or kind is wrong", "profile")
        if not all(isinstance(part, list) for part in (edges, categories, counts)):
            raise tampered("profile", "edges, categories and counts are not lists", name)
        if not all(is_number(edge) and math.isfinite(edge) for edge in edges):
            raise tampered("profile", "an edge is not a finite number", name)
        if any(a >= b for a, b in itertools.pairwise(edges)) or len(edges) >= BINS:
            raise tampered("profile", "the edges do not rise, or are too many", name)
        if not all(isinstance(c, str) for c in categories) or len(categories) > TOP:
            raise tampered("profile", "the categories are not texts, or are too many", name)
        whole = all(isinstance(n, int) and n >= 0 for n in [*counts, data["nulls"]])
        if not whole or len(counts) != 1 + len(edges if kind == "numeric" else categories):
            raise tampered("profile", "the counts do not fit", name)
        return cls(
            name=name,
            kind=kind,
            edges=tuple(map(float, edges)),
            categories=tuple(categories),
            counts=tuple(counts),
            nulls=data["nulls"],
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile of every raw input of a recipe that is a number, a string or a boolean."""

    columns: dict[str, ColumnProfile]

    def to_json(self) -> str:
        """Canonical JSON text."""
        return canonical_json(self.to_data())

    def to_data(self) -> dict[str, Any]:
        """What ``to_json`` writes, as plain values."""
        return {"version": 1, "columns": [column.to_json() for column in self.columns.values()]}

    @classmethod
    def from_json(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        """The other way of ``to_json``, from its text or the values in it.

        Raises:
            RecipeError: it is not a profile that this library wrote.
        """
        found = load(data, "profile")
        check_keys(found, {"version", "columns"}, "profile")
        if found["version"] != 1 or not isinstance(found["columns"], list):
            raise tampered("profile", "its version is unknown", "version")
        columns = [ColumnProfile.from_json(column) for column in found["columns"]]
        return cls({column.name: column for column in columns})


@dataclass(slots=True)
class ProfileState:
    """What one pass gathers for the profile: distinct values with counts, merged in any order."""

    types: Mapping[str, str]
    rows: int = 0
    values: dict[str, list[tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]]] = field(
        default_factory=dict
    )
    categories: dict[str, dict[str, int]] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    nulls: dict[str, int] = field(default_factory=dict)

    def update(self, frame: pl.DataFrame) -> None:
        """Takes the rows of a part: raw columns in their raw types."""
        self.rows += frame.height
        for name, kind in self.types.items():
            column = frame[name]
            self.nulls[name] = self.nulls.get(name, 0) + column.null_count()
            present = column.drop_nulls()
            if kind in ("int64", "float64"):
                values = present.cast(pl.Float64).to_numpy()
                values = np.sort(values[~np.isnan(values)])
                starts = np.flatnonzero(np.r_[len(values) > 0, values[1:] != values[:-1]])
                counts = np.diff(starts, append=len(values))
                self.values.setdefault(name, []).append((values[starts], counts))
                present_rows = len(values)
            else:
                present_rows = len(present)
            if kind in ("string", "bool"):
                keys, codes = coded(present)
                found = self.categories.setdefault(name, {})
                for key, count in zip(keys, np.bincount(codes, minlength=len(keys)), strict=True):
                    found[shown(key)] = found.get(shown(key), 0) + int(count)
            self.missing[name] = self.missing.get(name, 0) + len(column) - present_rows

    def merge(self, other: ProfileState) -> None:
        """Takes the state of the part that follows."""
        self.rows += other.rows
        for name, chunks in other.values.items():
            self.values.setdefault(name, []).extend(chunks)
        for name, counts in other.categories.items():
            mine = self.categories.setdefault(name, {})
            for key, count in counts.items():
                mine[key] = mine.get(key, 0) + count
        for mine_of, theirs in ((self.missing, other.missing), (self.nulls, other.nulls)):
            for name, count in theirs.items():
                mine_of[name] = mine_of.get(name, 0) + count

    def finish(self) -> Profile:
        """The profile of all rows."""
        columns: dict[str, ColumnProfile] = {}
        for name, kind in self.types.items():
            if kind in ("int64", "float64"):
                columns[name] = self._numeric(name)
            elif kind in ("string", "bool"):
                columns[name] = self._categorical(name)
        return Profile(columns)

    def _numeric(self, name: str) -> ColumnProfile:
        chunks = self.values.get(name, [])
        values = np.concatenate([np.empty(0), *(chunk[0] for chunk in chunks)])
        counts = np.concatenate([np.empty(0, np.int64), *(chunk[1] for chunk in chunks)])
        order = np.argsort(values, kind="stable")
        values, below = values[order], np.cumsum(counts[order])
        total = int(below[-1]) if len(below) else 0
        ranks = [total * part // BINS for part in range(1, BINS)] if total else []
        marks = values[np.searchsorted(below, ranks, side="right")] if total else values
        edges = np.unique(marks[np.isfinite(marks)])
        ends = np.searchsorted(values, edges, side="left")
        upto = np.concatenate([[0], below])[ends] if total else np.zeros(len(edges), np.int64)
        bins = np.diff(np.concatenate([[0], upto, [total]])).astype(int)
        return ColumnProfile(
            name=name,
            kind="numeric",
            edges=tuple(map(float, edges)),
            counts=tuple(map(int, bins)),
            nulls=self.missing.get(name, 0),
        )

    def _categorical(self, name: str) -> ColumnProfile:
        counted = self.categories.get(name, {})
        ranked = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        other = sum(count for _, count in ranked[TOP:])
        return ColumnProfile(
            name=name,
            kind="categorical",
            categories=tuple(key for key, _ in ranked[:TOP]),
            counts=(*(count for _, count in ranked[:TOP]), other),
            nulls=self.missing.get(name, 0),
        )
