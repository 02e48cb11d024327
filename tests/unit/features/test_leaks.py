from __future__ import annotations

import time as clock
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

import raypipe as rp
from raypipe.core.errors import RecipeError
from raypipe.features import FeatureTable, LeakReport
from raypipe.features.leaks.validity import at_least, pairs_needed, validity

START = datetime(2025, 1, 1)


def _rows(seed: int, count: int = 8_000, kind: str = "classes") -> pl.DataFrame:
    """Honest features: numbers, texts, times and nulls, some of which tell something."""
    rng = np.random.default_rng(seed)
    x, z = rng.normal(size=count), rng.normal(size=count)
    y = x + 0.5 * z + rng.normal(size=count)
    at = np.sort(rng.integers(0, 300 * 86_400, count))
    frame = pl.DataFrame(
        {
            "x": x,
            "z": np.where(rng.random(count) < 0.1, np.nan, z),
            "noise": rng.normal(size=count),
            "few": rng.integers(0, 5, count),
            "many": rng.integers(0, 3_000, count).astype(str),
            "yes": rng.random(count) < 0.3,
            "who": rng.integers(0, 40, count),
            "at": [START + timedelta(seconds=int(s)) for s in at],
            "y": y,
        }
    ).with_columns(seen=pl.col("at") - pl.duration(hours=3), none=pl.lit(None, pl.Float64))
    if kind == "classes":
        return frame.with_columns(y=pl.col("y") > 0.4)
    if kind == "three":
        return frame.with_columns(
            y=pl.when(pl.col("y") < -1)
            .then(pl.lit("a"))
            .when(pl.col("y") < 1)
            .then(pl.lit("b"))
            .otherwise(pl.lit("c"))
        )
    return frame


def _find(rows: pl.DataFrame, **settings: Any) -> LeakReport:
    return rp.find_leaks(rows, "y", time="at", on="who", **settings)


@pytest.mark.parametrize("kind", ["classes", "three", "number"])
def test_honest_columns_are_not_named(kind: str) -> None:
    """The stated chance of a false alarm is 1 %; of 20 seeds none may raise one."""
    for seed in range(20):
        report = _find(_rows(seed, kind=kind))
        assert report.leaks == ()
        assert set(report.columns) == {"x", "z", "noise", "few", "many", "yes", "seen", "none"}
        assert report.notes == ()
        report.check()


@pytest.mark.parametrize("kind", ["classes", "three", "number"])
def test_a_column_made_of_the_label_is_named(kind: str) -> None:
    rows = _rows(1, kind=kind)
    rng = np.random.default_rng(2)
    code = {"three": pl.col("y").rank("dense")}.get(kind, pl.col("y").cast(pl.Float64))
    near = rows.with_columns(
        hint=code + 0.05 * pl.Series(rng.normal(size=rows.height)),
        word=code.round(1).cast(pl.String),
    )
    report = _find(near)
    assert report.named == ("hint", "word")
    assert {one.kind for one in report.leaks} == {"too good"}
    assert not any(one.certain for one in report.leaks)
    assert all(one.bound is not None and one.bound > 0.95 for one in report.leaks)
    with pytest.raises(RecipeError, match="hint"):
        report.check()
    report.check(suspects=False)


def test_a_null_that_tells_the_label_is_named() -> None:
    rows = _rows(1).with_columns(pl.when("y").then("noise").alias("landed"))
    assert _find(rows).named == ("landed",)


def test_a_copy_and_an_opposite_are_certain() -> None:
    rows = _rows(3).with_columns(same=pl.col("y").cast(pl.Int8), other=~pl.col("y"))
    report = _find(rows)
    assert [(one.column, one.kind, one.certain) for one in report.leaks] == [
        ("same", "copy", True),
        ("other", "copy", True),
    ]


def test_times_after_the_row_are_named() -> None:
    late = pl.when(pl.int_range(pl.len()) % 100 == 0).then(pl.col("at") + pl.duration(hours=1))
    rows = _rows(4).with_columns(x_at=late.otherwise(pl.col("at")), due=late)
    report = _find(rows, times_of={"x": "x_at"})
    found = {one.column: (one.kind, one.certain, one.rows) for one in report.leaks}
    assert found == {
        "x": ("later", True, 80), "x_at": ("later", False, 80), "due": ("later", False, 80),
    }  # fmt: skip


