"""Reading files: strict, with the line at fault; and what a table does with their types."""

from __future__ import annotations

import gzip
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
import pytest

from raypipe.core.errors import (
    ConfigError,
    EmptySourceError,
    MalformedSourceError,
    SchemaError,
    SourceNotFoundError,
)
from raypipe.lake import Lake
from raypipe.lake.write.readers import read_file

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def lake(lake_root: str) -> Lake:
    return Lake(lake_root)


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def test_csv_types_and_nulls(lake: Lake, tmp_path: Path) -> None:
    text = (
        "i,f,s,t,z,d,b,c,n\n"
        "1,1.5,x,2013-01-01 10:00:00,2013-01-01T10:00:00Z,2013-01-01,true,10:00:00,NA\n"
        'NA,nan,"a,\n""b""",,NA,,false,,\n'
    )
    lake.table("t").append(write(tmp_path, "a.csv", text))
    frame = lake.table("t").at().frame()
    assert frame.schema == {
        "i": pl.Int64, "f": pl.Float64, "s": pl.String, "t": pl.Datetime("us"),
        "z": pl.Datetime("us"), "d": pl.Date, "b": pl.Boolean, "c": pl.String, "n": pl.String,
    }  # fmt: skip
    assert frame["s"].to_list() == ["x", 'a,\n"b"']
    assert frame["z"].to_list() == [datetime(2013, 1, 1, 10), None]
    assert frame["i"].to_list() == [1, None]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("a,b\n1,2\n3\n", 3, "1 fields"),
        ("a,b\n1,2\n3,4,5\n6,7\n", 3, "3 fields"),
        ('a,b\n"x\ny",2\n3\n', 4, "1 fields"),
        ('a,b\n1,2\n3,"x\n4,5\n', 3, "never closed"),
        ("a,a\n1,2\n", 1, "twice"),
        ("a,\n1,2\n", 1, "no name"),
        (b"a,b\n1,x\n2,\xff\xfe\n", 3, "UTF-8"),
    ],
)
def test_a_malformed_csv_names_file_line_and_reason(
    lake: Lake, tmp_path: Path, text: str | bytes, line: int, reason: str
) -> None:
    path = write(tmp_path, "bad.csv", text)
    with pytest.raises(MalformedSourceError) as caught:
        lake.table("t").append(path)
    assert f"{path}, line {line}: " in str(caught.value)
    assert reason in str(caught.value)
    assert not lake.table("t").exists


def test_a_quote_inside_a_bare_field_stands_for_itself(tmp_path: Path) -> None:
    assert read_file(write(tmp_path, "q.csv", 'a\n5" pipe\n'))["a"].to_list() == ['5" pipe']


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"a":1}\n{"a":}\n', 2, "Expecting value"),
        ('{"a":1}\n\n{"a":"x"}\n', 3, "'a' is a string here and a number in line 1"),
        ('{"a":1}\n[1]\n', 2, "a list where an object is wanted"),
    ],
)
def test_malformed_json_lines(tmp_path: Path, text: str, line: int, reason: str) -> None:
    with pytest.raises(MalformedSourceError) as caught:
        read_file(write(tmp_path, "bad.jsonl", text))
    assert f"line {line}: " in str(caught.value)
    assert reason in str(caught.value)


def test_json_lines(lake: Lake, tmp_path: Path) -> None:
    path = write(tmp_path, "a.jsonl", '{"a":1,"s":"x"}\n{"a":2.5,"s":null}\n{"a":3}\n')
    lake.table("t").append(path)
    assert lake.table("t").at().frame().to_dict(as_series=False) == {
        "a": [1.0, 2.5, 3.0], "s": ["x", None, None],
    }  # fmt: skip
    late = write(tmp_path, "b.jsonl", '{"a":1,"s":"2013-01-01 00:00:00"}\n')
    lake.table("t").append(late)
    assert lake.table("t").at().frame()["s"][-1] == "2013-01-01 00:00:00"
    with pytest.raises(SchemaError, match="'s' is missing"):
        lake.table("t").append(write(tmp_path, "c.jsonl", '{"a":1}\n'))


def test_a_malformed_parquet(lake: Lake, tmp_path: Path) -> None:
    with pytest.raises(MalformedSourceError, match=r"bad\.parquet"):
        lake.table("t").append(write(tmp_path, "bad.parquet", "PAR1 not at all"))


