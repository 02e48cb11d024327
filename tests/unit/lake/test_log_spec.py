"""What a table is, to the log and back."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import deltalake
import polars as pl
import pyarrow as pa
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, LakeError
from raypipe.lake import Lake, TableSpec
from raypipe.lake.schema.spec import Column, delta_schema, parse_columns, schema_string, spec_of

TYPES = {
    "i8": pl.Int8(), "i16": pl.Int16(), "i32": pl.Int32(), "i64": pl.Int64(), "f": pl.Float32(),
    "d": pl.Float64(), "s": pl.String(), "b": pl.Boolean(), "x": pl.Binary(), "day": pl.Date(),
    "at": pl.Datetime("us"), "utc": pl.Datetime("us", "UTC"), "dec": pl.Decimal(12, 3),
    "l": pl.List(pl.Struct({"a": pl.Int64()})), "m": pl.Map(pl.String(), pl.Int32()),
}  # fmt: skip


def test_types_go_to_delta_and_back_as_arrow_would_take_them() -> None:
    spec = TableSpec.of_types(TYPES)
    assert parse_columns(schema_string(spec)) == dict(spec.columns)
    arrow = pa.schema(delta_schema(spec).to_arrow())
    through = pl.from_arrow(arrow.empty_table())
    assert isinstance(through, pl.DataFrame)
    assert dict(through.schema) == TYPES


def test_nullability_metadata_and_properties_are_in_the_log(lake_root: str) -> None:
    table = Lake(lake_root).table(
        "t",
        schema={"a": rp.Column(pl.Int64, nullable=True, metadata={"comment": "x"}), "b": pl.String},
        sort_by="a",
        properties={"delta.enableChangeDataFeed": True, "delta.targetFileSize": "1mb"},
    )
    table.append(pl.DataFrame({"a": [1], "b": ["x"]}))
    spec = table.at()._pinned.spec
    assert spec.columns["a"] == Column(pl.Int64(), True, {"comment": "x"})
    assert spec.change_feed
    assert spec.sort_by == ("a",)
    assert spec.target_file_bytes == 2**20
    assert pickle.loads(pickle.dumps(spec)) == spec
    assert deltalake.DeltaTable(table.uri).metadata().configuration["raypipe.sortBy"] == '["a"]'


def test_a_column_that_keeps_its_type_keeps_its_entry() -> None:
    inner = {"type": "array", "elementType": "long", "containsNull": False}
    before = json.dumps(
        {
            "type": "struct",
            "fields": [{"name": "l", "type": inner, "nullable": True, "metadata": {}}],
        }
    )
    spec = TableSpec(parse_columns(before)).with_columns({"n": Column(pl.Int64())})
    fields = json.loads(schema_string(spec, before))["fields"]
    assert fields[0]["type"] == inner
    assert fields[1]["type"] == "long"
    assert json.loads(schema_string(spec))["fields"][0]["type"]["containsNull"] is True


def test_the_spec_of_a_table_of_another_engine(tmp_path: Path) -> None:
    schema = deltalake.Schema([deltalake.Field("a", "long", nullable=False, metadata={"k": "v"})])
    made = deltalake.DeltaTable.create(str(tmp_path), schema, configuration={})
    made.alter.add_constraint({"positive": "a > 0"})
    spec = spec_of(deltalake.DeltaTable(str(tmp_path)))
    assert spec.columns == {"a": Column(pl.Int64(), nullable=False, metadata={"k": "v"})}
    assert spec.constraints == {"positive": "a > 0"}


@pytest.mark.parametrize(
    "bad",
    [
        {"schema": {}},
        {"schema": {"a": "long"}},
        {"schema": {1: pl.Int64}},
        {"evolve": "yes"},
        {"sort_by": ["a", "a"]},
        {"properties": {"delta.enableDeletionVectors": "true"}},
        {"properties": {"raypipe.sortBy": "a"}},
        {"properties": {"delta.targetFileSize": None}},
        {"properties": [("a", "b")]},
    ],
)
def test_what_a_table_cannot_be_is_refused_before_any_work(lake_root: str, bad: dict) -> None:
    with pytest.raises(ConfigError):
        Lake(lake_root).table("t", **bad)
    assert not Path(lake_root).exists()


def test_a_property_that_cannot_be_understood_is_named() -> None:
    with pytest.raises(LakeError, match="understood"):
        TableSpec({}, (), {"delta.targetFileSize": "big"}).target_file_bytes  # noqa: B018


def test_a_delta_table_has_no_such_type() -> None:
    with pytest.raises(LakeError, match="no type"):
        schema_string(TableSpec.of_types({"a": pl.Duration()}))
    with pytest.raises(LakeError, match="not known"):
        parse_columns('{"fields":[{"name":"v","type":"variant","nullable":true}]}')