def test_a_feature_of_the_next_row_looks_ahead() -> None:
    rng = np.random.default_rng(5)
    rows = _rows(5, kind="number").sort("who", "at")
    walk = np.concatenate(
        [
            np.cumsum(rng.normal(size=n))
            for n in rows.group_by("who", maintain_order=True).len()["len"]
        ]
    )
    rows = rows.with_columns(y=pl.Series(walk))
    step = pl.col("y") - pl.col("y").shift(1).over("who")
    rows = rows.with_columns(y=step.fill_null(0.0) + pl.Series(rng.normal(size=rows.height)))
    rows = rows.with_columns(
        before=pl.col("y").shift(1).over("who"), after=pl.col("y").shift(-1).over("who"),
        middle=(pl.col("y").shift(-1) + 0.2 * pl.col("y").shift(1)).over("who"),
    ).sort("at")  # fmt: skip
    report = _find(rows.select("x", "noise", "before", "after", "middle", "who", "at", "y"))
    assert [(one.column, one.kind) for one in report.leaks] == [
        ("after", "ahead"),
        ("middle", "ahead"),
    ]


def test_values_of_later_versions_are_named(lake_root: str) -> None:
    table = rp.Lake(lake_root).table("scores")
    table.append(pl.DataFrame({"who": [1, 2], "of": [START] * 2, "score": [1, 2], "other": [3, 4]}))
    clock.sleep(0.02)
    known = table.history(1)[0]["at"] + timedelta(milliseconds=10)
    clock.sleep(0.02)
    table.update(pl.col("who") == 2, set={"score": pl.col("score") * 10})
    rows = pl.DataFrame(
        {"who": [1, 2] * 50, "at": [known] * 100, "y": [True, False, False, True] * 25}
    )
    now = rp.point_in_time(rows, table.at(), on="who", time="at", feature_time="of")
    history = FeatureTable(table.changes(since=-1), time="of")
    report = _find(now, known=history)
    assert [(one.column, one.kind, one.rows) for one in report.leaks] == [
        ("score", "not known", 50)
    ]
    assert report.notes  # and a hundred rows cannot tell what is too good
    then = rp.point_in_time(rows, history, on="who", time="at")
    assert _find(then, known=[history]).leaks == ()


def test_a_recipe_says_which_columns_count_and_what_the_label_is(lake_root: str) -> None:
    t = rp.transforms
    rows = _rows(6, kind="number").with_columns(gate=pl.col("y") * 3)
    recipe = rp.Recipe(t.derive(late=pl.col("y") > 0.4), t.impute("x", "z"), t.select("gate"))
    table = rp.Lake(lake_root).table("rows")
    for part in rows.iter_slices(3_000):
        table.append(part)
    report = rp.find_leaks(table.at(), "late", recipe=recipe)
    assert report.columns == ("x", "z", "gate")
    assert report.named == ("gate",)
    assert report == rp.find_leaks(rows.lazy(), "late", recipe=recipe)
    few = rp.find_leaks(table.at(), "late", recipe=recipe, most_rows=2_000)
    assert few.rows <= 2_000
    assert few.named == ("gate",)


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_the_report_is_shown() -> None:
    report = _find(_rows(7).with_columns(pl.col("y").alias(HOSTILE)))
    assert f"{HOSTILE!r} is the label" in repr(report)
    html = report._repr_html_()
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "<img" not in html
    assert "none found" in _find(_rows(7))._repr_html_()


def _scores(x: Any, y: Any, teaches: Any) -> Any:
    mean = y[teaches].mean()
    same = [teaches & (x == one) for one in x]
    return np.array([(y[some].sum() + mean) / (some.sum() + 1) for some in same])


