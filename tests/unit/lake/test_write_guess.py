"""A first write reads text files once, and comes to what two readings would come to."""

from __future__ import annotations

import gzip
import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.errors import RaypipeError
from raypipe.lake import Lake
from raypipe.lake.write import guess, readers, sample, sources, writer
from raypipe.lake.write.guess import Guessed
from raypipe.lake.write.read_json import _JSON_SHALLOW, plainly_shallow
from raypipe.lake.write.sample import sample_types

if TYPE_CHECKING:
    from pathlib import Path

VALUES = ["", "NA", "1", "2.5", "007", "x", "2013-01-01", "2013-01-01 10:00:00", "true", "10:00:00"]
ITEMS = ["null", "1", "2.5", '"x"', '"2013-01-01 10:00:00"', "true", "[1]", '{"k":1}']
CSV = st.lists(st.tuples(st.sampled_from(VALUES), st.sampled_from(VALUES)), max_size=6)
JSON = st.lists(
    st.dictionaries(st.sampled_from("ab"), st.sampled_from(ITEMS), max_size=2), max_size=6
)
number = itertools.count()


def csv_text(rows: list[tuple[str, str]]) -> str:
    return "a,b\n" + "".join(f'{a},"{b}"\n' if "0" in b else f"{a},{b}\n" for a, b in rows)


def json_text(rows: list[dict[str, str]]) -> str:
    return "".join("{" + ",".join(f'"{k}":{v}' for k, v in row.items()) + "}\n" for row in rows)


def outcome(folder: Path, files: list[str], transform: Any = None) -> Any:
    table = Lake(str(folder)).table("t")
    try:
        table.append(files, transform=transform, run_on="local")
    except RaypipeError as error:
        assert not list(folder.rglob("*.parquet"))
        return type(error), str(error)
    frame = table.at().frame()
    kept = {path.name for path in (folder / "t").glob("*.parquet")}
    assert len(kept) == len(DeltaTable(str(folder / "t")).file_uris())
    return list(frame.schema.items()), frame.rows()


def with_sum(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.with_columns(pl.col("a").alias("c"))


@settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    st.one_of(st.lists(CSV, min_size=1, max_size=3), st.lists(JSON, min_size=1, max_size=3)),
    st.sampled_from([4, 24, 1 << 16]),
    st.sampled_from([12, 1 << 20]),
    st.booleans(),
)
def test_the_outcome_is_that_of_two_readings(
    tmp_path: Path, made: list[Any], sampled: int, part: int, turned: bool
) -> None:
    folder = tmp_path / str(next(number))
    folder.mkdir()
    files = []
    for k, rows in enumerate(made):
        is_json = any(isinstance(row, dict) for row in rows)
        path = folder / f"{k}.{'jsonl' if is_json else 'csv'}"
        path.write_text(json_text(rows) if is_json else csv_text(rows))
        files.append(str(path))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "BYTES", sampled)
        patch.setattr(sources, "PART_BYTES", part)
        once = outcome(folder / "once", files, with_sum if turned else None)
        patch.setattr(writer, "write_guessed", lambda *_: Guessed())
        assert outcome(folder / "twice", files, with_sum if turned else None) == once


def test_each_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = pl.DataFrame({"a": np.arange(40_000), "b": ["some text"] * 40_000})
    rows.write_csv(tmp_path / "1.csv")
    rows.write_csv(tmp_path / "2.csv")
    real, read = readers.read_csv, []

    def counted(path: Any, data: bytes, texts: list[str]) -> pl.DataFrame:
        read.append(str(path))
        return real(path, data, texts)

    monkeypatch.setattr(readers, "read_csv", counted)
    assert Lake(str(tmp_path / "lake")).table("t").append(str(tmp_path / "*.csv")).rows == 80_000
    assert sorted(read) == [str(tmp_path / "1.csv"), str(tmp_path / "2.csv")]


def test_samples_see_start_middle_and_end(tmp_path: Path) -> None:
    lines = ["1,x"] * 60_000
    lines[30_000] = "2.5,x"
    for name, text in (("a.csv", "n,s\n" + "\n".join(lines)), ("b.csv", 'n,"s"\n' + "1,x\n" * 9)):
        (tmp_path / name).write_text(text)
    assert sample_types(str(tmp_path / "a.csv"), "csv") == {"n": pl.Float64, "s": pl.String}
    assert sample_types(str(tmp_path / "b.csv"), "csv") == {"n": pl.Int64, "s": pl.String}
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"n\n" + b"1\n" * 60_000))
    assert sample_types(str(tmp_path / "c.csv.gz"), "csv") == {"n": pl.Int64}
    (tmp_path / "d.jsonl").write_text('{"n":1}\n' * 30_000 + '{"n":1.5}\n')
    assert sample_types(str(tmp_path / "d.jsonl"), "json") == {"n": pl.Float64}
    (tmp_path / "e.csv").write_text("n,n\n1,2\n")
    assert sample_types(str(tmp_path / "e.csv"), "csv") is None
    assert guess._SAMPLED > 1


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.text(alphabet='{}[]\n\r":a', max_size=14))
def test_what_is_plainly_shallow_is_shallow(text: str) -> None:
    data = text.encode()
    if plainly_shallow(data) and data.endswith(b"}\n") and b"\n" not in data.replace(b"}\n", b""):
        found = _JSON_SHALLOW.match(data)
        assert found is not None
        assert found.end() == len(data)


def test_plain_json_is_told_fast() -> None:
    assert plainly_shallow(b'{"a":[1,{"b":2}]}\n{"a":[]}\n')
    assert plainly_shallow(b'{"a":' + b"[" * 63 + b"]" * 63 + b"}\n")
    assert not plainly_shallow(b'{"a":' + b"[" * 64 + b"]" * 64 + b"}\n")
    assert not plainly_shallow(b'{"a":1}\n' + b'{"b":\n' * 65)
    assert not plainly_shallow(b"[]\n")
    assert not plainly_shallow(b"")
