"""Figures of a batch: parts measure, measures merge, the driver judges, the report tells."""

from __future__ import annotations

import math
import pickle
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.core.errors import ConfigError, ExpectationError, SchemaError
from raypipe.lake import Lake, Outcome, expect
from raypipe.lake.quality.figures import FigureRule, Measures, judge, measure

NOW = datetime(2026, 3, 1, 12)
FRAME = pl.DataFrame(
    {
        "n": [1, 2, 3, None],
        "f": [1.0, math.nan, None, 9.0],
        "s": ["b", "a", "b", None],
        "t": [NOW - timedelta(hours=h) for h in (1, 2, 3, 4)],
        "d": [date(2026, 2, 28)] * 4,
    }
)


def judged(rule: object, frame: pl.DataFrame = FRAME, previous: float | None = None) -> bool:
    assert isinstance(rule, FigureRule)
    different = frame[rule.columns[0]].drop_nulls().n_unique() if rule.columns else None
    return judge(rule, measure(frame, rule.columns), different, previous).holds


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (expect.row_count(4, 4), True),
        (expect.row_count(low=5), False),
        (expect.row_count(high=3), False),
        (expect.column_stat("n", "mean", 2, 2), True),
        (expect.column_stat("n", "mean", high=1.9), False),
        (expect.column_stat("n", "null_share", high=0.25), True),
        (expect.column_stat("n", "null_share", high=0.2), False),
        (expect.column_stat("n", "min", 1, 1), True),
        (expect.column_stat("n", "max", high=2), False),
        (expect.column_stat("f", "max", high=9), True),
        (expect.column_stat("f", "mean", 0, 100), False),  # one NaN, and there is no mean
        (expect.column_stat("s", "min", "a", "a"), True),
        (expect.column_stat("s", "distinct", 2, 2), True),
        (expect.column_stat("d", "max", high=NOW), True),
        (expect.freshness("t", timedelta(hours=1), now=NOW), True),
        (expect.freshness("t", timedelta(minutes=59), now=NOW), False),
        (expect.freshness("t", timedelta(0), now=NOW - timedelta(days=1)), True),
        (expect.freshness("d", timedelta(hours=36), now=lambda: NOW), True),
        (expect.freshness("d", timedelta(hours=35), now=NOW), False),
        (expect.freshness("t", timedelta(hours=1), now=NOW.replace(tzinfo=UTC)), True),
        (
            expect.freshness(
                "t", timedelta(hours=1), now=NOW.replace(tzinfo=timezone(timedelta(hours=-1)))
            ),
            False,
        ),
    ],
)
def test_figures_are_judged(rule: object, holds: bool) -> None:
    assert judged(rule) is holds


def test_a_batch_without_a_value_breaks_a_bound() -> None:
    empty = FRAME.clear()
    assert not judged(expect.column_stat("n", "mean", low=0), empty)
    assert not judged(expect.freshness("t", timedelta(1), now=NOW), empty)
    assert judged(expect.column_stat("n", "mean", against_previous=0.1), empty, 5.0)
    assert not judged(expect.column_stat("n", "null_share", high=1), empty)


def test_figures_beside_those_before() -> None:
    rule = expect.column_stat("n", "mean", against_previous=0.1)
    assert judged(rule, previous=None)
    assert judged(rule, previous=2.2)
    assert not judged(rule, previous=2.3)
    assert not judged(rule, previous=-2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.integers(-99, 99), st.just(math.nan)), max_size=6),
        max_size=5,
    )
)
def test_measures_of_parts_merge_to_those_of_the_whole(parts: list[list[float | None]]) -> None:
    frames = [pl.DataFrame({"a": p}, schema={"a": pl.Float64}, strict=False) for p in parts]
    together = sum((measure(f, ["a"]) for f in frames), Measures())
    whole = measure(pl.concat(frames) if frames else pl.DataFrame(schema={"a": pl.Float64}), ["a"])
    assert together.rows == whole.rows
    for rule in (
        expect.column_stat("a", "mean", 0, 1),
        expect.column_stat("a", "null_share", 0, 1),
        expect.column_stat("a", "min", 0, 1),
        expect.column_stat("a", "max", 0, 1),
    ):
        assert isinstance(rule, FigureRule)
        assert judge(rule, together, None, None) == judge(rule, whole, None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: expect.row_count(),
        lambda: expect.row_count(3, 2),
        lambda: expect.row_count(-1),
        lambda: expect.row_count(1, on_fail="drop"),
        lambda: expect.freshness("t", timedelta(1), on_fail="quarantine"),
        lambda: expect.freshness("t", 3600),  # type: ignore[arg-type]
        lambda: expect.freshness("t", timedelta(-1)),
        lambda: expect.column_stat("a", "median", 1),  # type: ignore[arg-type]
        lambda: expect.column_stat("a", "mean"),
        lambda: expect.column_stat("a", "mean", 1, "x"),
        lambda: expect.column_stat("a", "mean", against_previous=-1),
        lambda: expect.column_stat("a", "mean", 1, on_fail="drop"),
    ],
)
def test_rules_about_the_whole_that_cannot_be(wrong: object) -> None:
    with pytest.raises(ConfigError):
        wrong()  # type: ignore[operator]