def test_gzip_and_unknown_formats(tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv.gz", gzip.compress(b"a\n1\n"))
    assert read_file(path)["a"].to_list() == [1]
    with pytest.raises(MalformedSourceError):
        read_file(write(tmp_path, "b.csv.gz", b"not gzip"))
    with pytest.raises(ConfigError, match="format"):
        read_file(write(tmp_path, "a.xls", ""))
    with pytest.raises(SourceNotFoundError):
        read_file(str(tmp_path / "gone.csv"))


@pytest.mark.parametrize(("name", "text"), [("h.csv", "a,b\n"), ("z.csv", ""), ("z.jsonl", "")])
def test_files_without_rows(lake: Lake, tmp_path: Path, name: str, text: str) -> None:
    path, good = write(tmp_path, name, text), write(tmp_path, "good.csv", "a,b\n1,2\n")
    with pytest.raises(EmptySourceError):
        lake.table("t").append(path)
    with pytest.raises(EmptySourceError, match=name):
        lake.table("t").append([good, path])
    assert not lake.table("t").exists
    assert lake.table("t").append([good, path], allow_empty=True).rows == 1
    assert lake.table("t").append(path, allow_empty=True).rows == 0


def test_types_of_a_first_write_meet_over_all_files(lake: Lake, tmp_path: Path) -> None:
    write(tmp_path, "1.csv", "a,b,n\n1,NA,NA\n")
    write(tmp_path, "2.csv", "b,a,n\nx,2.5,NA\n")
    lake.table("t").append(str(tmp_path / "*.csv"))
    frame = lake.table("t").at().frame()
    assert frame.to_dict(as_series=False) == {"a": [1.0, 2.5], "b": [None, "x"], "n": [None, None]}


def test_a_conflict_between_files_of_one_write(lake: Lake, tmp_path: Path) -> None:
    one, two = write(tmp_path, "1.csv", "a\n1\n"), write(tmp_path, "2.csv", "a\nx\n")
    with pytest.raises(SchemaError) as caught:
        lake.table("t").append([one, two])
    for part in ("'a'", "Int64", "String", one, two):
        assert part in str(caught.value)
    assert caught.value.field == "a"


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("a\n1\n", "s", "missing"),
        ("a,s,x\n1,x,1\n", "x", "not known"),
        ("a,s\n1.5,x\n", "a", "Float64"),
        ("a,s\none,x\n", "a", "String"),
    ],
)
def test_later_files_must_fit(
    lake: Lake, tmp_path: Path, text: str, column: str, words: str
) -> None:
    lake.table("t").append(pl.DataFrame({"a": [1], "s": ["x"]}))
    path = write(tmp_path, "later.csv", text)
    with pytest.raises(SchemaError) as caught:
        lake.table("t").append(path)
    assert caught.value.field == column
    for part in (repr(column), words, path):
        assert part in str(caught.value)
    assert lake.table("t").version() == 1


def test_text_columns_keep_their_text(lake: Lake, tmp_path: Path) -> None:
    lake.table("t").append(pl.DataFrame({"s": ["x"], "f": [0.5]}))
    lake.table("t").append(write(tmp_path, "a.csv", "f,s\n1,007\n"))
    assert lake.table("t").at().frame().rows() == [("x", 0.5), ("007", 1.0)]


@pytest.mark.parametrize(
    ("table", "data", "fits"),
    [
        (pl.Int32, [2**31 - 1], True),
        (pl.Int32, [2**31], False),
        (pl.Float64, [2**53], True),
        (pl.Float64, [2**53 + 1], False),
        (pl.Float32, [2**24 + 1], False),
    ],
)
def test_no_number_changes(lake: Lake, table: pl.DataType, data: list[int], fits: bool) -> None:
    lake.table("t").append(pl.DataFrame({"a": [1]}, schema={"a": table}))
    rows = pl.DataFrame({"a": data})
    if fits:
        lake.table("t").append(rows)
        assert lake.table("t").at().frame()["a"][-1] == data[0]
    else:
        with pytest.raises(SchemaError, match="'a'"):
            lake.table("t").append(rows)


def test_no_time_changes(lake: Lake) -> None:
    table = lake.table("t")
    table.append(pl.DataFrame({"t": [datetime(2013, 1, 1)]}))
    zoned = pl.Series("t", [datetime(2013, 1, 1, 5)]).dt.replace_time_zone("America/New_York")
    table.append(zoned.to_frame())
    assert table.at().frame()["t"][-1] == datetime(2013, 1, 1, 10)
    fine = pl.DataFrame({"t": [1]}).cast(pl.Datetime("ns"))
    with pytest.raises(SchemaError, match="finer than a microsecond"):
        table.append(fine)


def test_types_that_a_table_cannot_hold(lake: Lake) -> None:
    with pytest.raises(SchemaError, match="'d'"):
        lake.table("t").append(pl.DataFrame({"d": [1]}).cast(pl.Duration))
    with pytest.raises(SchemaError, match="_reasons"):
        lake.table("t").append(pl.DataFrame({"_reasons": [1]}))
    small = pl.DataFrame({"u": [255]}, schema={"u": pl.UInt8})
    lake.table("u").append(small)
    assert lake.table("u").at().frame().schema == {"u": pl.Int16}
