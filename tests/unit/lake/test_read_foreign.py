"""Tables of other engines: read rightly, or refused with the reason."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import deltalake
import polars as pl
import pytest

from raypipe.core.errors import LakeError
from raypipe.lake import Lake
from raypipe.lake.read import feed
from tests.foreign import Foreign, deleting, field, removal


def theirs(uri: str) -> pl.DataFrame:
    """The rows as Delta's own engine reads them."""
    table = deltalake.DeltaTable(uri)
    builder = deltalake.QueryBuilder().register("t", table)
    return pl.DataFrame(builder.execute("select * from t").read_all())


@pytest.mark.parametrize("spread", [1, 30_000])  # many positions in one container, and several
@pytest.mark.parametrize("checkpoint", [False, True])
def test_rows_that_a_vector_deletes_are_gone(lake_root: str, spread: int, checkpoint: bool) -> None:
    made = Foreign(
        f"{lake_root}/t",
        [field("n", "long"), field("s", "string"), field("k", "string")],
        partition_by=["k"],
        features=["deletionVectors"],
    )
    rows = 5 * spread
    adds = []
    for i, k in enumerate(["a b", "c%d", "e"]):
        frame = pl.DataFrame({"n": range(i * rows, (i + 1) * rows)})
        frame = frame.with_columns(s=pl.col("n").cast(pl.String))
        adds.append(made.file(f"x/k={quote(k)}/{i}.parquet", frame, {"k": k}))
    made.commit(*adds)
    gone = [0, 2 * spread, rows - 1]
    made.commit(removal(adds[1]), deleting(adds[1], gone), operation="DELETE")
    everything = Lake(lake_root).table("t").at(version=1)
    if checkpoint:
        deltalake.DeltaTable(made.uri).create_checkpoint()
    now = Lake(lake_root).table("t").at()
    assert everything.count() == 3 * rows
    left = everything.frame().filter(~pl.col("n").is_in([rows + i for i in gone]))
    assert now.frame().sort("n").equals(left.sort("n"))
    assert now.frame().sort("n").equals(theirs(str(made.uri)).select("n", "s", "k").sort("n"))
    assert now.count() == 3 * rows - 3
    parts = now.parts()
    assert sorted(part.rows for part in parts) == [rows - 3, rows, rows]
    assert pl.concat([part.read() for part in parts]).equals(now.frame())
    for where, files in (
        (pl.col("n") >= rows, 2),
        (pl.col("n") == rows, 1),
        ((pl.col("k") == "c%d") & (pl.col("n") > rows + 1), 1),
        (pl.col("n") < rows + 2, 2),
    ):
        some = now.where(where)
        assert some.frame().equals(now.frame().filter(where))
        assert some.count() == some.frame().height
        assert len(some.parts()) == files
        assert some.select("s").frame().equals(some.frame().select("s"))
    told = now.where(pl.col("k") == "c%d").describe()
    assert (told["n"].least, told["n"].greatest) == (rows + 1, 2 * rows - 2)
    assert told.source == "a scan of 1 of 3 files"
    groups = feed.plan(parts, 10)
    assert pl.concat([feed.read_group(g) for g in groups]).equals(now.frame())


def mapped(name: str, number: int) -> dict[str, Any]:
    return {
        "delta.columnMapping.id": number,
        "delta.columnMapping.physicalName": name,
    }


