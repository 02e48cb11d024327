"""The row groups of a Parquet file, from its footer: rows, bytes and statistics of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.uris import is_local

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.read.part import LakePart

FIRST, BYTES = "first_row", "bytes"


def row_groups(part: LakePart) -> pl.DataFrame | None:
    """One row for each row group of a part's file, laid out as the log's table of files.

    Columns are ``path`` (empty), ``first_row``, ``num_records``, ``deleted``, ``bytes.<column>``
    (compressed bytes of the column) and, as far as the footer tells them, ``null_count``, ``min``
    and ``max`` of the flat columns. None where looking costs a round trip or the file is not
    understood.
    """
    if not is_local(part.uri):
        return None
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        footer = pq.read_metadata(part.uri)
    except (OSError, pa.ArrowException):
        return None
    groups = [footer.row_group(i) for i in range(footer.num_row_groups)]
    counts = [group.num_rows for group in groups]
    starts = [sum(counts[:i]) for i in range(len(counts))]
    out = [
        pl.Series("path", [""] * len(groups), dtype=pl.String),
        pl.Series(FIRST, starts, dtype=pl.Int64),
        pl.Series("num_records", counts, dtype=pl.Int64),
        pl.Series("deleted", [0] * len(groups), dtype=pl.Int64),
    ]
    stored = {part.physical.get(n, n): n for n in part.schema if n not in part.partition}
    chunks = [_by_column(group) for group in groups]
    for physical, name in stored.items():
        sizes = [sum(c.total_compressed_size for c in chunk.get(physical, ())) for chunk in chunks]
        out.append(pl.Series(f"{BYTES}.{name}", sizes, dtype=pl.Int64))
        if not part.schema[name].is_nested():
            out += _statistics(name, part.schema[name], [c.get(physical, []) for c in chunks])
    for name, value in part.partition.items():
        dtype = part.schema[name]
        out.append(pl.Series(f"partition.{name}", [value] * len(groups), dtype=dtype))
    return pl.DataFrame(out)


def _by_column(group: Any) -> Mapping[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for i in range(group.num_columns):
        chunk = group.column(i)
        found.setdefault(chunk.path_in_schema, []).append(chunk)
        top = chunk.path_in_schema.split(".", 1)[0]
        if top != chunk.path_in_schema:
            found.setdefault(top, []).append(chunk)
    return found


def _statistics(name: str, dtype: pl.DataType, chunks: list[list[Any]]) -> list[pl.Series]:
    stats: Any
    facts: dict[str, list[Any]] = {"null_count": [], "min": [], "max": []}
    for chunk in chunks:
        stats = chunk[0].statistics if len(chunk) == 1 else None
        ends = stats is not None and stats.has_min_max
        facts["null_count"].append(stats.null_count if stats and stats.has_null_count else None)
        facts["min"].append(stats.min if ends else None)
        facts["max"].append(stats.max if ends else None)
    try:
        return [
            pl.Series(f"{fact}.{name}", values, dtype=pl.Int64 if fact == "null_count" else dtype)
            for fact, values in facts.items()
        ]
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        return []  # the file has another type than the table by now
