"""Tables that other engines gave rules: obeyed here as there, or refused by name."""

from __future__ import annotations

import json
import math
from datetime import date, datetime
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from deltalake import DeltaTable, Field, Schema

from raypipe.core.errors import ConfigError, ExpectationError, SchemaError
from raypipe.lake import Column, Lake, Table, TableSpec
from raypipe.lake.schema.rules import generated, row_rules
from tests.foreign import Foreign, field

TYPES = {
    "a": pl.Int64(), "i8": pl.Int8(), "f": pl.Float64(), "s": pl.String(), "My col": pl.Int64(),
    "at": pl.Datetime("us"), "day": pl.Date(), "b": pl.Boolean(),
}  # fmt: skip


def made(lake_root: str, fields: list[Field], **properties: str) -> Table:
    table = Lake(lake_root).table("t")
    DeltaTable.create(table.uri, Schema(fields), configuration=properties or None)
    return table


def constrained(text: str) -> TableSpec:
    return TableSpec.of_types(TYPES, properties={"delta.constraints.c": text})


def test_a_check_that_is_false_or_null_is_broken_here_as_in_deltalake(lake_root: str) -> None:
    table = made(lake_root, [Field("a", "long"), Field("s", "string")])
    DeltaTable(table.uri).alter.add_constraint({"positive": "a > 0 AND s <> 'x'"})
    rows = {"good": (1, "y"), "false": (0, "y"), "null": (None, "y"), "text": (1, "x")}
    for name, (a, s) in rows.items():
        frame = pl.DataFrame({"a": [a], "s": [s]}, schema={"a": pl.Int64, "s": pl.String})
        arrow = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        if name == "good":
            deltalake.write_deltalake(table.uri, arrow, mode="append")
            table.append(frame)
            continue
        with pytest.raises(Exception, match="failed validation"):
            deltalake.write_deltalake(table.uri, arrow, mode="append")
        with pytest.raises(ExpectationError, match="CHECK positive") as caught:
            table.append(frame)
        assert "1 rows" in str(caught.value)
    assert table.at().count() == 2
    assert sorted(Path(table.uri).glob("*.parquet"))  # and nothing of what was refused is left
    assert len(list(Path(table.uri).glob("*.parquet"))) == 2


def test_not_null(lake_root: str) -> None:
    table = made(lake_root, [Field("a", "long", nullable=False)])
    table.append(pl.DataFrame({"a": [1]}))
    with pytest.raises(ExpectationError, match="NOT NULL"):
        table.append(pl.DataFrame({"a": [1, None]}))
    assert table.at().count() == 1
    assert not DeltaTable(table.uri).schema().fields[0].nullable


def test_invariants(lake_root: str) -> None:
    text = json.dumps({"expression": {"expression": "a > 3"}})
    table = made(lake_root, [Field("a", "long", metadata={"delta.invariants": text})])
    table.append(pl.DataFrame({"a": [4]}))
    for bad in (3, None):
        with pytest.raises(ExpectationError, match="invariant"):
            table.append(pl.DataFrame({"a": [bad]}, schema={"a": pl.Int64}))
    damaged = Column(pl.Int64(), metadata={"delta.invariants": "a > 3"})
    with pytest.raises(ConfigError, match="not understood"):
        row_rules(TableSpec({"a": damaged}))


