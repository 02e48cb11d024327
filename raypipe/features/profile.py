"""The reference profile: how each raw input was spread over the rows of the fit."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.identity import canonical_json
from raypipe.features.show import profile_html
from raypipe.features.stored import load
from raypipe.features.transforms.base import check_keys, is_number, tampered

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VERSION = 2
BINS = 32
TOP = 64


@dataclass(frozen=True, slots=True)
class TargetByCode:
    """The label over the rows of the fit, by bin or category and last of rows without a value.

    Args:
        rows: rows with a label.
        means: their mean label; None where there is no such row.
    """

    rows: tuple[int, ...]
    means: tuple[float | None, ...]

    @classmethod
    def of(cls, rows: Iterable[int], sums: Iterable[float]) -> Self:
        """From rows and sums of labels."""
        whole = tuple(map(int, rows))
        means = (float(s) / n if n else None for n, s in zip(whole, sums, strict=True))
        return cls(whole, tuple(means))

    def to_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"rows": list(self.rows), "means": list(self.means)}

    @classmethod
    def from_json(cls, data: Any, codes: int, name: str) -> Self:
        """The other way of ``to_json``, for so many bins or categories of a column.

        Raises:
            RecipeError: it is not what this library wrote.
        """
        check_keys(data, {"rows", "means"}, "profile")
        rows, means = data["rows"], data["means"]
        if not isinstance(rows, list) or not isinstance(means, list):
            raise tampered("profile", "rows and means of the label are not lists", name)
        if not len(rows) == len(means) == codes + 1:
            raise tampered("profile", "the label does not fit the counts", name)
        if not all(type(n) is int and 0 <= n < 2**63 for n in rows):
            raise tampered("profile", "rows of the label are not counts", name)
        for n, mean in zip(rows, means, strict=True):
            if (mean is None) != (n == 0) or not (
                mean is None or (is_number(mean) and math.isfinite(mean))
            ):
                raise tampered("profile", "a mean of the label is not a number", name)
        return cls(tuple(rows), tuple(None if mean is None else float(mean) for mean in means))


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
        error: how far a count can be off, as a share of the rows of the fit; 0.0 where all
            distinct values were few enough to be counted one by one.
        target: what the label was by bin or category; None without a label and in profiles of
            version 1.
    """

    name: str
    kind: Literal["numeric", "categorical"]
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    counts: tuple[int, ...]
    nulls: int
    error: float = 0.0
    target: TargetByCode | None = None

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

    def to_json(self, version: int = VERSION) -> dict[str, Any]:
        """The profile as JSON of a version."""
        plain = {
            "name": self.name,
            "kind": self.kind,
            "edges": list(self.edges),
            "categories": list(self.categories),
            "counts": list(self.counts),
            "nulls": self.nulls,
        }
        if version == 1:
            return plain
        told = None if self.target is None else self.target.to_json()
        return {**plain, "error": self.error, "target": told}

    @classmethod
    def from_json(cls, data: Any, version: int = VERSION) -> Self:
        """The other way of ``to_json``.

        Raises:
            RecipeError: it is not a profile that this library wrote.
        """
        keys = {"name", "kind", "edges", "categories", "counts", "nulls"}
        check_keys(data, keys if version == 1 else {*keys, "error", "target"}, "profile")
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
        whole = all(type(n) is int and 0 <= n < 2**63 for n in [*counts, data["nulls"]])
        if not whole or len(counts) != 1 + len(edges if kind == "numeric" else categories):
            raise tampered("profile", "the counts do not fit", name)
        error, target = data.get("error", 0.0), data.get("target")
        if not is_number(error) or not 0 <= error <= 1:
            raise tampered("profile", "the error is not a share", name)
        return cls(
            name=name,
            kind=kind,
            edges=tuple(map(float, edges)),
            categories=tuple(categories),
            counts=tuple(counts),
            nulls=data["nulls"],
            error=float(error),
            target=None if target is None else TargetByCode.from_json(target, len(counts), name),
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """The profile of every raw input of a recipe that is a number, a string or a boolean.

    Args:
        columns: by name.
        version: of the JSON that it is written as: 2, and 1 for one that was read as such.
    """

    columns: dict[str, ColumnProfile]
    version: int = VERSION

    def _repr_html_(self) -> str:
        return profile_html(self.columns.values())

    def to_json(self) -> str:
        """Canonical JSON text."""
        return canonical_json(self.to_data())

    def to_data(self) -> dict[str, Any]:
        """What ``to_json`` writes, as plain values."""
        columns = [column.to_json(self.version) for column in self.columns.values()]
        return {"version": self.version, "columns": columns}

    @classmethod
    def from_json(cls, data: str | bytes | Mapping[str, Any]) -> Self:
        """The other way of ``to_json``, from its text or the values in it.

        Raises:
            RecipeError: it is not a profile that this library wrote.
        """
        return cls.from_data(load(data, "profile"))

    @classmethod
    def from_data(cls, found: Any) -> Self:
        """The other way of ``to_data``.

        Raises:
            RecipeError: it is not a profile that this library wrote.
        """
        check_keys(found, {"version", "columns"}, "profile")
        version = found["version"]
        if type(version) is not int or not 1 <= version <= VERSION:
            raise tampered("profile", "its version is unknown", "version")
        if not isinstance(found["columns"], list):
            raise tampered("profile", "its columns are not a list", "columns")
        columns = [ColumnProfile.from_json(column, version) for column in found["columns"]]
        return cls({column.name: column for column in columns}, version)
