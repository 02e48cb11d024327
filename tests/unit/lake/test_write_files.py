"""The files of a write: sorted, cut near the target size, with statistics that are the truth."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import deltalake
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.lake import Lake
from raypipe.lake.log.prune import OURS
from raypipe.lake.log.stats import delta_stats
from raypipe.lake.write.encode import Place, row_group_rows, rows_of_piece, write_frame

NESTED = {
    "i": st.none() | st.integers(-(2**63), 2**63 - 1),
    "f": st.none() | st.floats(),
    "g": st.none() | st.floats(width=32),
    "s": st.none() | st.text(max_size=40),
    "d": st.none() | st.dates(),
    "t": st.none() | st.datetimes(),
    "b": st.none() | st.booleans(),
    "m": st.none() | st.decimals(-99999, 99999, places=2),
    "n": st.none(),
    "l": st.none() | st.lists(st.integers(0, 5), max_size=2),
    "o": st.none()
    | st.fixed_dictionaries({"x": st.none() | st.integers(0, 9), "y": st.none() | st.text()}),
}
TYPES = {
    "i": pl.Int64, "f": pl.Float64, "g": pl.Float32, "s": pl.String, "d": pl.Date,
    "t": pl.Datetime("us"), "b": pl.Boolean, "m": pl.Decimal(15, 2), "n": pl.String,
    "l": pl.List(pl.Int64), "o": pl.Struct({"x": pl.Int64, "y": pl.String}),
}  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.lists(st.fixed_dictionaries(NESTED), min_size=1, max_size=8), st.sampled_from([1, 3, 8]))
def test_a_footer_tells_what_the_rows_tell(rows: list[dict[str, object]], group: int) -> None:
    frame = pl.DataFrame(rows, schema=TYPES)
    buffer = io.BytesIO()
    frame.write_parquet(buffer, statistics=True, row_group_size=group)
    stats = delta_stats(frame)
    assert delta_stats(frame, pq.read_metadata(buffer)) == stats
    told = json.loads(stats)
    for name in ("i", "d", "t", "b", "s"):  # never narrower than the truth
        values = [row[name] for row in rows if row[name] is not None]
        assert told["nullCount"][name] == len(rows) - len(values)
        if name not in told["minValues"]:
            assert not values or name == "s"
            continue
        low, high = told["minValues"][name], told["maxValues"][name]
        for value in values:
            if isinstance(value, datetime):
                value = value.isoformat(timespec="microseconds")
            elif isinstance(value, date):
                value = value.isoformat()
            if isinstance(value, str):
                assert low.encode() <= value.encode() <= high.encode()
            else:
                assert low <= value <= high


def test_statistics_of_all_kinds() -> None:
    nan, inf = float("nan"), float("inf")
    frame = pl.DataFrame(
        {
            "plain": [1.5, -2.0, None],
            "nan": [1.0, nan, 2.0],
            "inf": [1.0, inf, 2.0],
            "zoned": pl.Series([datetime(2013, 1, 1, 5)] * 3).dt.replace_time_zone("Asia/Tokyo"),
            "money": pl.Series([Decimal("1.25"), None, Decimal("-3.50")], dtype=pl.Decimal(15, 2)),
            "wide": pl.Series([Decimal(1), None, Decimal(2)], dtype=pl.Decimal(38, 2)),
            "long": ["é" * 50, "a" * 50, None],
            "o": [{"x": 1, "in": {"y": "b"}}, None, {"x": None, "in": None}],
            "bytes": [b"a", None, b"b"],
        },
        schema_overrides={"o": pl.Struct({"x": pl.Int64, "in": pl.Struct({"y": pl.String})})},
    )
    told = json.loads(delta_stats(frame))
    assert told["minValues"] == {
        "plain": -2.0, "zoned": "2012-12-31T20:00:00.000000Z", "money": -3.5, "long": "a" * 32,
        "o": {"x": 1, "in": {"y": "b"}},
    }  # fmt: skip
    assert told["maxValues"]["long"] == "é" * 31 + "ê"
    assert told["maxValues"]["o"] == {"x": 1, "in": {"y": "b"}}
    assert told["nullCount"]["o"] == {"x": 2, "in": {"y": 2}}
    assert told["nullCount"]["bytes"] == 1


def test_a_path_that_reads_like_a_column_has_no_statistics() -> None:
    frame = pl.DataFrame({"a.b": [5], "a": [{"b": 1, "c": 2}]})
    told = json.loads(delta_stats(frame))
    assert told["minValues"] == {"a": {"c": 2}}


def test_nested_statistics_are_delta_s(lake_root: str) -> None:
    table = Lake(lake_root).table("t")
    table.append(pl.DataFrame({"o": [{"x": 1}, {"x": 7}, None]}))
    actions = pl.DataFrame(deltalake.DeltaTable(table.uri).get_add_actions(flatten=True))
    assert actions.select("min.o.x", "max.o.x", "null_count.o.x").row(0) == (1, 7, 1)


def test_files_are_cut_near_the_target_and_keep_their_order(lake_root: str) -> None:
    rows = pl.DataFrame({"a": range(200_000)}).with_columns(s=pl.col("a").hash().cast(pl.String))
    lake = Lake(lake_root)
    table = lake.table("t", properties={"delta.targetFileSize": "500kb"}, sort_by=["a"])
    table.append(rows.sample(fraction=1.0, shuffle=True, seed=1))
    sizes = [part.nbytes for part in table.at().parts()]
    assert len(sizes) > 3
    assert all(250_000 < size < 750_000 for size in sizes)
    assert table.at().frame().equals(rows)
    assert len(table.at().where(pl.col("a") == 5).parts()) == 1
    names = [Path(part.uri).name for part in table.at().parts()]
    assert names == sorted(names)
    import re

    assert all(re.search(OURS, name) for name in names)


def test_rows_are_sorted_in_each_file_and_row_groups_are_small(lake_root: str) -> None:
    rows = pl.DataFrame({"p": [1, 2] * 50_000, "a": range(100_000, 0, -1)})
    table = Lake(lake_root).table("t", partition_by=["p"], sort_by=["a"])
    table.append(rows)
    for part in table.at().parts():
        assert part.read()["a"].is_sorted()
        footer = pq.read_metadata(part.uri)
        assert footer.num_row_groups >= 1
    assert row_group_rows(10**7, 10**9) == 2**23 // 100  # 8 MiB of rows of 100 bytes
    assert row_group_rows(10**7, 10**8) < 100_000
    assert row_group_rows(0, 0) > 0


@given(st.integers(1, 10**9), st.floats(1, 1e15), st.integers(1, 10**12))
def test_a_piece_is_never_empty_nor_more_than_there_is(rows: int, nbytes: float, aim: int) -> None:
    piece = rows_of_piece(rows, nbytes, aim)
    assert 1 <= piece <= rows


def test_the_same_rows_give_the_same_files(tmp_path: Path) -> None:
    rows = pl.DataFrame({"a": range(50_000), "k": [0, 1] * 25_000})
    place = Place(
        folder=str(tmp_path), storage_options=None, partition_by=("k",), target_bytes=20_000
    )
    first = write_frame(place, rows, "x")
    before = {file.path: (tmp_path / file.path).read_bytes() for file in first}
    assert write_frame(place, rows, "x") == first
    assert {p: (tmp_path / p).read_bytes() for p in before} == before
    assert len(first) > 2
    assert not list(tmp_path.rglob("*.tmp"))


def test_zoned_ends_are_utc() -> None:
    frame = pl.DataFrame({"z": [datetime(2013, 1, 1, tzinfo=UTC)]})
    assert json.loads(delta_stats(frame))["minValues"]["z"] == "2013-01-01T00:00:00.000000Z"


@pytest.mark.parametrize("secret", ["key"])
def test_a_place_shows_no_secret(secret: str) -> None:
    assert secret not in repr(Place(folder="s3://b", storage_options={"aws": secret}))
