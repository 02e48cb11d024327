"""Reading: pruning, identity, columns, and other engines' eyes."""

from __future__ import annotations

import json
import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import ConfigError, LakeError, RecipeError, SchemaError
from raypipe.core.scan import Scan, ScanPart
from raypipe.lake import Lake, expect

T0 = datetime(2013, 1, 1)


@pytest.fixture
def lake(lake_root: str) -> Lake:
    """Ten files of ten rows: n counts on, t goes by hours, s by tens."""
    lake = Lake(lake_root)
    for k in range(10):
        numbers = range(10 * k, 10 * k + 10)
        lake.table("t").append(
            pl.DataFrame(
                {
                    "n": numbers,
                    "f": [n / 2 for n in numbers],
                    "t": [T0 + timedelta(hours=n) for n in numbers],
                    "d": [date(2013, 1, 1 + k)] * 10,
                    "s": [f"{k}-" + "long " * 20] * 10,
                    "maybe": [None if k < 5 else n for n in numbers],
                },
                schema_overrides={"maybe": pl.Int64},
            )
        )
    return lake


@pytest.mark.parametrize(
    ("where", "files"),
    [
        (pl.col("n") == 35, 1),
        (pl.col("n") > 79, 2),
        (pl.col("n") <= 10, 2),
        (pl.lit(10) > pl.col("n"), 1),
        (pl.col("n").is_between(15, 25), 2),
        (pl.col("n").is_between(10, 20, closed="none"), 1 + 1),
        (pl.col("n").is_in([1, 2, 55]), 2),
        ((pl.col("n") < 10) | (pl.col("n") >= 90), 2),
        ((pl.col("n") >= 10) & (pl.col("f") < 10), 1),
        (~(pl.col("n") >= 20), 2),
        (~((pl.col("n") >= 20) | (pl.col("n") < 10)), 1),
        (pl.col("f") > 44.6, 1),
        (pl.col("t") >= T0 + timedelta(hours=90), 1),
        (pl.col("d") == date(2013, 1, 3), 1),
        (pl.col("s").is_in(["3-" + "long " * 20]), 1),
        (pl.col("s") >= "9-", 1),
        (pl.col("maybe").is_null(), 5),
        (pl.col("maybe").is_not_null(), 5),
        (pl.col("maybe") > 1000, 5),
        (pl.col("n") + 0 == 35, 10),
    ],
)
def test_files_that_cannot_match_are_not_opened(lake: Lake, where: pl.Expr, files: int) -> None:
    everything = lake.table("t").at()
    some = everything.where(where)
    assert some.frame().equals(everything.frame().filter(where))
    assert len(some.parts()) <= files
    assert some.count() == some.frame().height


def test_order_is_that_of_the_commits(lake: Lake) -> None:
    snapshot = lake.table("t").at()
    assert snapshot.frame()["n"].to_list() == list(range(100))
    parts = snapshot.parts()
    assert pl.concat([part.read() for part in parts]).equals(snapshot.lazy().collect())
    assert [part.rows for part in parts] == [10] * 10
    assert isinstance(snapshot, Scan)
    assert isinstance(parts[0], ScanPart)


def test_identity_names_the_rows_for_ever(lake: Lake) -> None:
    snapshot = (
        lake.table("t").at(version=7).where(pl.col("n") > 5).select("s", half=pl.col("n") / 2)
    )
    told = json.loads(json.dumps(snapshot.identity()))
    assert set(told) == {"table", "version", "where", "columns"}
    again = Lake(lake.root).snapshot(told)
    assert again == snapshot
    assert again.frame().equals(snapshot.frame())
    plain = lake.table("t").at(version=3).identity()
    assert plain == {"table": "t", "version": 3, "where": None, "columns": None}
    assert lake.snapshot(plain).count() == 30
    with pytest.raises(ConfigError):
        lake.snapshot({"table": "t"})


def test_select_and_where_in_any_order(lake: Lake) -> None:
    snapshot = lake.table("t").at()
    one = snapshot.select("n", double=pl.col("n") * 2).where(pl.col("n") < 3)
    assert one.frame().to_dict(as_series=False) == {"n": [0, 1, 2], "double": [0, 2, 4]}
    assert list(one.schema) == ["n", "double"]
    assert one.select("double").frame().columns == ["double"]
    assert one.parts()[0].read(["double"]).columns == ["double"]
    both = snapshot.where(pl.col("n") > 3).where(pl.col("n") < 6)
    assert both.frame()["n"].to_list() == [4, 5]