@pytest.mark.parametrize(
    "rule",
    [
        expect.freshness("n", timedelta(1)),
        expect.column_stat("s", "mean", 1),
        expect.column_stat("n", "min", "a"),
        expect.column_stat("s", "max", against_previous=0.1),
        expect.column_stat("gone", "mean", 1),
    ],
)
def test_rules_that_do_not_fit_the_columns(lake_root: str, rule: expect.Rule) -> None:
    with pytest.raises(SchemaError):
        Lake(lake_root).table("t", expect=[rule]).append(FRAME)


def test_a_write_is_judged_over_all_its_parts(lake_root: str, tmp_path: Path) -> None:
    for number in range(3):
        FRAME.write_parquet(tmp_path / f"{number}.parquet")
    rules = [
        expect.row_count(12, 12),
        expect.column_stat("n", "mean", 2, 2),
        expect.column_stat("s", "distinct", 2, 2),
        expect.freshness("t", timedelta(hours=1), now=NOW),
        expect.column_stat("n", "max", high=1, on_fail="warn"),
    ]
    table = Lake(lake_root).table("t", expect=rules)
    source = str(tmp_path / "*.parquet")
    told = table.check(source)
    done = table.append(source, batch_id="b")
    assert told == done.report
    assert [o.value for o in done.outcomes] == [12, 2.0, 2, 3600.0, 3]
    assert [o.failed for o in done.outcomes] == [0, 0, 0, 0, 1]
    assert done.warned == 1
    assert done.report.outcome("row_count(12, 12)").share == 0
    again = table.append(source, batch_id="b")
    assert again.applied_before
    assert again.report == done.report
    with pytest.raises(ExpectationError, match="4 is below 12"):
        table.append(FRAME)
    with pytest.raises(ConfigError):
        done.report.outcome("no such")


def test_what_other_rules_took_out_is_not_measured(lake_root: str) -> None:
    rules = [
        expect.unique("k", on_fail="drop"),
        expect.between("k", 0, 100, on_fail="quarantine"),
        expect.row_count(2, 2),
        expect.column_stat("k", "mean", 1.5, 1.5),
    ]
    table = Lake(lake_root).table("t", expect=rules)
    frame = pl.DataFrame({"k": [1, 1, 1, 2, 999]})
    assert table.check(frame).ok
    done = table.append(frame)
    assert (done.rows, done.dropped, done.quarantined) == (2, 2, 1)


def test_the_write_before_is_found_in_the_log(lake_root: str) -> None:
    rule = expect.column_stat("n", "mean", against_previous=0.5)
    table = Lake(lake_root).table("t", expect=[rule])
    table.append(pl.DataFrame({"n": [10.0]}))
    Lake(lake_root).table("t").append(pl.DataFrame({"n": [99.0]}))  # it was not judged
    table.append(pl.DataFrame({"n": [14.0]}))
    with pytest.raises(ExpectationError, match="from 14"):
        table.append(pl.DataFrame({"n": [30.0]}))
    table.append(pl.DataFrame({"n": [20.0]}))


def test_a_report_is_readable_and_escapes(lake_root: str) -> None:
    rules = [
        expect.that(pl.col("n") > 1, "<b>more</b>", on_fail="warn"),
        expect.column_stat("n", "mean", 0, 5),
    ]
    done = Lake(lake_root).table("t", expect=rules).append(FRAME)
    page = done._repr_html_()
    assert "&lt;b&gt;more" in page
    assert "<b>more" not in page
    assert 'aria-label="25.00%"' in page
    assert "2 in [0, 5]" in page
    assert pickle.loads(pickle.dumps(done)) == done
    one = done.outcomes[0]
    assert Outcome.of_json(one.as_json()) == one
