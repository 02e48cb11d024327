"""The tables of a golden lake: what is written, and so what every later release must read.

``python tests/golden/lake_tables.py <folder>`` writes them with the code of today.
"""

from __future__ import annotations

import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

from raypipe.lake import Lake, expect

TYPES = {
    "id": pl.Int64,
    "small": pl.Int16,
    "real": pl.Float64,
    "text": pl.String,
    "yes": pl.Boolean,
    "day": pl.Date,
    "at": pl.Datetime("us"),
    "utc": pl.Datetime("us", "UTC"),
    "price": pl.Decimal(12, 2),
    "raw": pl.Binary,
    "list": pl.List(pl.Int32),
    "pair": pl.Struct({"a": pl.Int64, "b": pl.String}),
}


def kinds(batch: int) -> pl.DataFrame:
    """Four rows of every type: common values, extreme ones, not-a-number, and nulls."""
    start = batch * 4
    rows = [
        (start, 1, 0.5, "plain", True, date(2013, 1, 1), datetime(2013, 1, 1, 5),
         datetime(2013, 1, 1, 5, tzinfo=UTC), Decimal("1.25"), b"\x00\xff", [1, 2],
         {"a": 1, "b": "x"}),
        (start + 1, -(2**15), float("-inf"), "ü" * 50, False, date(1700, 2, 3),
         datetime(1700, 2, 3, 4, 5, 6, 7), datetime(2199, 12, 31, 23, 59, 59, 999999, UTC),
         Decimal("-9999999999.99"), b"", [], {"a": None, "b": ""}),
        (start + 2, 2**15 - 1, float("nan"), "a 'quote', a\nline", None, None, None, None, None,
         None, [None], None),
        (start + 3, None, None, None, None, None, None, None, None, None, None, None),
    ]  # fmt: skip
    return pl.DataFrame(rows, schema=TYPES, orient="row")


def stored(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows as release 0.1.0 kept them: every time without a zone, in UTC."""
    return frame.with_columns(pl.col("utc").dt.replace_time_zone(None))


def places(batch: int) -> pl.DataFrame:
    """Rows for a table partitioned by a string that needs care in a path, and a day."""
    return pl.DataFrame(
        {
            "place": ["a b", "50%/ü=1", None],
            "day": [date(2013, 1, 1 + batch), date(2013, 1, 1 + batch), None],
            "n": [batch * 3, batch * 3 + 1, batch * 3 + 2],
        },
        schema_overrides={"day": pl.Date},
    )


def readings(batch: int) -> pl.DataFrame:
    """Rows of which those above 5 are refused."""
    return pl.DataFrame({"n": [batch, batch + 3, batch + 5]})


def counted(upto: int) -> pl.DataFrame:
    """The rows of the table that has a checkpoint."""
    return pl.DataFrame({"n": list(range(upto))})


RULE = expect.between("n", 0, 5, on_fail="quarantine")


def write(root: str) -> None:
    """Writes the whole golden lake."""
    lake = Lake(root)
    for batch in range(2):
        lake.table("kinds").append(kinds(batch), batch_id=f"k{batch}")
        lake.table("places", partition_by=("place", "day")).append(places(batch))
        lake.table("readings", expect=[RULE]).append(readings(batch), batch_id=f"r{batch}")
    lake.table("kinds").overwrite(kinds(7), batch_id="whole", metadata={"why": "golden"})
    table = lake.table("counted")
    for n in range(21):
        table.overwrite(counted(n + 1), batch_id=f"c{n}")
    # What a clean-up leaves: the last checkpoint, the log from there on, and its files.
    folder = Path(table.uri)
    (first,) = (int(p.name[:20]) for p in folder.glob("_delta_log/*.checkpoint.parquet"))
    for version in range(first):
        (folder / "_delta_log" / f"{version:020d}.json").unlink()
    versions = range(first, table.version() + 1)
    kept = {Path(part.uri).name for v in versions for part in table.at(version=v).parts()}
    for path in folder.glob("*.parquet"):
        if path.name not in kept:
            path.unlink()


if __name__ == "__main__":
    write(sys.argv[1])
