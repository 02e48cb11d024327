"""Counting and describing a snapshot: from the log where it tells exactly, else by one scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.lake.log.certain import all_match
from raypipe.lake.log.prune import DELETED
from raypipe.lake.read import facts
from raypipe.lake.read.broken import reading
from raypipe.lake.read.part import scan, shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.lake.read.part import LakePart

STATISTICS = "statistics"


@dataclass(frozen=True, slots=True)
class Measured:
    """Missing values, least and greatest by column, and which files had to be read."""

    columns: Mapping[str, tuple[int, Any, Any]]
    read: frozenset[int]

    def source(self, files: int) -> str:
        """Where the figures come from, in words."""
        return STATISTICS if not self.read else f"a scan of {len(self.read)} of {files} files"


def count(parts: Sequence[LakePart], kept: pl.DataFrame, where: Mapping[str, Any] | None) -> int:
    """Rows of the parts that pass the filter; files all of whose rows pass are not read.

    Args:
        parts: the parts that may hold a row of the filter.
        kept: their files in the log, in the same order.
        where: the encoded filter.

    Raises:
        LakeError: a file that must be read is gone, cut short or spoilt.
    """
    sure = _sure(parts, kept, where)
    counted = sum(part.rows for part, one in zip(parts, sure, strict=True) if one)
    rest = [part for part, one in zip(parts, sure, strict=True) if not one]
    if rest:
        query = shape(scan(rest), rest[0].where, None).select(pl.len())
        counted += int(reading(rest, query.collect).item())
    return counted


def least_known(
    parts: Sequence[LakePart],
    kept: pl.DataFrame,
    where: Mapping[str, Any] | None,
    name: str,
    dtype: pl.DataType,
) -> int:
    """Rows that pass the filter and have a value of a column, in files that need not be read.

    Args:
        parts: the parts that may hold a row of the filter; all have the same selection.
        kept: their files in the log, in the same order.
        where: the encoded filter.
        name: a column of the selection.
        dtype: its type; where the log tells a float's ends exactly there is no NaN.
    """
    if not parts:
        return 0
    chosen = parts[0].columns
    if chosen is not None and dict(chosen)[name] is not None:  # computed
        return 0
    sure = _sure(parts, kept, where) & _known(kept, name, dtype, nulls=True)
    nulls, _, _ = facts.known_of(kept.filter(sure), name, dtype)
    return sum(part.rows for part, one in zip(parts, sure, strict=True) if one) - nulls


def measure(
    parts: Sequence[LakePart],
    kept: pl.DataFrame,
    where: Mapping[str, Any] | None,
    wanted: Mapping[str, pl.DataType],
    *,
    nulls: bool = True,
) -> Measured:
    """Facts of columns over the rows that pass the filter.

    Args:
        parts: the parts that may hold a row of the filter; all have the same selection.
        kept: their files in the log, in the same order.
        where: the encoded filter.
        wanted: columns of the selection and their types.
        nulls: whether missing values must be counted exactly; else they may be anything.

    Raises:
        LakeError: a file that must be read is gone, cut short or spoilt.
    """
    if not parts:
        return Measured(dict.fromkeys(wanted, (0, None, None)), frozenset())
    sure = _sure(parts, kept, where)
    chosen = parts[0].columns
    plain = set(wanted) if chosen is None else {n for n, e in chosen if e is None}
    alike: dict[bytes, tuple[pl.Series, list[tuple[str, pl.DataType]]]] = {}
    for name, dtype in wanted.items():
        known = sure & _known(kept, name, dtype, nulls) if name in plain else sure & False
        alike.setdefault(known.cast(pl.Int8).to_numpy().tobytes(), (known, []))[1].append(
            (name, dtype)
        )
    queries, read = [], set()
    for known, columns in alike.values():
        rest = [part for part, one in zip(parts, known, strict=True) if not one]
        read |= {i for i, one in enumerate(known) if not one}
        if rest:
            frame = shape(scan(rest), rest[0].where, rest[0].columns)
            queries.append(frame.select(facts.asked(columns)))
    answers = iter(reading([parts[i] for i in sorted(read)], lambda: pl.collect_all(queries)))
    out: dict[str, tuple[int, Any, Any]] = {}
    for known, columns in alike.values():
        answer = next(answers) if not known.all() else None
        files = kept.filter(known)
        for name, dtype in columns:
            out[name] = _together(files, answer, name, dtype)
    return Measured({name: out[name] for name in wanted}, frozenset(read))


def _sure(
    parts: Sequence[LakePart], kept: pl.DataFrame, where: Mapping[str, Any] | None
) -> pl.Series:
    """For each part whether all its rows pass the filter for certain."""
    if where is None or not parts:
        return pl.Series([True] * len(parts), dtype=pl.Boolean)
    return _column(kept, all_match(where, kept, parts[0].schema))


def _known(kept: pl.DataFrame, name: str, dtype: pl.DataType, nulls: bool) -> pl.Series:
    exact = facts.ends_known(kept, name, dtype)
    if nulls:
        exact = exact & facts.nulls_known(kept, name)
    return _column(kept, exact)


def _column(kept: pl.DataFrame, expr: pl.Expr) -> pl.Series:
    """One value for each file, also where the expression is a constant."""
    return kept.select((pl.col(DELETED).is_null() | True) & expr).to_series()


def _together(
    files: pl.DataFrame, answer: pl.DataFrame | None, name: str, dtype: pl.DataType
) -> tuple[int, Any, Any]:
    nulls, low, high = facts.known_of(files, name, dtype)
    if answer is None:
        ends = ([low], [high])
    else:
        nulls += int(answer[f"nulls.{name}"].item())
        found = [
            answer[f"{end}.{name}"].item() if facts.has_ends(dtype) else None
            for end in ("low", "high")
        ]
        ends = ([low, found[0]], [high, found[1]])
    if not facts.has_ends(dtype):
        return nulls, None, None
    return (
        nulls,
        facts.meet(ends[0], dtype, least=True),
        facts.meet(ends[1], dtype, least=False),
    )
