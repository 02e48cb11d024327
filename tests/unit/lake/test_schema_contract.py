"""Declared schemas, columns that join a table, and rows that do not fit."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raypipe as rp
from raypipe.core.errors import ExpectationError, RaypipeError, SchemaError
from raypipe.lake import Lake, expect, masks

DECLARED = {
    "id": rp.Column(pl.Int32, nullable=False),
    "price": pl.Float64,
    "day": pl.Date,
    "name": pl.String,
}


def csv(folder: Path, text: str, name: str = "a.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def test_declared_types_win_from_the_first_write(lake_root: str, tmp_path: Path) -> None:
    table = Lake(lake_root).table("t", schema=DECLARED)
    table.append(csv(tmp_path, "id,price,day,name\n1,2,2026-01-02,007\n"))
    assert dict(table.schema) == {
        "id": pl.Int32(), "price": pl.Float64(), "day": pl.Date(), "name": pl.String(),
    }  # fmt: skip
    assert table.at().frame().rows() == [(1, 2.0, date(2026, 1, 2), "007")]
    with table._log.newest() as opened:
        assert [c.nullable for c in table._log.spec(opened).columns.values()] == [
            False, True, True, True,
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,price,day,name\n1,x2,2026-01-02,a\n", ("'price'", "Float64", "'x2' in line 2")),
        ("id,price,day,name\n1,2,yesterday,a\n", ("'day'", "Date", "line 2")),
        ("id,price,day,name\n99999999999,2,2026-01-02,a\n", ("'id'", "Int32", "Int64")),
        ("id,price,day,name\n,2,2026-01-02,a\n", ("NOT NULL of 'id'", "a.csv")),
        ("id,price,name\n1,2,a\n", ("'day'", "missing")),
        ("id,price,day,name,more\n1,2,2026-01-02,a,1\n", ("'more'", "not known")),
    ],
)
def test_a_clash_names_column_types_file_and_line(
    lake_root: str, tmp_path: Path, text: str, told: tuple[str, ...]
) -> None:
    table = Lake(lake_root).table("t", schema=DECLARED)
    with pytest.raises((SchemaError, ExpectationError)) as error:
        table.append(csv(tmp_path, text))
    for word in told:
        assert word in str(error.value)
    if told[0] != "'id'" or "Int64" in told:
        assert "a.csv" in str(error.value)
    assert not table.exists or table.at().count() == 0


def test_a_declared_schema_is_that_of_the_table(lake_root: str) -> None:
    lake = Lake(lake_root)
    frame = pl.DataFrame({"a": [1], "b": ["x"]})
    lake.table("t").append(frame)
    for schema in (
        {"a": pl.Int32, "b": pl.String},
        {"a": pl.Int64},
        {"a": pl.Int64, "b": pl.String, "c": pl.Int64},
        {"a": rp.Column(pl.Int64, nullable=False), "b": pl.String},
    ):
        with pytest.raises(SchemaError, match="declared schema is not that"):
            lake.table("t", schema=schema).append(frame)
    lake.table("t", schema={"a": pl.Int64, "b": pl.String}).append(frame)


def test_a_declared_schema_holds_when_columns_joined_since(lake_root: str) -> None:
    lake = Lake(lake_root)
    declared = {"a": rp.Column(pl.Int64, nullable=False)}
    table = lake.table("t", schema=declared, evolve="add")
    table.append(pl.DataFrame({"a": [1], "b": ["x"]}))
    table.append(pl.DataFrame({"a": [2], "b": ["y"], "c": [1.5]}))  # the same program again
    table.append(pl.DataFrame({"a": [3]}))
    table.merge(pl.DataFrame({"a": [1], "b": ["z"], "c": [0.5]}), "a")
    assert sorted(table.at().frame().rows()) == [(1, "z", 0.5), (2, "y", 1.5), (3, None, None)]
    for evolve in ("fail", "quarantine"):
        with pytest.raises(SchemaError, match="declared schema is not that"):
            lake.table("t", schema=declared, evolve=evolve).append(pl.DataFrame({"a": [4]}))


def test_as_many_rivals_as_columns_that_join(lake_root: str) -> None:
    rule = expect.between("a", 0, 99, on_fail="quarantine")

    def write(number: int) -> None:
        data = pl.DataFrame({"a": [number, 100], f"c{number}": [number, 100]})
        table = Lake(lake_root).table("t", evolve="add", expect=[rule])
        table.append(data, batch_id=f"b{number}")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    now = Lake(lake_root).table("t")
    rows = now.at().frame()
    assert sorted(rows["a"]) == list(range(8))
    for number in range(8):
        assert rows.filter(pl.col(f"c{number}").is_not_null())["a"].to_list() == [number]
    assert now.quarantine().at().count() == 8


def test_columns_join_in_the_commit_that_brings_them(lake_root: str, tmp_path: Path) -> None:
    lake = Lake(lake_root)
    lake.table("t", partition_by="p").append(pl.DataFrame({"a": [1], "p": ["x"]}))
    with pytest.raises(SchemaError, match="not known"):
        lake.table("t").append(pl.DataFrame({"a": [1], "p": ["x"], "b": [1]}))
    rule = expect.between("b", 0, 10, on_fail="quarantine")
    adds = lake.table("t", evolve="add", expect=[rule])
    csv(tmp_path, "a,p,b\n2,y,5\n3,y,50\n", "1.csv")
    csv(tmp_path, "c,a,p\nnew,4,x\n", "2.csv")
    done = adds.append(str(tmp_path / "*.csv"))
    assert (done.rows, done.quarantined, done.version) == (2, 1, 2)
    now = adds.at()
    assert list(now.schema) == ["a", "p", "b", "c"]
    assert sorted(now.frame().rows()) == [(1, "x", None, None), (2, "y", 5, None),
                                          (4, "x", None, "new")]  # fmt: skip
    assert list(adds.at(version=1).schema) == ["a", "p"]
    assert adds.quarantine().at().frame()["b"].to_list() == [50]
    # Nothing new is no evolution, and a batch may leave out what may be null.
    adds.append(pl.DataFrame({"a": [5], "p": ["x"]}))
    assert list(adds.schema) == ["a", "p", "b", "c"]
    with pytest.raises(SchemaError, match="'b'"):
        adds.append(pl.DataFrame({"a": [5], "p": ["x"], "b": ["text"]}))
    with pytest.raises(SchemaError, match="case"):
        adds.append(pl.DataFrame({"a": [5], "p": ["x"], "B": [1]}))
    import deltalake

    assert deltalake.DeltaTable(adds.uri).to_pyarrow_table().num_rows == 4


def test_a_quarantine_takes_columns_that_joined(lake_root: str) -> None:
    rule = expect.between("a", 0, 10, on_fail="quarantine")
    table = Lake(lake_root).table("t", evolve="add", expect=[rule])
    table.append(pl.DataFrame({"a": [1, 50]}))
    table.append(pl.DataFrame({"a": [1, 60], "b": ["x", "y"]}))
    assert table.quarantine().at().frame()["b"].to_list() == [None, "y"]


@pytest.mark.parametrize("same", [True, False])
def test_rivals_that_add_columns_merge_or_are_told(lake_root: str, same: bool) -> None:
    lake = Lake(lake_root)
    lake.table("t").append(pl.DataFrame({"a": [0]}))
    batches = [{"a": [1], "b": [1]}, {"a": [2], "c": ["x"]}, {"a": [3], "b": [1 if same else "z"]}]
    errors: list[RaypipeError] = []

    def write(data: dict[str, list[object]]) -> None:
        try:
            Lake(lake_root).table("t", evolve="add").append(pl.DataFrame(data))
        except RaypipeError as error:
            errors.append(error)

    threads = [threading.Thread(target=write, args=(one,)) for one in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    frame = lake.table("t").at().frame()
    assert set(frame.columns) == {"a", "b", "c"}
    if same:
        assert errors == []
        assert sorted(frame["a"]) == [0, 1, 2, 3]
    else:
        assert [type(e) for e in errors] == [SchemaError]
        assert "'b'" in str(errors[0])
        assert frame.height == 3


def test_rows_that_do_not_fit_go_to_quarantine_as_text(lake_root: str, tmp_path: Path) -> None:
    lake = Lake(lake_root)
    table = lake.table("t", schema=DECLARED, evolve="quarantine")
    csv(
        tmp_path,
        "id,price,day,name\n1,2.5,2026-01-02,a\n2,oops,2026-01-03,b\n3,,never,c\n",
        "1.csv",
    )
    csv(tmp_path, "id,price,day,name,more\n4,2,2026-01-02,d,1\n", "2.csv")
    csv(tmp_path, "id,price,day,name\n5,7,2026-01-05,e\n", "3.csv")
    done = table.append(str(tmp_path / "*.csv"), batch_id="b")
    assert (done.rows_in, done.rows, done.quarantined) == (5, 2, 3)
    assert table.at().frame()["id"].to_list() == [1, 5]
    bad = table.quarantine().at().frame()
    rows = [json.loads(text) for text in bad["_row"]]
    assert [row["name"] for row in rows] == ["b", "c", "d"]
    assert rows[0]["price"] == "oops"
    assert bad["_reasons"].to_list() == [
        ["column 'price' is no Float64"],
        ["column 'day' is no Date"],
        ["column 'more' is not known"],
    ]
    assert bad["id"].to_list() == [None] * 3
    # The next writer need not know of that column.
    strict = lake.table("t", expect=[expect.between("id", 0, 9, on_fail="quarantine")])
    row = {"id": 99, "price": 1.0, "day": date(2026, 1, 1), "name": "x"}
    strict.append(pl.DataFrame([row], schema_overrides={"id": pl.Int32}))
    assert table.quarantine().at().frame()["_row"].null_count() == 1


def test_rows_that_do_not_fit_are_masked_too(lake_root: str, tmp_path: Path) -> None:
    pii = {"mail": masks.keyed_hash(b"0123456789abcdef"), "age": masks.generalize(10)}
    table = Lake(lake_root).table("t", pii=pii, evolve="quarantine")
    table.append(pl.DataFrame({"mail": ["ok@x"], "age": [44], "n": [1]}))
    csv(tmp_path, "mail,age,n\nraw-one@x,raw-age,1\nraw-two@x,31,raw-n\n", "1.csv")
    csv(tmp_path, "mail,age,n,e-mail\nraw-three@x,31,1,raw-four@x\n", "2.csv")
    done = table.append(str(tmp_path / "*.csv"))
    assert (done.rows, done.quarantined) == (0, 3)
    frame = table.quarantine().at().frame()
    assert "raw-n" in frame["_row"][1]  # that column is nobody's
    for path in Path(lake_root).rglob("*"):
        data = path.read_bytes() if path.is_file() else b""
        if path.suffix == ".parquet":
            data += repr(pl.read_parquet(path).to_dicts()).encode()
        for secret in (b"raw-one", b"raw-two", b"raw-three", b"raw-four", b"raw-age"):
            assert secret not in data


def test_a_column_that_joins_may_be_masked(lake_root: str) -> None:
    lake = Lake(lake_root)
    lake.table("t").append(pl.DataFrame({"a": [1]}))
    pii = {"mail": masks.truncate(2)}
    lake.table("t", evolve="add", pii=pii).append(pl.DataFrame({"a": [2], "mail": ["raw@x"]}))
    lake.table("t").append(pl.DataFrame({"a": [3], "mail": ["raw@y"]}))
    assert lake.table("t").at().frame()["mail"].to_list() == [None, "ra", "ra"]


def test_of_two_appends_with_one_new_key_one_keeps_it(lake_root: str) -> None:
    lake = Lake(lake_root)
    lake.table("t").append(pl.DataFrame({"k": [-1], "w": ["x"]}))
    start = threading.Barrier(6)

    def write(name: int) -> None:
        table = Lake(lake_root).table("t", expect=[expect.unique("k", on_fail="quarantine")])
        start.wait()
        table.append(pl.DataFrame({"k": [1, 2, 100 + name], "w": ["y"] * 3}), batch_id=str(name))

    threads = [threading.Thread(target=write, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    table = lake.table("t")
    assert sorted(table.at().frame()["k"]) == [-1, 1, 2, *range(100, 106)]
    assert sorted(table.quarantine().at().frame()["k"]) == [1] * 5 + [2] * 5
    commits = [c for c in table.history() if c["batch_id"] is not None]
    assert sorted(c["quarantined"] for c in commits) == [0, 2, 2, 2, 2, 2]
    assert all(c["rows"] + c["quarantined"] == 3 for c in commits)


def test_decimals_of_more_digits_than_a_table_has(lake_root: str, tmp_path: Path) -> None:
    wide = pa.table({"c": pa.array([Decimal(10) ** 50], pa.decimal256(76, 0))})
    pq.write_table(wide, tmp_path / "wide.parquet")
    table = Lake(lake_root).table("t")
    with pytest.raises(SchemaError, match=r"cannot hold column 'c'.*76.*Cast it"):
        table.append(str(tmp_path / "wide.parquet"))
    with pytest.raises(RaypipeError, match=r"Int256.*decimals of 256 bits"):
        table.append(wide)
    table.append(pa.table({"c": pa.array([Decimal(10) ** 30], pa.decimal128(38, 0))}))
    assert table.at().frame()["c"].to_list() == [Decimal(10) ** 30]
