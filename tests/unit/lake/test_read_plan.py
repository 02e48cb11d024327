"""What a read takes: explained, counted and described without reading more than it must."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import SchemaError
from raypipe.lake import Lake, Table
from raypipe.lake.read import feed

T0 = datetime(2013, 1, 1)


@pytest.fixture
def table(lake_root: str) -> Table:
    """Five files of twenty rows, by days of two carriers."""
    table = Lake(lake_root).table("t", partition_by="carrier")
    for k in range(5):
        n = range(20 * k, 20 * k + 20)
        table.append(
            pl.DataFrame(
                {
                    "n": n,
                    "f": [i / 4 for i in n],
                    "s": [f"s{i:03}" for i in n],
                    "long": ["x" * 40 + str(i) for i in n],
                    "t": [T0 + timedelta(hours=i, microseconds=1) for i in n],
                    "maybe": [i if i % 2 else None for i in n],
                    "carrier": ["AA" if k < 2 else "ZZ"] * 20,
                }
            )
        )
    return table


def without_files(table: Table) -> None:
    for path in Path(table.uri).rglob("*.parquet"):
        path.unlink()


def test_explain_tells_what_rules_files_out(table: Table) -> None:
    everything = table.at().explain()
    assert (everything.files_read, everything.files) == (5, 5)
    assert everything.bytes == sum(p.nbytes for p in table.at().parts())
    some = table.at().where((pl.col("n") >= 55) & (pl.col("carrier") == "ZZ")).select("f")
    plan = some.explain()
    assert (plan.files_read, plan.row_groups_read, plan.row_groups) == (3, 3, 3)
    assert [one.pruned for one in plan.filters] == [2, 2]
    assert plan.partitions == {"carrier": (1, 2)}
    assert plan.columns_read == ("n", "f")
    assert 0 < plan.bytes_read < everything.bytes_read < everything.bytes
    assert "files: 3 of 5" in repr(plan)
    assert "3 of 5" in plan._repr_html_()


def test_counts_and_ends_need_no_file_where_the_log_tells_them(table: Table) -> None:
    now = table.at()
    expected = now.frame()
    without_files(table)
    assert now.count() == 100
    for where, rows in (
        (pl.col("n") >= 20, 80),
        (pl.col("n") < 1000, 100),
        (pl.col("f").is_between(5, 9.75), 20),
        (pl.col("carrier") == "ZZ", 60),
        (pl.col("carrier").is_in(["AA", "ZZ"]), 100),
        (~(pl.col("n") < 40) & pl.col("s").is_not_null(), 60),
        ((pl.col("n") < 20) | (pl.col("n") >= 80), 40),
        (pl.col("t") >= T0, 100),
        (pl.col("n") != 500, 100),
        (pl.col("n").is_null(), 0),
    ):
        assert now.where(where).count() == rows == expected.filter(where).height
    for name in ("n", "f", "s", "t", "carrier", "maybe"):
        assert (now.min(name), now.max(name)) == (expected[name].min(), expected[name].max())
    some = now.where(pl.col("n") >= 40).select("n", "carrier")
    told = some.describe()
    assert (told.rows, told.source) == (60, "statistics")
    assert (told["n"].least, told["n"].greatest, told["n"].nulls) == (40, 99, 0)
    assert told["carrier"].least == "ZZ"
    assert "60 rows, from statistics" in repr(told)
    assert told.frame()["max"].to_list() == ["99", "ZZ"]
    with pytest.raises(SchemaError):
        now.min("nope")


def test_what_the_log_does_not_tell_is_read(table: Table) -> None:
    now = table.at()
    expected = now.frame()
    told = now.describe()
    assert told.source == "a scan of 5 of 5 files"  # long strings are cut in the log
    assert told["long"].greatest == expected["long"].max()
    assert told["maybe"].nulls == 50
    assert "s000 to s099" in repr(told)
    assert "<td>carrier</td>" in told._repr_html_()
    half = now.where(pl.col("n") >= 30).select("n", double=pl.col("n") * 2)
    assert half.describe()["double"].least == 60
    assert half.count() == 70
    for part in now.parts()[1:]:
        Path(part.uri).unlink()
    assert now.where(pl.col("n") >= 5).count() == 95  # only the first file is open to doubt
    assert now.where(pl.col("n") >= 5).min("n") == 5


def test_facts_of_other_engines_are_bounds_only(lake_root: str) -> None:
    uri = f"{lake_root}/t"
    rows = pl.DataFrame(
        {
            "f": [1.0, float("nan")],
            "i": [1, 2],
            "t": [datetime(2013, 1, 1, 0, 0, 0, 123456)] * 2,
            "d": pl.Series([Decimal("1.50"), None], dtype=pl.Decimal(20, 2)),
            "list": [[1], None],
            "b": [True, False],
            "bin": [b"x", None],
        }
    )
    deltalake.write_deltalake(uri, rows.to_arrow(compat_level=pl.CompatLevel.oldest()))
    now = Lake(lake_root).table("t").at()
    told = now.describe()
    assert told.source == "a scan of 1 of 1 files"
    assert (told["f"].greatest, told["t"].least) == (1.0, rows["t"][0])
    assert (told["d"].greatest, told["d"].nulls) == (Decimal("1.50"), 1)
    assert (told["list"].greatest, told["list"].nulls, told["bin"].nulls) == (None, 1, 1)
    assert now.where(pl.col("f") > 0.5).count() == 2  # NaN is above every number
    assert now.where(pl.col("f") < 5).count() == 1
    Path(now.parts()[0].uri).unlink()
    assert now.max("i") == 2
    assert now.min("b") is False


def test_an_empty_selection(table: Table) -> None:
    none = table.at().where(pl.col("n") > 1000)
    assert (none.count(), none.min("n"), none.describe().rows) == (0, None, 0)
    assert none.explain().files_read == 0


def read_bytes() -> int:
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="bytes read are told by Linux only")
def test_a_hundredth_reads_its_row_groups_and_columns_only(lake_root: str) -> None:
    rows = 500_000
    frame = pl.DataFrame({"n": range(rows)}).with_columns(
        x=(pl.col("n") * 0.7).sin(), y=(pl.col("n") * 0.3).cos(), s=pl.col("n").cast(pl.String)
    )
    lake = Lake(lake_root)
    lake.table("t").append(frame.head(0), allow_empty=True)
    path = f"{lake_root}/t/part-{'0' * 32}-00000001.parquet"
    frame.write_parquet(path, compression="zstd", row_group_size=rows // 100)
    other = deltalake.DeltaTable(f"{lake_root}/t")
    stats = f'{{"numRecords":{rows}}}'
    add = deltalake.transaction.AddAction(
        Path(path).name, Path(path).stat().st_size, {}, 1, True, stats
    )
    other.create_write_transaction([add], "append", other.schema())
    now = lake.table("t").at()
    some = now.where(pl.col("n").is_between(200_001, 204_999)).select("n", "x")
    plan = some.explain()
    assert (plan.row_groups_read, plan.row_groups) == (1, 100)
    assert some.frame().height == 4_999
    before = read_bytes()
    some.frame()
    taken = read_bytes() - before
    footer = int.from_bytes(Path(path).read_bytes()[-8:-4], "little")
    assert taken < plan.bytes_read + footer + 300_000  # polars looks for the footer in larger bites
    assert taken < plan.bytes / 10
    ranges = feed.plan(some.parts(), 10_000)
    assert [[part.span for part in group] for group in ranges] == [[(200_000, 5_000)]]
    assert feed.read_group(ranges[0]).equals(some.frame())
    pieces = feed.plan(now.parts(), plan.bytes // 7)
    assert 7 <= len(pieces) <= 10
    assert pl.concat([feed.read_group(group) for group in pieces]).equals(frame)


@pytest.mark.parametrize("partition_by", [(), ("b",)])
def test_a_boolean_column_is_a_filter(lake_root: str, partition_by: tuple[str, ...]) -> None:
    table = Lake(lake_root).table("t", partition_by=partition_by)
    for value in (True, False, None):
        rows = pl.DataFrame({"b": [value] * 3, "n": range(3)}, schema_overrides={"b": pl.Boolean})
        table.append(rows)
    now = table.at()
    for where, files in ((pl.col("b"), 1), (~pl.col("b"), 1), (pl.col("b") & (pl.col("n") > 0), 1)):
        some = now.where(where)
        assert some.frame().equals(now.frame().filter(where))
        assert some.count() == some.frame().height
        # What statistics do not tell of a column without a value keeps its file.
        assert files <= len(some.parts()) <= (files if partition_by else files + 1)
    Path(now.where(pl.col("b")).parts()[0].uri).unlink()
    assert now.where(pl.col("b")).count() == 3  # all rows of that file pass: it is not read


FILTERS: dict[str, tuple[pl.Expr | None, float]] = {
    "none": (None, 1.0),
    "numbers": (pl.col("n").is_between(100_001, 100_100), 0.2),
    "some of many": (pl.col("n").is_in([7, 199_000]), 0.4),
    "strings": (pl.col("s") == "k000000100000", 0.2),
    "times": (pl.col("t") > datetime(2020, 1, 3, 7), 0.2),
    "decimals": (pl.col("dec") < Decimal(100), 0.2),
    "true": (pl.col("half"), 0.6),
    "not true": (~pl.col("half"), 0.6),
    "nulls": (pl.col("some").is_null(), 0.6),
    "either": ((pl.col("n") < 10) | (pl.col("n") > 199_990), 0.4),
    "computed": (pl.col("n") * 2 < 10, 1.0),
}


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Table:
    table = Lake(tmp_path_factory.mktemp("wide")).table("t")
    n = pl.DataFrame({"n": range(200_000)})
    table.append(
        n.with_columns(
            x=(pl.col("n") * 0.7).sin(),
            s="k" + pl.col("n").cast(pl.String).str.zfill(12),
            t=pl.datetime(2020, 1, 1) + pl.duration(seconds=pl.col("n")),
            dec=pl.col("n").cast(pl.Decimal(12, 2)),
            half=pl.col("n") >= 100_000,
            some=pl.when(pl.col("n") < 100_000).then("n"),
        )
    )
    path = Path(table.at().parts()[0].uri)
    pl.read_parquet(path).write_parquet(path, row_group_size=20_000)  # ten row groups
    return table


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="bytes read are told by Linux only")
@pytest.mark.parametrize("columns", [("n", "x"), ("x",), None])
@pytest.mark.parametrize("name", FILTERS)
def test_no_more_is_read_than_is_told(
    wide: Table, name: str, columns: tuple[str, ...] | None
) -> None:
    where, share = FILTERS[name]
    now = wide.at() if where is None else wide.at().where(where)
    now = now if columns is None else now.select(*columns)
    told = now.explain()
    now.frame()
    before = read_bytes()
    now.frame()
    taken = read_bytes() - before
    assert taken <= told.bytes_read + 300_000  # polars looks for the footer in larger bites
    assert told.row_groups == 10
    assert told.row_groups_read <= share * 10  # type: ignore[operator]


def test_a_thousand_small_files_are_few_tasks(table: Table) -> None:
    parts = table.at().parts()
    many = [part for _ in range(200) for part in parts]
    groups = feed.plan(many, 64 * 2**20)
    assert len(groups) == 1
    assert [p for group in feed.plan(many, 20_000) for p in group] == many
    assert feed.read_group(groups[0][:5]).equals(table.at().frame())