def test_what_cannot_be_asked(lake: Lake) -> None:
    snapshot = lake.table("t").at()
    for ask in (
        lambda: snapshot.select("nope"),
        lambda: snapshot.where(pl.col("nope") > 1),
        lambda: snapshot.select("n").where(pl.col("s") == "x"),
        lambda: snapshot.where(pl.col("n").str.contains("x")),
        lambda: snapshot.parts()[0].read(["nope"]),
    ):
        with pytest.raises(SchemaError):
            ask()
    with pytest.raises(RecipeError):
        snapshot.where(pl.col("n") > pl.col("n").mean())
    with pytest.raises(ConfigError):
        snapshot.select()


GOLDEN = pl.DataFrame(
    {
        "i": [1, None, -(2**62)],
        "i32": pl.Series([1, None, 3], dtype=pl.Int32),
        "f": [1.5, math.nan, None],
        "inf": [math.inf, -math.inf, 0.0],
        "f32": pl.Series([0.1, None, -0.0], dtype=pl.Float32),
        "s": ["a" * 100, None, "\U0010ffff" * 40],
        "edge": ["\ud7ff" * 40, "", "ü"],
        "t": [datetime(2013, 1, 1, 1, 2, 3, 456789), None, datetime(1900, 1, 1)],
        "d": [date(2013, 1, 1), None, date(9999, 12, 31)],
        "b": [True, None, False],
        "dec": pl.Series([Decimal("1.10"), None, Decimal("-2.25")], dtype=pl.Decimal(10, 2)),
        "none": pl.Series([None] * 3, dtype=pl.Float64),
        "list": [["x"], None, []],
        "bin": [b"\x00\xff", None, b""],
    }
)


def test_other_readers_see_the_same(lake: Lake) -> None:
    table = lake.table("golden")
    table.append(GOLDEN)
    assert table.at().frame().equals(GOLDEN)
    assert pl.scan_delta(table.uri).collect().equals(GOLDEN)
    other = deltalake.DeltaTable(table.uri)
    arrow = other.to_pyarrow_table()
    assert pl.DataFrame(arrow).equals(GOLDEN)
    assert not [f for f in arrow.schema if "view" in str(f.type)]
    for where in (
        pl.col("f") > 1,
        pl.col("inf") > 100.0,
        pl.col("t") < datetime(1950, 1, 1),
        pl.col("t") == datetime(2013, 1, 1, 1, 2, 3, 456789),
        pl.col("s") > "b",
        pl.col("s") == "a" * 100,
        pl.col("edge") == "\ud7ff" * 40,
        pl.col("i") == -(2**62),
        pl.col("none").is_null(),
        pl.col("b"),
        pl.col("b") == False,  # noqa: E712
        pl.col("dec") > 1,
    ):
        expected = GOLDEN.filter(where)
        assert expected.height > 0
        assert pl.scan_delta(table.uri).filter(where).collect().equals(expected)
        assert table.at().where(where).frame().equals(expected)
    for name, op, value in (("i", ">", 0), ("b", "==", True), ("t", ">", datetime(2000, 1, 1))):
        assert other.to_pyarrow_table(filters=[(name, op, value)]).num_rows == 1


