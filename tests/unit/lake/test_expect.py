"""Expectations: what breaks them, and where the rows go."""

from __future__ import annotations

import logging
import math

import polars as pl
import pytest

from raypipe.core.errors import ConfigError, ExpectationError, SchemaError
from raypipe.lake import Lake, expect

ROWS = pl.DataFrame(
    {
        "n": [1, 5, None, 9],
        "f": [1.0, math.nan, None, 9.0],
        "s": ["ab", "abc", None, ""],
    }
)


def broken(rule: object) -> list[bool]:
    (one,) = expect.flatten([rule])  # type: ignore[list-item]
    return ROWS.select(one.broken()).to_series().to_list()


@pytest.mark.parametrize(
    ("rule", "rows"),
    [
        (expect.not_null("n"), [0, 0, 1, 0]),
        (expect.not_null("f"), [0, 0, 1, 0]),
        (expect.between("n", 1, 5), [0, 0, 0, 1]),
        (expect.between("n", 2, None), [1, 0, 0, 0]),
        (expect.between("f", 0, None), [0, 1, 0, 0]),
        (expect.between("f", None, 10), [0, 1, 0, 0]),
        (expect.between("f", 0, 10), [0, 1, 0, 0]),
        (expect.between("s", "ab", None), [0, 0, 0, 1]),
        (expect.in_set("s", ["ab", ""]), [0, 1, 0, 0]),
        (expect.matches("s", "ab|x"), [0, 1, 0, 1]),
        (expect.that(pl.col("n") > pl.col("f"), "more"), [1, 1, 0, 1]),
    ],
)
def test_null_holds_for_all_but_not_null(rule: object, rows: list[int]) -> None:
    assert broken(rule) == [bool(r) for r in rows]


def test_rows_go_where_they_belong(lake_root: str) -> None:
    table = Lake(lake_root).table(
        "t",
        expect=[
            expect.between("n", 2, 8, on_fail="quarantine"),
            expect.in_set("s", ["ab", "abc"], on_fail="quarantine"),
            expect.not_null("s", "f", on_fail="drop"),
        ],
    )
    report = table.check(ROWS)
    assert report.ok
    assert not table.exists
    done = table.append(ROWS, batch_id="b")
    assert (done.rows_in, done.rows, done.quarantined, done.dropped) == (4, 1, 2, 1)
    assert (report.rows_in, report.rows, report.quarantined, report.dropped) == (4, 1, 2, 1)
    assert [o.failed for o in report.outcomes] == [2, 1, 1, 1]
    bad = table.quarantine().at().frame()
    assert bad.columns == ["n", "f", "s", "_reasons", "_batch"]
    assert bad["_reasons"].to_list() == [
        ["between(n, 2, 8)"],
        ["between(n, 2, 8)", "in_set(s, 'ab', 'abc')"],
    ]
    assert bad["_batch"].to_list() == ["b", "b"]
    assert bad["n"].to_list() == [1, 9]


def test_all_rows_may_be_refused(lake_root: str) -> None:
    table = Lake(lake_root).table("t", expect=[expect.between("n", 50, 60, on_fail="quarantine")])
    done = table.append(ROWS.drop_nulls("n"))
    assert (done.rows, done.quarantined) == (0, 3)
    assert table.at().count() == 0
    (batch,) = table.quarantine().at().frame()["_batch"].unique()
    assert batch.startswith("auto-")


def test_fail_commits_nothing_and_check_reports(lake_root: str) -> None:
    table = Lake(lake_root).table(
        "t", expect=[expect.not_null("n"), expect.between("n", 2, 8, on_fail="quarantine")]
    )
    assert not table.check(ROWS).ok
    with pytest.raises(ExpectationError, match=r"not_null\(n\)"):
        table.append(ROWS)
    assert not table.exists
    assert not table.quarantine().exists


def test_warn_keeps_the_rows(lake_root: str, caplog: pytest.LogCaptureFixture) -> None:
    table = Lake(lake_root).table("t", expect=[expect.between("n", 2, 8, on_fail="warn")])
    with caplog.at_level(logging.WARNING, "raypipe.lake"):
        done = table.append(ROWS)
    assert (done.rows, done.warned) == (4, 2)
    assert "2 rows break" in caplog.text


def test_unusable_expectations(lake_root: str) -> None:
    lake = Lake(lake_root)
    with pytest.raises(ConfigError, match="on_fail"):
        expect.between("n", 1, 2, on_fail="explode")  # type: ignore[arg-type]
    for make in (
        lambda: expect.not_null(),
        lambda: expect.not_null("^a.*$"),
        lambda: expect.unique("n", "*"),
        lambda: expect.between("n", None, None),
        lambda: expect.between("n", 2, 1),
        lambda: expect.in_set("s", "ab"),
        lambda: expect.matches("s", "("),
        lambda: lake.table("t", expect=["n"]),  # type: ignore[list-item]
        lambda: lake.table("t", expect=[expect.not_null("n"), expect.not_null("n")]),
    ):
        with pytest.raises(ConfigError):
            make()
    with pytest.raises(SchemaError, match="needs column 'zzz'"):
        lake.table("t", expect=[expect.not_null("zzz")]).append(ROWS)
    with pytest.raises(SchemaError, match="does not fit"):
        lake.table("t", expect=[expect.matches("n", "x")]).append(ROWS)
    with pytest.raises((ConfigError, SchemaError)):
        lake.table("t", expect=[expect.that(pl.col("n").sum() > 1, "sum")]).append(ROWS)
