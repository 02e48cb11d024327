"""Expectations, checks, masks and contracts come to the same on a cluster as in this process."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest

from raypipe.core.errors import ExpectationError
from raypipe.lake import Commit, Lake, Table, expect, masks

NOW = datetime(2026, 1, 10)
KEY = b"a key of sixteen bytes or more"
Where = Literal["local", "ray"]


def files(folder: Path, start: int, *, twice: bool, count: int = 3, rows: int = 20) -> str:
    """CSV files, in which every rule below is broken by some rows."""
    folder.mkdir()
    for number in range(count):
        n = range(start + number * rows, start + (number + 1) * rows)
        frame = pl.DataFrame(
            {
                "id": [start if twice and i % 19 == 0 else i for i in n],
                "place": [i % 7 for i in n],
                "mail": [f"raw{i}@x" if i % 11 else None for i in n],
                "code": ["bad code" if i % 13 == 0 else f"c{i}" for i in n],
                "size": [float(i % 50) for i in n],
                "kind": ["abcd"[i % 4] for i in n],
                "at": [NOW - timedelta(hours=i % 40) for i in n],
            }
        )
        frame.write_csv(folder / f"{number}.csv")
    return str(folder / "*.csv")


def table(lake: Lake, mean: float = 100.0) -> Table:
    known = lake.table("places")
    rules: list[Any] = [
        expect.not_null("mail", on_fail="quarantine"),
        expect.between("size", 1, 48, on_fail="drop"),
        expect.in_set("kind", ["a", "b", "c"], on_fail="warn"),
        expect.matches("code", "c[0-9]+", on_fail="quarantine"),
        expect.unique("id", on_fail="quarantine"),
        expect.foreign_key("place", known, "place", on_fail="quarantine"),
        expect.that((pl.col("size") + pl.col("id")) >= 0, "sum"),
        expect.row_count(low=1),
        expect.freshness("at", timedelta(days=3), now=NOW),
        expect.column_stat("size", "mean", low=0, high=mean),
        expect.column_stat("size", "mean", against_previous=0.01, on_fail="warn"),
        expect.column_stat("mail", "distinct", low=1),
    ]
    return lake.table("t", expect=rules, pii={"mail": masks.keyed_hash(KEY)})


def outcomes(done: Commit) -> tuple[Any, ...]:
    counts = (done.rows_in, done.rows, done.quarantined, done.dropped, done.warned)
    return (*counts, done.inserted, done.updated, done.deleted, done.outcomes)


def told(lake: Lake) -> tuple[Any, ...]:
    """All rows of a lake, but for the moments in which they were written."""
    now = lake.table("t").at().frame()
    bad = lake.table("t").quarantine().at().frame().sort("id", "_reasons")
    checks = lake.table("t__checks").at().frame().drop("at").sort("version", "expectation")
    kinds = [(one["kind"], one["rows"], one["quarantined"]) for one in lake.table("t").history()]
    return now.rows(), bad.rows(), checks.rows(), kinds


def test_every_kind_of_write_and_rule(ray_session: None, tmp_path: Path) -> None:
    sources = [files(tmp_path / f"{start}", start, twice=start < 90) for start in (0, 60, 90)]
    found: dict[str, list[Any]] = {}
    places: tuple[Where, ...] = ("local", "ray")
    for place in places:
        lake = Lake(tmp_path / place)
        lake.table("places").append(pl.DataFrame({"place": range(6)}))
        written = table(lake)
        assert written.check(sources[0], run_on=place).quarantined > 0
        done = [
            written.append(sources[0], batch_id="first", run_on=place),
            written.append(sources[0], batch_id="first", run_on=place),
            written.append(sources[1], batch_id="second", run_on=place),
        ]
        assert (done[1].applied_before, done[2].ran_on) == (True, place)
        with pytest.raises(ExpectationError, match="mean") as caught:
            table(lake, mean=0.5).append(sources[2], run_on=place)
        done.append(written.merge(sources[2], on="id", run_on=place, batch_id="third"))
        done.append(written.update(pl.col("size") > 40, {"size": 40.5}, run_on=place))
        done.append(written.delete(pl.col("size") < 3, run_on=place))
        some = pl.col("id") < 30
        fresh = pl.DataFrame(written.at().frame().filter(some)).with_columns(mail=pl.lit("raw@y"))
        bare = lake.table("t", pii={"mail": masks.keyed_hash(KEY)})
        done.append(bare.overwrite(fresh, where=some, run_on=place))
        found[place] = [*map(outcomes, done), str(caught.value), *told(lake)]
        warned = [one for one in done[2].outcomes if one.failed and one.on_fail == "warn"]
        assert [one.name.split("(")[0] for one in warned] == ["in_set", "column_stat"]
        assert done[0].quarantined > 0
        assert done[0].dropped > 0
        raw = b"".join(p.read_bytes() for p in Path(lake.root).rglob("*") if p.is_file())
        frames = [pl.read_parquet(p) for p in Path(lake.root).rglob("*.parquet")]
        assert b"raw" not in raw.replace(b"raypipe", b"")
        assert not any("'raw" in repr(frame.rows()) for frame in frames)
    assert found["local"] == found["ray"]


def test_rows_that_do_not_fit(ray_session: None, tmp_path: Path) -> None:
    for number, more in enumerate(["1,2026-01-02\n", "x,2026-01-03\n", "3,never\n"]):
        (tmp_path / f"{number}.csv").write_text("n,day\n" + more)
    (tmp_path / "3.csv").write_text("n,day,extra\n9,2026-01-04,?\n")
    found = []
    places: tuple[Where, ...] = ("local", "ray")
    for place in places:
        lake = Lake(tmp_path / place)
        strict = lake.table("t", schema={"n": pl.Int64, "day": pl.Date}, evolve="quarantine")
        done = strict.append(str(tmp_path / "*.csv"), run_on=place)
        assert (done.rows, done.quarantined) == (1, 3)
        assert strict.at().frame().rows() == [(1, date(2026, 1, 2))]
        bad = strict.quarantine().at().frame().sort("_row")
        found.append((bad["_reasons"].to_list(), [json.loads(row) for row in bad["_row"]]))
    assert found[0] == found[1]