def test_generated_columns_are_computed_or_verified(lake_root: str) -> None:
    day = {"delta.generationExpression": "CAST(at AS DATE)"}
    more = {"delta.generationExpression": "a + 1"}
    table = made(
        lake_root,
        [
            Field("a", "long"),
            Field("g", "integer", metadata=more),
            Field("at", "timestamp_ntz"),
            Field("day", "date", metadata=day),
        ],
    )
    at = datetime(2020, 1, 2, 3)
    table.append(pl.DataFrame({"a": [1, None], "at": [at, None]}))
    assert table.at().frame().rows() == [(1, 2, at, date(2020, 1, 2)), (None, None, None, None)]
    table.append(pl.DataFrame({"a": [5], "g": [6], "at": [at], "day": [date(2020, 1, 2)]}))
    for bad in (7, None):
        row = {"a": [5], "g": [bad], "at": [at], "day": [date(2020, 1, 2)]}
        with pytest.raises(ExpectationError, match="generation of 'g'"):
            table.append(pl.DataFrame(row, schema_overrides={"g": pl.Int64}))
    assert deltalake.DeltaTable(table.uri).to_pyarrow_table().num_rows == 3


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a % 2 = -1", {"a": -3}),
        ("i8 + 100 > 150", {"i8": 100}),
        ("f > 0.5", {"f": math.nan}),
        ("`My col` IN (1, 2)", {"My col": 2}),
        ("A NOT IN (1, 2)", {"a": 3}),
        ("s LIKE 'x_%' OR s IS NULL", {"s": None}),
        ("at >= TIMESTAMP '2020-01-01 00:00:00'", {"at": datetime(2021, 1, 1)}),
        ("day = DATE '2020-01-01'", {"day": date(2020, 1, 1)}),
        ("YEAR(at) = 2020", {"at": datetime(2020, 1, 1)}),
        ("a <=> NULL", {"a": None}),
        ("NOT b", {"b": False}),
        ("length(s) BETWEEN 1 AND 3", {"s": "it"}),
        ("CASE WHEN a > 0 THEN true ELSE false END", {"a": 1}),
    ],
)
def test_rules_that_are_understood(text: str, holds: dict[str, Any]) -> None:
    (rule,) = row_rules(constrained(text))
    row = pl.DataFrame({n: [holds.get(n)] for n in TYPES}, schema=TYPES)
    other = pl.DataFrame({n: [None] for n in TYPES}, schema=TYPES)
    assert row.select(rule.holds).item() is True
    if None not in holds.values():
        assert other.select(rule.holds).item() is False


@pytest.mark.parametrize(
    "text",
    [
        "a / 2 > 1",
        "s || 'x' = 'xx'",
        "s RLIKE 'x'",
        "regexp_like(s, 'x')",
        "no_such > 1",
        "at > '2020-01-01'",
        "a = 'x'",
        "a + 1",
        "s LIKE 'x\\%'",
        "a > 0; DROP TABLE t",
        "(SELECT 1) = 1",
        "a.b > 1",
        "a >",
        'a > "b"',
        "",
    ],
)
def test_rules_that_are_not_understood_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not understood"):
        row_rules(constrained(text))


def test_a_table_with_a_rule_that_is_not_understood_takes_no_write(lake_root: str) -> None:
    table = made(lake_root, [Field("a", "long")])
    DeltaTable(table.uri).alter.add_constraint({"c": "a / 2 > 1"})
    with pytest.raises(ConfigError, match="a / 2 > 1"):
        table.append(pl.DataFrame({"a": [10]}))
    assert not list(Path(table.uri).glob("*.parquet"))


def foreign(table: Table, protocol: dict[str, Any], field: dict[str, Any], **conf: str) -> None:
    """A table as an engine with more features than deltalake leaves it."""
    columns = {
        "type": "struct",
        "fields": [{"name": "a", "type": "long", "nullable": True, **field}],
    }
    meta = {
        "id": "x",
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps(columns),
        "partitionColumns": [],
        "configuration": conf,
        "createdTime": 1,
    }
    log = Path(table.uri) / "_delta_log"
    log.mkdir(parents=True)
    lines = [{"protocol": protocol}, {"metaData": meta}]
    (log / f"{0:020d}.json").write_text("\n".join(map(json.dumps, lines)))