def test_validity_is_the_auc_of_what_a_quarter_taught() -> None:
    rng = np.random.default_rng(8)
    y = (rng.random(4_000) < 0.2).astype(float)
    x = rng.integers(0, 30, 4_000) + 5 * y
    found = validity(pl.Series(x), y, 0.01)
    assert found is not None
    teaches = np.arange(4_000) % 4 == 0
    judged = _scores(x, y, teaches)[~teaches]
    assert found.value == pytest.approx(roc_auc_score(y[~teaches], judged), abs=1e-12)
    assert found.pairs == int(y[~teaches].sum())


def test_concordance_is_that_of_all_pairs() -> None:
    rng = np.random.default_rng(9)
    x = rng.integers(0, 9, 400)
    y = np.round(x + rng.normal(size=400), 1)
    found = validity(pl.Series(x), y, 0.01)
    assert found is not None
    teaches = np.arange(400) % 4 == 0
    s, t = _scores(x, y, teaches)[~teaches], y[~teaches]
    pairs = [(np.sign(s[i] - s[j]) * np.sign(t[i] - t[j]) + 1) / 2
             for i in range(300) for j in range(i) if t[i] != t[j]]  # fmt: skip
    assert found.value == pytest.approx(np.mean(pairs), abs=1e-12)


def test_the_bound_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(10)
    shift = 1.5
    truth = 0.8556  # of two normals 1.5 apart: Phi(1.5 / sqrt(2))
    wrong = 0
    for _ in range(400):
        high, low = rng.normal(shift, 1, 200), rng.normal(0, 1, 300)
        value = float((high[:, None] > low[None, :]).mean())
        wrong += at_least(value, 200, 0.05) > truth
    assert wrong <= 0.05 * 400
    assert at_least(1.0, 500, 0.01) == pytest.approx(0.01 ** (1 / 500), abs=1e-9)
    assert at_least(1.0, pairs_needed(0.95, 0.001), 0.001) >= 0.95


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"label": "nothing"}, "nothing"),
        ({"time": "nothing"}, "nothing"),
        ({"on": "nothing"}, "nothing"),
        ({"times_of": {"x": "nothing"}}, "nothing"),
        ({"times_of": {"x": "y"}}, "y"),
        ({"label": "none"}, "none"),
        ({"too_good": 0.4}, "too_good"),
        ({"too_good": "0.9"}, "too_good"),
        ({"false_alarm": 1.0}, "false_alarm"),
        ({"too_good": float("nan")}, "too_good"),
        ({"false_alarm": True}, "false_alarm"),
        ({"most_rows": 1}, "most_rows"),
        ({"most_rows": "x"}, "most_rows"),
        ({"most_rows": 9.5}, "most_rows"),
        ({"most_rows": True}, "most_rows"),
        ({"most_rows": None}, "most_rows"),
        ({"label": 3}, "label"),
        ({"label": ["y"]}, "label"),
        ({"recipe": "x"}, "recipe"),
        ({"time": 3}, "time"),
        ({"time": "x"}, "x"),
        ({"on": []}, "on"),
        ({"on": 3}, "on"),
        ({"on": ["who", "who"]}, "on"),
        ({"on": [3]}, "on"),
        ({"times_of": ["x"]}, "times_of"),
        ({"times_of": {"x": 3}}, "times_of"),
        ({"known": 3}, "known"),
        ({"known": [pl.DataFrame()]}, "known"),
        ({"known": "x"}, "known"),
        ({"time": None, "times_of": {"x": "at"}}, "time"),
        ({"on": None, "known": FeatureTable(pl.DataFrame())}, "on"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_by_name(settings: dict[str, Any], field: str) -> None:
    asked = {"label": "y", "time": "at", "on": "who", **settings}
    with pytest.raises(RecipeError) as refused:
        rp.find_leaks(_rows(0, 100), **asked)
    assert refused.value.field == field


@pytest.mark.parametrize("data", [None, "rows.parquet", [1, 2]])
def test_what_are_no_rows_is_refused(data: Any) -> None:
    with pytest.raises(RecipeError) as refused:
        rp.find_leaks(data, "y")
    assert refused.value.field == "the rows"
