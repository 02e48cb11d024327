"""Filters, deletes and updates by instants and by decimals."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import SchemaError
from raypipe.lake import Lake
from raypipe.lake.table import Table

BERLIN = ZoneInfo("Europe/Berlin")
MONTHS = [datetime(2024, month, 1, 0, 0, 0, 999_999, tzinfo=UTC) for month in range(1, 7)]
PRICES = [Decimal(text) for text in ("-1.50", "0.00", "0.01", "1.50", "99999999.99", "2.25")]
z, d = pl.col("z"), pl.col("d")


def rows(month: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"z": [MONTHS[month], None], "d": [PRICES[month], None], "n": [month, None]},
        schema={"z": pl.Datetime("us", "UTC"), "d": pl.Decimal(10, 2), "n": pl.Int64},
    )


@pytest.fixture(params=["theirs", "ours"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Table:
    """One file a month, as Delta's own engine writes them or as we do into its table."""
    made = Lake(str(tmp_path)).table("t")
    deltalake.write_deltalake(f"{tmp_path}/t", rows(0).clear())
    for month in range(6):
        if request.param == "theirs":
            deltalake.write_deltalake(f"{tmp_path}/t", rows(month), mode="append")
        else:
            made.append(rows(month))
    return made


WHOLE = pl.concat(rows(month) for month in range(6))


@pytest.mark.parametrize(
    ("where", "files"),
    [
        *((compare, 6) for p in PRICES for compare in (d > p, d == p, d <= p, d != p)),
        (d.is_in([Decimal("1.5"), Decimal("0.010")]), 6),
        (d.is_between(Decimal("0.005"), Decimal("2.2499")), 6),
        (z > MONTHS[3], 3),
        (z >= MONTHS[3], 3),
        (z == MONTHS[2], 1),
        (z < MONTHS[2], 3),
        (z <= MONTHS[2], 3),
        (~(z > MONTHS[2]), 3),
        (z != MONTHS[2], 6),
        (z.is_between(MONTHS[1], MONTHS[2]), 2),
        (z.is_in([MONTHS[1].astimezone(BERLIN), MONTHS[4].astimezone(BERLIN)]), 2),
    ],
)
def test_what_is_read_is_what_passes(table: Table, where: pl.Expr, files: int) -> None:
    found = table.at().where(where)
    assert found.frame().equals(WHOLE.filter(where))
    assert found.count() == WHOLE.filter(where).height
    assert len(found.parts()) <= files  # the ends of their files are cut to milliseconds
    again = table.at().restrict(found.identity())
    assert again.frame().equals(found.frame())


@pytest.mark.parametrize("where", [z == MONTHS[2], z >= MONTHS[4], d == PRICES[3], d <= PRICES[0]])
def test_rows_are_deleted_and_updated_by_them(table: Table, where: pl.Expr) -> None:
    before = table.version()
    done = table.update(where, {"n": pl.lit(100), "d": pl.lit(Decimal("7.25"), pl.Decimal(10, 2))})
    assert done.updated == WHOLE.filter(where).height
    changed = table.at().where(d == Decimal("7.25")).frame()
    assert changed["n"].to_list() == [100] * done.updated
    table.restore(before)
    assert table.delete(where).deleted == WHOLE.filter(where).height
    left = WHOLE.filter(~where.fill_null(False))
    assert table.at().frame().sort("n").equals(left.sort("n"))


def test_an_instant_of_another_zone_is_told_before_anything_is_read(table: Table) -> None:
    with pytest.raises(SchemaError, match="does not fit"):
        table.at().where(z > MONTHS[0].astimezone(BERLIN))
    with pytest.raises(SchemaError, match="does not fit"):
        table.at().where(z > datetime(2024, 1, 1))


def test_partitions_by_instants(tmp_path: Path) -> None:
    deltalake.write_deltalake(f"{tmp_path}/t", WHOLE, partition_by="z")
    table = Lake(str(tmp_path)).table("t")
    table.append(WHOLE)
    found = table.at().where(z >= MONTHS[4])
    assert len(found.parts()) == 4
    assert found.frame()["n"].sort().to_list() == [4, 4, 5, 5]