def test_columns_mapped_by_name(lake_root: str) -> None:
    made = Foreign(
        f"{lake_root}/t",
        [field("n", "long", **mapped("c-1", 1)), field("k", "string", **mapped("c-2", 2)),
         field("c-1", "string", **mapped("c-3", 3))],
        partition_by=["k"],
        configuration={"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "3"},
        features=["columnMapping"],
    )  # fmt: skip
    for i, k in enumerate("ab"):
        rows = pl.DataFrame({"c-1": [10 * i, 10 * i + 1], "c-3": ["x", "y"]})
        made.commit(made.file(f"zz/{i}.parquet", rows, {"c-2": k}))
    now = Lake(lake_root).table("t").at()
    expected = pl.DataFrame({"n": [0, 1, 10, 11], "k": ["a", "a", "b", "b"], "c-1": ["x", "y"] * 2})
    assert now.frame().equals(expected)
    assert theirs(str(made.uri)).sort("n").equals(expected)
    for where, files in ((pl.col("n") > 5, 1), (pl.col("c-1") == "x", 2), (pl.col("k") == "a", 1)):
        some = now.where(where)
        assert some.frame().equals(expected.filter(where))
        assert len(some.parts()) == files
        assert some.explain().row_groups_read == files
    assert (now.max("n"), now.max("c-1"), now.describe().source) == (11, "y", "statistics")
    assert now.lazy().filter(pl.col("n") == 11).select("k").collect().item() == "b"


NESTED = {"type": "struct", "fields": [field("x", "long", **mapped("c-9", 9))]}


@pytest.mark.parametrize(
    ("fields", "mode", "features", "reason"),
    [
        ([field("n", "long", **mapped("c-1", 1))], "id", ["columnMapping"], "mapping by id"),
        ([field("n", NESTED, **mapped("n", 1))], "name", ["columnMapping"], "nested column 'n'"),
        ([field("n", "long")], "none", ["brandNew"], "brandNew"),
        ([field("n", "variant")], "none", ["variantType"], "variantType"),
        ([field("n", {"type": "array", "elementType": "variant", "containsNull": True})],
         "none", ["variantType"], "variantType"),
        (
            [field("n", "timestamp_ntz", **{
                "delta.typeChanges": [{"fromType": "date", "toType": "timestamp_ntz"}]})],
            "none", ["typeWidening", "timestampNtz"], "from date",
        ),
    ],
)  # fmt: skip
def test_what_would_be_read_wrongly_is_refused(
    lake_root: str, fields: Any, mode: str, features: list[str], reason: str
) -> None:
    settings = {"delta.columnMapping.mode": mode, "delta.columnMapping.maxColumnId": "9"}
    Foreign(
        f"{lake_root}/t", fields, features=features,
        configuration=settings if mode != "none" else None,
    )  # fmt: skip
    with pytest.raises(LakeError, match=reason):
        Lake(lake_root).table("t").at()


def test_a_feature_for_variants_is_no_obstacle_where_there_are_none(lake_root: str) -> None:
    frame = pl.DataFrame({"n": [1, 2]})
    settings = {"delta.enableDeletionVectors": "true"}
    deltalake.write_deltalake(f"{lake_root}/t", frame, configuration=settings)
    Foreign(f"{lake_root}/u", [field("n", "long")], features=["variantType", "variantType-preview"])
    features = deltalake.DeltaTable(f"{lake_root}/t").protocol().reader_features
    assert "deletionVectors" in (features or ())
    table = Lake(lake_root).table("t")
    assert table.at().frame().equals(frame)
    assert table.append(frame).version == 1
    assert table.delete(pl.col("n") == 1).deleted == 2
    assert theirs(f"{lake_root}/t")["n"].to_list() == [2, 2]
    assert Lake(lake_root).table("u").at().frame().height == 0


def test_widened_types_row_tracking_and_clustering(lake_root: str) -> None:
    changes = [{"fromType": "integer", "toType": "long"}]
    floats = [{"fromType": "float", "toType": "double"}]
    made = Foreign(
        f"{lake_root}/t",
        [field("n", "long", **{"delta.typeChanges": changes}),
         field("f", "double", **{"delta.typeChanges": floats}),
         field("late", "string")],
        features=["typeWidening"],
        writer_features=["rowTracking", "domainMetadata", "clustering"],
    )  # fmt: skip
    old = pl.DataFrame({"n": [1, 2], "f": [0.5, 1.5]})
    old = old.cast({"n": pl.Int32, "f": pl.Float32})
    new = pl.DataFrame({"n": [2**40], "f": [0.1], "late": ["x"]})
    domain = {"domain": "delta.clustering", "configuration": "{}", "removed": False}
    made.commit(made.file("a.parquet", old), {"domainMetadata": domain})
    made.commit(made.file("b.parquet", new))
    now = Lake(lake_root).table("t").at()
    expected = pl.concat([old, new], how="diagonal_relaxed")
    assert now.frame().equals(expected)
    assert now.where(pl.col("late").is_null()).frame().height == 2
    assert now.where(pl.col("n") > 5).frame()["n"].to_list() == [2**40]
    assert now.describe()["late"].nulls == 2
    assert pl.concat([p.read() for p in now.parts()]).equals(expected)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_times_of_every_unit_in_a_file(lake_root: str, unit: Any) -> None:
    made = Foreign(
        f"{lake_root}/t",
        [field("t", "timestamp"), field("n", "timestamp_ntz")],
        features=["timestampNtz"],
    )
    times = pl.Series([datetime(2020, 2, 1, 8, 9, 10, 1000), None], dtype=pl.Datetime(unit))
    rows = pl.DataFrame({"t": times.dt.replace_time_zone("UTC"), "n": times})
    made.commit(made.file("a.parquet", rows, stats={"numRecords": 2}))
    made.commit(made.file("b.parquet", rows.cast({"n": pl.Datetime("us")}), stats={}))
    now = Lake(lake_root).table("t").at()
    expected = pl.concat([rows, rows]).cast({"t": pl.Datetime("us", "UTC"), "n": pl.Datetime("us")})
    assert now.frame().equals(expected)
    some = now.where(pl.col("n") >= datetime(2020, 2, 1))
    assert some.count() == some.frame().height == 2
    assert now.describe()["t"].greatest == expected["t"][0]
    assert pl.concat([feed.read_group(g) for g in feed.plan(now.parts(), 1)]).equals(expected)


def test_checkpoints_of_version_2(lake_root: str) -> None:
    made = Foreign(f"{lake_root}/t", [field("n", "long")], features=["v2Checkpoint"])
    made.commit(made.file("a.parquet", pl.DataFrame({"n": [1]})))
    made.commit(made.file("b.parquet", pl.DataFrame({"n": [2]})))
    log = Path(made.uri, "_delta_log")
    lines = [line for n in range(3) for line in (log / f"{n:020d}.json").read_text().splitlines()]
    kept = [line for line in lines if "commitInfo" not in line]
    kept.append(json.dumps({"checkpointMetadata": {"version": 2}}))
    name = "00000000000000000002.checkpoint.80a083e8-7026-4e79-81be-64bd76c43a11.json"
    (log / name).write_text("\n".join(kept) + "\n")
    for n in range(2):
        (log / f"{n:020d}.json").unlink()
    assert sorted(Lake(lake_root).table("t").at().frame()["n"]) == [1, 2]


ZONED = datetime(2013, 1, 1, 12, tzinfo=UTC)
VALUES: dict[str, list[Any]] = {
    "s": ["a b/c%", "ü=1", "k=v", None],
    "i": [1, -(2**62), None],
    "b": [True, False, None],
    "d": [date(2013, 1, 1), date(1969, 12, 31), None],
    "t": [datetime(2013, 1, 1, 2, 3, 4, 5678), datetime(2013, 1, 1), None],
    "z": [ZONED, None],
    "f": [1.5, None],
}


@pytest.mark.parametrize("kind", VALUES)
def test_partition_values_of_every_type(lake_root: str, kind: str) -> None:
    values = VALUES[kind]
    rows = pl.DataFrame({"k": values, "n": range(len(values))})
    arrow = rows.to_arrow(compat_level=pl.CompatLevel.oldest())
    deltalake.write_deltalake(f"{lake_root}/t", arrow, partition_by=["k"])
    now = Lake(lake_root).table("t").at()
    assert now.frame().sort("n").equals(rows)
    for value in values:
        where = pl.col("k").is_null() if value is None else pl.col("k") == pl.lit(value)
        if value is ZONED:  # a filter that can be stored has no time with a zone
            continue
        some = now.where(where)
        assert some.frame()["n"].to_list() == [values.index(value)]
        assert (len(some.parts()), some.count()) == (1, 1)
    for part in now.parts():
        assert part.read().height == 1
    told = now.describe()["k"]
    assert (told.nulls, told.least, told.greatest) == (1, rows["k"].min(), rows["k"].max())


def test_a_filter_added_to_the_plain_frame_keeps_partitions_closed(lake_root: str) -> None:
    table = Lake(lake_root).table("t", partition_by="k")
    table.append(pl.DataFrame({"k": ["a b", "ü/1", None], "n": [1, 2, 3]}))
    now = table.at()
    for part in now.parts():
        if part.partition["k"] != "ü/1":
            Path(part.uri).write_bytes(b"")  # a file that was opened would be an error
    assert now.lazy().filter(pl.col("k") == "ü/1").collect()["n"].to_list() == [2]
