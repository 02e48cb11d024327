"""A transform is part of the read: what it needs is read, its outcome is judged and written."""

from __future__ import annotations

import logging
from pathlib import Path

import polars as pl
import pytest

from raypipe.core.errors import (
    ConfigError,
    EmptySourceError,
    ExpectationError,
    MalformedSourceError,
    SchemaError,
)
from raypipe.lake import Lake, expect


def double(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.filter(pl.col("a") > 1).select("a", b=pl.col("a") * 2)


def wrong(rows: pl.LazyFrame) -> pl.LazyFrame:
    return rows.select("gone")


@pytest.fixture
def lake(lake_root: str) -> Lake:
    return Lake(lake_root)


def files(folder: Path, kind: str) -> str:
    for k in range(3):
        frame = pl.DataFrame({"a": [k, k + 1, k + 2], "unused": ["x", "y", "z"]})
        if kind == "csv":
            frame.write_csv(folder / f"{k}.csv")
        else:
            frame.write_parquet(folder / f"{k}.parquet")
    return str(folder / f"*.{kind}")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_are_transformed_before_they_are_judged(lake: Lake, tmp_path: Path, kind: str) -> None:
    table = lake.table("t", expect=[expect.between("b", 4, 6, on_fail="quarantine")])
    done = table.append(files(tmp_path, kind), transform=double)
    assert (done.rows, done.quarantined, done.ran_on) == (5, 1, "local")
    assert table.at().frame().to_dict(as_series=False) == {
        "a": [2, 2, 3, 2, 3],
        "b": [4, 4, 6, 4, 6],
    }
    assert table.quarantine().at().frame()["b"].to_list() == [8]
    assert table.check(files(tmp_path, kind), transform=double).quarantined == 1
    table.overwrite(table.at(), transform=double)
    assert table.at().count() == 5


def test_a_transform_on_ray_gives_the_same_table(
    ray_session: None, lake: Lake, tmp_path: Path
) -> None:
    paths = files(tmp_path, "parquet")
    done = lake.table("r").append(paths, transform=lambda rows: double(rows), run_on="ray")
    assert done.ran_on == "ray"
    lake.table("l").append(paths, transform=double)
    assert lake.table("r").at().frame().equals(lake.table("l").at().frame())


def test_only_what_is_needed_is_read(lake: Lake, tmp_path: Path) -> None:
    pl.DataFrame({"a": [2], "t": [1]}).cast({"t": pl.Time}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(SchemaError, match="'t'"):
        lake.table("t").append(str(tmp_path / "a.parquet"))
    assert lake.table("t").append(str(tmp_path / "a.parquet"), transform=double).rows == 1


def test_mistakes_are_told_and_nothing_is_written(lake: Lake, tmp_path: Path) -> None:
    rows = pl.DataFrame({"a": [1, 2, 3]})
    table = lake.table("t", expect=[expect.between("b", 0, 4)])
    for transform, error, match in [
        (wrong, SchemaError, "transform cannot be applied to the frame.*gone"),
        (lambda rows: rows.collect(), ConfigError, "gives a polars LazyFrame.*DataFrame"),
        ("nothing", ConfigError, "a transform is a function"),
        (double, ExpectationError, "between"),
        (
            lambda rows: rows.select(b=pl.lit("x").cast(pl.Int64) + pl.col("a")),
            SchemaError,
            "transform cannot be applied",
        ),
    ]:
        with pytest.raises(error, match=match):
            table.append(rows, transform=transform)  # type: ignore[arg-type]
    assert not table.exists
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not at all")
    with pytest.raises(MalformedSourceError, match=r"bad\.parquet"):
        table.append(str(tmp_path / "bad.parquet"), transform=double)


def test_no_row_left_is_no_empty_source(lake: Lake) -> None:
    table = lake.table("t")
    assert table.append(pl.DataFrame({"a": [0]}), transform=double).rows == 0
    with pytest.raises(EmptySourceError):
        table.append(pl.DataFrame({"a": []}, schema={"a": pl.Int64}), transform=double)


def test_auto_says_where_it_runs(
    lake: Lake, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "raypipe.engine.parts"):
        lake.table("t").append(files(tmp_path, "csv"))
    assert caplog.text.count("3 parts of 63 bytes run local") == 1
