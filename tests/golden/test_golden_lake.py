"""Tables of older releases: the same rows, and more may be written to them."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import VersionNotFoundError
from raypipe.lake import Lake

HERE = Path(__file__).parent
RELEASES = sorted(path.name for path in HERE.glob("lake_*") if path.is_dir())


def _tables() -> Any:
    spec = importlib.util.spec_from_file_location("lake_tables", HERE / "lake_tables.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


made = _tables()


def kinds(batch: int) -> pl.DataFrame:
    rows: pl.DataFrame = made.stored(made.kinds(batch))
    return rows


@pytest.fixture(params=RELEASES)
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    """A copy, for tests that write."""
    shutil.copytree(HERE / request.param, tmp_path / "lake")
    return Lake(tmp_path / "lake")


def test_rows_and_versions_are_those_that_were_written(lake: Lake) -> None:
    table = lake.table("kinds")
    first, second = kinds(0), kinds(1)
    assert table.at(version=1).frame().equals(first)
    assert table.at(version=2).frame().equals(pl.concat([first, second]))
    assert table.at().frame().equals(kinds(7))
    assert dict(table.schema) == dict(kinds(0).schema)
    assert [entry["kind"] for entry in table.history()][:3] == ["overwrite", "append", "append"]
    assert table.history(1)[0]["metadata"] == {"why": "golden"}


def test_statistics_that_were_stored_lose_no_row(lake: Lake) -> None:
    now, rows = lake.table("kinds").at(version=2), pl.concat([kinds(0), kinds(1)])
    for name in ("id", "small", "real", "text", "yes", "day", "at", "utc"):
        column = pl.col(name)
        finite = rows[name].filter(rows[name].is_finite()) if name == "real" else rows[name]
        for value in finite.unique().drop_nulls():
            item = pl.lit(value, dtype=rows.schema[name])
            for where in (column == item, column >= item, column < item, column.is_null()):
                assert now.where(where).frame().equals(rows.filter(where)), (name, value)


def test_partition_values_are_themselves(lake: Lake) -> None:
    now = lake.table("places").at()
    rows = pl.concat([made.places(0), made.places(1)])
    assert now.frame().sort("n").equals(rows)
    some = now.where(pl.col("place") == "50%/ü=1")
    assert some.frame().sort("n")["n"].to_list() == [1, 4]
    assert len(some.parts()) < len(now.parts())


def test_what_was_refused_is_in_quarantine(lake: Lake) -> None:
    table = lake.table("readings", expect=[made.RULE])
    assert table.at().frame()["n"].to_list() == [0, 3, 5, 1, 4]
    bad = table.quarantine().at().frame()
    assert bad.select("n", "_batch").rows() == [(6, "r1")]
    assert bad["_reasons"].to_list() == [[made.RULE.name]]


def test_a_log_that_was_cleaned_up(lake: Lake) -> None:
    table = lake.table("counted")
    (first,) = Path(table.uri).glob("_delta_log/*.checkpoint.parquet")
    for version in range(int(first.name[:20]), 22):
        assert table.at(version=version).frame().equals(made.counted(version))
    with pytest.raises(VersionNotFoundError):
        table.at(version=5)
    again = table.append(made.counted(1), batch_id="c3")
    assert (again.applied_before, again.version, table.version()) == (True, 4, 21)


def test_more_may_be_written(lake: Lake) -> None:
    table, places = lake.table("kinds"), lake.table("places")
    assert table.append(made.kinds(0), batch_id="whole").applied_before
    table.append(made.kinds(8), batch_id="new")
    assert table.at().frame().equals(pl.concat([kinds(7), kinds(8)]))
    places.append(made.places(5))
    assert places.at().count() == 9
    readings = lake.table("readings", expect=[made.RULE])
    assert readings.append(made.readings(5), batch_id="r5").quarantined == 2
    assert readings.quarantine().at().frame()["n"].to_list() == [6, 8, 10]
    counted = lake.table("counted")
    for n in range(21, 45):  # beyond the next checkpoint
        counted.overwrite(made.counted(n + 1), batch_id=f"c{n}")
    assert counted.at().frame().equals(made.counted(45))