def test_tables_of_other_engines(lake: Lake) -> None:
    uri = f"{lake.root}/foreign"
    rows = pl.DataFrame({"f": [1.0, math.nan], "at": [datetime(2013, 1, 1, tzinfo=UTC)] * 2})
    deltalake.write_deltalake(uri, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    table = lake.table("foreign")
    assert table.at().count() == 2
    # Their statistics leave NaN out; polars orders it above every number.
    assert table.at().where(pl.col("f") > 5).frame().height == 1
    table.append(rows)
    table.append(pl.DataFrame({"f": [0.5], "at": [datetime(2014, 1, 1)]}))
    assert table.at().frame()["at"][-1] == datetime(2014, 1, 1, tzinfo=UTC)
    deltalake.DeltaTable(uri).optimize.compact()
    assert table.at().count() == 5
    deltalake.DeltaTable(uri).alter.add_constraint({"low": "f / 2 > -100 OR f / 2 < 100"})
    with pytest.raises(ConfigError, match="CHECK low"):
        table.append(rows)
    assert table.history()[-1]["kind"] == "WRITE"


def test_features_that_would_be_read_wrongly_are_refused(lake: Lake) -> None:
    uri = f"{lake.root}/mapped"
    empty = pl.DataFrame({"a": [1]}).to_arrow()
    deltalake.DeltaTable.create(uri, deltalake.Schema.from_arrow(empty.schema))
    log = Path(uri, "_delta_log", "00000000000000000000.json")
    text = log.read_text()
    ids = r"\"metadata\":{\"delta.columnMapping.id\":1,\"delta.columnMapping.physicalName\":\"x\"}"
    for old, new in (
        ('"configuration":{}', '"configuration":{"delta.columnMapping.mode":"id"}'),
        ('"minReaderVersion":1', '"minReaderVersion":2'),
        ('"minWriterVersion":2', '"minWriterVersion":5'),
        (r"\"metadata\":{}", ids),
    ):
        assert old in text
        text = text.replace(old, new)
    log.write_text(text)
    with pytest.raises(LakeError, match="column mapping"):
        lake.table("mapped").at()


def test_a_broken_log_is_told(lake: Lake) -> None:
    table = lake.table("t")
    Path(table.uri, "_delta_log", "00000000000000000003.json").write_text("{not json")
    with pytest.raises(LakeError, match=r"log of table 't' cannot be read: .*0003\.json, line 1"):
        lake.table("t").at()


def test_partitions_of_other_engines(lake: Lake) -> None:
    uri = f"{lake.root}/parts"
    rows = pl.DataFrame({"k": ["a b/c%", "ü=1"], "v": [1, 2]})
    arrow = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    deltalake.write_deltalake(uri, arrow, partition_by=["k"])
    assert lake.table("parts").at().frame().sort("v").equals(rows)
    lake.table("parts").overwrite(rows)
    assert lake.table("parts").at().count() == 2
    assert pl.scan_delta(uri).collect().height == 2


@pytest.mark.parametrize("partition_by", ["", "k"])
@pytest.mark.parametrize("low", [10, 2])  # ruled out by statistics; found out by reading only
def test_a_filter_that_no_row_passes_keeps_the_columns(
    lake_root: str, partition_by: str, low: int
) -> None:
    keys = [partition_by] if partition_by else []
    table = Lake(lake_root).table("t", partition_by=keys)
    table.append(pl.DataFrame({"k": ["x", "y"], "n": [1, 3], "t": [T0, T0]}))
    none = table.at().where((pl.col("n") >= low) & (pl.col("n") < low + 1))
    for snapshot, columns in (
        (none, {"k": pl.String, "n": pl.Int64, "t": pl.Datetime("us")}),
        (none.select("t", half=pl.col("n") / 2), {"t": pl.Datetime("us"), "half": pl.Float64}),
    ):
        assert len(snapshot.parts()) == 0 or low == 2
        assert snapshot.frame().schema == snapshot.schema == columns
        assert (snapshot.frame().height, snapshot.count()) == (0, 0)
        again = Lake(lake_root).snapshot(snapshot.identity())
        assert again.frame().schema == columns


def test_the_quarantine_of_a_table_with_the_longest_name_has_an_identity(lake_root: str) -> None:
    lake = Lake(lake_root)
    table = lake.table("t" * 100, expect=[expect.between("a", 0, 1, on_fail="quarantine")])
    table.append(pl.DataFrame({"a": [1, 2]}))
    refused = table.quarantine().at()
    assert lake.snapshot(refused.identity()).frame().equals(refused.frame())


def test_versions_asked_for_in_turn_are_read_once(lake: Lake) -> None:
    table = lake.table("t")
    first, last = table.at(version=3), table.at()
    assert table.at(version=3)._pinned is first._pinned
    assert table.at()._pinned is last._pinned
    assert [table.at(version=v).version for v in range(11)] == list(range(11))
    assert table.at().frame().equals(last.frame())