def listed(*features: str) -> dict[str, Any]:
    return {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": list(features)}


@pytest.mark.parametrize(
    ("protocol", "metadata", "settings", "named"),
    [
        (listed("rowTracking", "domainMetadata"), {}, {}, "rowTracking"),
        (listed("icebergCompatV2"), {}, {}, "icebergCompatV2"),
        (listed("notYetKnown"), {}, {}, "notYetKnown"),
        (listed("inCommitTimestamp"), {}, {"delta.enableInCommitTimestamps": "true"}, "in-commit"),
        (listed("identityColumns"), {"delta.identity.start": 1}, {}, "IDENTITY"),
        (listed("allowColumnDefaults"), {"CURRENT_DEFAULT": "1"}, {}, "DEFAULT"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(
    lake_root: str,
    protocol: dict[str, Any],
    metadata: dict[str, Any],
    settings: dict[str, str],
    named: str,
) -> None:
    table = Lake(lake_root).table("t")
    foreign(table, protocol, {"metadata": metadata}, **settings)
    with pytest.raises(ConfigError, match=named):
        table.append(pl.DataFrame({"a": [1]}))
    assert table.version() == 0


def test_columns_that_are_generated_from_each_other() -> None:
    column = Column(pl.Int64(), metadata={"delta.generationExpression": "foo(a)"})
    with pytest.raises(ConfigError, match="generation of 'g'"):
        generated(TableSpec({"a": Column(pl.Int64()), "g": column}))


def test_a_missing_column_is_still_missing(lake_root: str) -> None:
    table = made(lake_root, [Field("a", "long"), Field("b", "long")])
    with pytest.raises(SchemaError):
        table.append(pl.DataFrame({"a": [1]}))


def test_an_update_and_a_merge_obey_the_rules_too(lake_root: str) -> None:
    table = made(lake_root, [Field("k", "long"), Field("a", "long")])
    table.append(pl.DataFrame({"k": [1, 2], "a": [1, 2]}))
    DeltaTable(table.uri).alter.add_constraint({"positive": "a > 0"})
    table = Lake(lake_root).table("t")
    before = table.version()
    with pytest.raises(ExpectationError, match="CHECK positive"):
        table.update(pl.col("k") == 1, {"a": pl.lit(-1)})
    for k in (2, 3):  # a row that is there, and a new one
        with pytest.raises(ExpectationError, match="CHECK positive"):
            table.merge(pl.DataFrame({"k": [k], "a": [-1]}), on="k")
    assert table.version() == before
    table.update(pl.col("k") == 1, {"a": pl.lit(5)})
    table.merge(pl.DataFrame({"k": [3], "a": [7]}), on="k")
    assert sorted(table.at().frame()["a"]) == [2, 5, 7]


@pytest.mark.parametrize("how", ["rewrite", "deltalake"])
@pytest.mark.parametrize("partition_by", [[], ["day"]])
def test_generated_columns_and_checks_hold_after_every_write(
    lake_root: str, partition_by: list[str], how: Any
) -> None:
    Foreign(
        f"{lake_root}/t",
        [
            field("id", "long"),
            field("at", "timestamp_ntz"),
            field("v", "double"),
            field("day", "date", **{"delta.generationExpression": "CAST(at AS DATE)"}),
            field("twice", "double", **{"delta.generationExpression": "v * 2"}),
        ],
        partition_by=partition_by,
        configuration={"delta.constraints.pos": "v >= 0", "delta.enableChangeDataFeed": "true"},
        features=["timestampNtz"],
        writer_features=["generatedColumns", "checkConstraints", "changeDataFeed"],
    )
    table = Lake(lake_root).table("t")

    def rows(ids: range, v: float = 1.0, day: int = 1) -> pl.DataFrame:
        at = datetime(2020, 1, day, 3)
        return pl.DataFrame({"id": ids, "at": [at] * len(ids), "v": [v] * len(ids)})

    def holds(count: int) -> None:
        found = table.at().frame()
        assert found.height == pl.scan_delta(table.uri).collect().height == count
        assert found.filter(pl.col("day") != pl.col("at").dt.date()).is_empty()
        assert found.filter(pl.col("twice") != pl.col("v") * 2).is_empty()
        assert found["day"].null_count() == found["twice"].null_count() == 0

    table.append(rows(range(5)))
    holds(5)
    table.merge(rows(range(3, 8), 5.0, 3), on="id", how=how)
    holds(8)
    if how == "deltalake":
        with pytest.raises(ConfigError, match="'day': it does not generate it anew"):
            table.merge(rows(range(1), 8.0, 4), on="id", how=how, update=["at"])
    table.merge(rows(range(1), 8.0, 4), on="id", update=["at"])
    table.merge(rows(range(1, 2), 7.0), on="id", update=["v"])
    holds(8)
    table.update(pl.col("id") == 2, {"v": pl.col("v") * 3, "at": datetime(2021, 5, 5)})
    holds(8)
    now = table.version()
    for refused in (
        lambda: table.append(rows(range(1), -1.0)),
        lambda: table.append(rows(range(1)).with_columns(twice=pl.lit(3.0))),
        lambda: table.merge(rows(range(1), -1.0), on="id", how=how),
        lambda: table.update(pl.col("id") == 2, {"v": -1.0}),
        lambda: table.update(pl.col("id") == 2, {"twice": 1.0}),
        lambda: table.overwrite(rows(range(1), -1.0, 3), where=pl.col("day") == date(2020, 1, 3)),
    ):
        with pytest.raises(ExpectationError, match=r"pos|generation of 'twice'"):
            refused()
    assert table.version() == now
    table.overwrite(rows(range(20, 22), day=3), where=pl.col("day") == date(2020, 1, 3))
    holds(5)
    table.compact()
    holds(5)
    told = table.changes(0).frame()
    assert told.filter(pl.col("twice") != pl.col("v") * 2).is_empty()
    table.overwrite(rows(range(3)))
    holds(3)
