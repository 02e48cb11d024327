"""Files that are broken on purpose: each is refused with its name, its line and a reason."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import MalformedSourceError, SchemaError, SourceError
from raypipe.lake import Lake
from raypipe.lake.write.read_csv import QUOTED_WELL, plainly_quoted
from raypipe.lake.write.readers import file_types, read_file


def write(folder: Path, name: str, text: str | bytes) -> str:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('a,s\n1,"x\n2,"y\n3,z\n', 3, "after a closing quote"),
        ('a,s\n1,"x"y\n', 2, "after a closing quote"),
        ('a,s\n1,"x" \n', 2, "after a closing quote"),
        ('\ufeff"a"x,s\n1,y\n', 1, "after a closing quote"),
        ('a,s\n1,"x\n2,y\n', 2, "never closed"),
        ('a,s\n1,"x"""\n2,"""\n', 3, "never closed"),
        (b"a,\xff\n1,2\n", 1, "header is not UTF-8"),
        ("a,b\r1,2\r3,4\r", 1, "carriage return"),
        (b'a,s\n1,"x\n\xff"\n', 3, "column 's' is not UTF-8"),
        (b"a,s\n1,x\n2,\xff\n", 3, "column 's' is not UTF-8"),
    ],
)
def test_a_csv_names_line_and_reason(
    tmp_path: Path, text: str | bytes, line: int, reason: str
) -> None:
    path = write(tmp_path, "bad.csv", text)
    for types in (None, {"s": pl.String()}):
        with pytest.raises(MalformedSourceError) as caught:
            read_file(path, types)
        assert f"{path}, line {line}: " in str(caught.value)
        assert reason in str(caught.value)


def test_quotes_in_their_place_are_read(tmp_path: Path) -> None:
    text = '\ufeff"a","s"\r\n1,"x\r\n""y"", z"\r\n2,5" pipe\r\n3,""\r\n4," "" "'
    frame = read_file(write(tmp_path, "good.csv", text))
    assert frame.columns == ["a", "s"]
    assert frame["s"].to_list() == ['x\r\n"y", z', '5" pipe', None, ' " ']


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet='",\nx', max_size=12))
def test_quotes_are_judged_as_the_csv_module_judges_them(text: str) -> None:
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        list(reader)
        right = True
    except csv.Error:
        right = False
    found = QUOTED_WELL.match(text.encode())
    assert found is not None
    assert (found.end() == len(text)) == right
    assert right or not plainly_quoted(memoryview(text.encode()))


def test_plain_quotes_are_told_fast() -> None:
    assert plainly_quoted(memoryview(b'"a","b\nc"\r\n1,"2"'))
    assert not plainly_quoted(memoryview(b'a,5" x\n1,6" y\n'))
    assert plainly_quoted(memoryview(b"a,b\n"))


@pytest.mark.parametrize(
    ("table", "text", "line", "value"),
    [
        (pl.Int64(), "a,s\n1,x\n\n2,y\nNA,z\nthree,x\n4,y\n", 6, "three"),
        (pl.Int64(), 'a,s\n1,"x\ny"\n2.5,x\n', 4, "2.5"),
        (pl.Float64(), "a,s\n1,x\n2.5,y\n1_0,z\n", 4, "1_0"),
        (pl.Datetime("us"), "a,s\n2013-01-01 10:00:00,x\nnever,y\n", 3, "never"),
        (pl.Date(), "a,s\n2013-01-01,x\n01/02/2013,y\n", 3, "01/02/2013"),
        (pl.Boolean(), "a,s\ntrue,x\nmaybe,y\n", 3, "maybe"),
        (pl.Int64(), "s,a\nthree,1\nx,2\ny,three\n", 4, "three"),
    ],
)
def test_a_type_change_names_line_column_and_value(
    lake_root: str, tmp_path: Path, table: pl.DataType, text: str, line: int, value: str
) -> None:
    here = Lake(lake_root).table("t")
    here.append(pl.DataFrame({"a": [None], "s": ["x"]}, schema={"a": table, "s": pl.String}))
    path = write(tmp_path, "later.csv", text)
    with pytest.raises(SchemaError) as caught:
        here.append(path)
    assert caught.value.field == "a"
    for part in ("'a'", path, f"{value!r} in line {line}", str(table)):
        assert part in str(caught.value)
    assert here.version() == 1


def nested(levels: int, between: str = "") -> str:
    inner = levels - 1
    return '{"a":' + between + "[" * inner + "]" * inner + "}"


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ('{"a":1}\n' + nested(65) + "\n", 2, "64 levels"),
        ('{"a":1}\n' + nested(1_000) + "\n", 2, "64 levels"),
        ('{"a":1}\n' + nested(100_000) + "\n", 2, "64 levels"),
        ('{"a":1}\n' + '{"a":\n' * 1_000 + "1" + "}" * 1_000 + "\n", 66, "64 levels"),
        ('{"a":"x\n' + nested(1_000) + "\n", 2, "64 levels"),
        ('{"a":1}\n' + '{"b":' * 1_000, 2, "64 levels"),
        (b'{"a":"x"}\n{"a":"\xff"}\n', 2, "UTF-8"),
        (b'{"a":"x"}\n{"\xff":"x"}\n', 2, "UTF-8"),
    ],
)
def test_hostile_json_lines(tmp_path: Path, text: str | bytes, line: int, reason: str) -> None:
    path = write(tmp_path, "bad.jsonl", text)
    with pytest.raises(MalformedSourceError) as caught:
        read_file(path)
    assert f"{path}, line {line}: " in str(caught.value)
    assert reason in str(caught.value)


def test_json_that_only_looks_deep_is_read(tmp_path: Path) -> None:
    text = '{"s":"' + '[{\\"' * 200 + '"}\n{"s":\n "x"}\n'
    assert read_file(write(tmp_path, "a.jsonl", text))["s"].to_list() == ['[{"' * 200, "x"]
    assert read_file(write(tmp_path, "b.jsonl", nested(60) + "\n")).height == 1


def refuse(*_: object, **__: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet"])
def test_a_file_that_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = write(tmp_path, name, "a\n1\n")
    monkeypatch.setattr("pyarrow.input_stream", refuse)
    monkeypatch.setattr("polars.read_parquet", refuse)
    monkeypatch.setattr("polars.read_parquet_schema", refuse)
    for read in (read_file, file_types):
        with pytest.raises(MalformedSourceError) as caught:
            read(path)
        assert path in str(caught.value)
        assert "Permission denied" in str(caught.value)


def test_paths_that_the_system_refuses(
    lake_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Lake(lake_root).table("t")
    for path in (str(tmp_path / ("x" * 300 + ".csv")), str(tmp_path / "a\0*.csv")):
        with pytest.raises(SourceError) as caught:
            table.append(path)
        assert path in str(caught.value)
    path = write(tmp_path, "a.csv", "a\n1\n")
    monkeypatch.setattr(os, "stat", refuse)
    with pytest.raises(SourceError, match="Permission denied"):
        table.check(path)
