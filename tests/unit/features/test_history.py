from __future__ import annotations

import gc
import pickle
import resource
import signal
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import raypipe as rp
from raypipe.core.errors import RecipeError
from raypipe.core.scan import Scan
from raypipe.features import Recipe, held
from raypipe.features.history import buckets, fill
from raypipe.features.history.windows import Windows, as_two
from raypipe.features.transforms import lag, select, window
from raypipe.features.transforms.exact import digits

PAID = pl.DataFrame(
    {
        "who": ["a", "b", "a", "a", "b", "a"],
        "at": [datetime(2024, 1, 1, hour) for hour in (1, 1, 2, 2, 5, 9)],
        "paid": [10, 1, 20, 30, None, 40],
    }
)


def _fill(*asked: Any, rows: Any = PAID, events: Any = None) -> pl.DataFrame:
    return Recipe(*asked).with_history(rows, events)


def test_events_of_one_time_do_not_see_each_other() -> None:
    filled = _fill(
        lag("paid", by="who", time="at"),
        lag("paid", n=2, by="who", time="at", name="two back"),
        window("paid", ["sum", "count", "mean", "std"], by="who", time="at", last=2),
    )
    assert filled["paid_lag1"].to_list() == [None, None, 10, 10, 1, 30]
    assert filled["two back"].to_list() == [None, None, None, None, None, 20]
    assert filled["paid_sum_last2"].to_list() == [0, 0, 10, 10, 1, 50]
    assert filled["paid_count_last2"].to_list() == [0, 0, 1, 1, 1, 2]
    assert filled["paid_mean_last2"].to_list() == [None, None, 10, 10, 1, 25]
    assert filled["paid_std_last2"].to_list() == [None, None, 0, 0, 0, 5]


def test_a_duration_and_a_delay() -> None:
    hours = timedelta(hours=7)
    filled = _fill(
        window("paid", "sum", by="who", time="at", within=hours, name="near"),
        window(
            "paid", "sum", by="who", time="at", within=hours, delay=timedelta(hours=1), name="late"
        ),
        lag("paid", by="who", time="at", delay=timedelta(hours=7)),
    )
    assert filled.columns[3:] == ["near_sum_7h", "late_sum_7h", "paid_lag1"]
    assert filled["near_sum_7h"].to_list() == [0, 0, 10, 10, 1, 50]  # exactly 7 hours old counts
    assert filled["late_sum_7h"].to_list() == [0, 0, 0, 0, 1, 50]
    assert filled["paid_lag1"].to_list() == [None, None, None, None, None, 10]


def test_names_say_how_far_a_window_reaches() -> None:
    spans = [timedelta(days=7), timedelta(hours=36), timedelta(minutes=90), timedelta(seconds=5)]
    names = [window("x", by="k", time="t", within=one).names[0] for one in spans]
    assert names == ["x_mean_7d", "x_mean_36h", "x_mean_90min", "x_mean_5s"]
    assert window("x", by="k", time="t", within=timedelta(microseconds=7)).names == ("x_mean_7us",)


def test_events_of_their_own_and_dates() -> None:
    rows = pl.DataFrame({"k": [1, 2, None], "day": [date(2024, 1, 3)] * 3})
    events = pl.DataFrame(
        {"day": [date(2024, 1, day) for day in (1, 2, 3)], "k": [1, 1, 1], "v": [True, False, True]}
    )
    asked = (
        lag("v", by="k", time="day"),
        window("v", "sum", by="k", time="day", within=timedelta(days=1)),
    )
    filled = _fill(*asked, rows=rows, events=events.lazy())
    assert filled["v_lag1"].to_list() == [0, None, None]
    assert filled["v_sum_1d"].to_list() == [0, 0, None]  # nothing is known of a row without a key
    assert _fill(*asked, rows=rows, events=events.head(0))["v_sum_1d"].to_list() == [0, 0, None]


def test_the_loop_from_a_table_to_one_row(lake_root: str) -> None:
    table = rp.Lake(lake_root).table("paid")
    for part in PAID.iter_slices(4):
        table.append(part)
    recipe = rp.Recipe(
        rp.transforms.window("paid", ["mean", "max"], by="who", time="at", last=10),
        rp.transforms.select("paid"),
    )
    filled = recipe.with_history(table.at())
    assert filled.frame().equals(recipe.with_history(table.at().frame()))
    fitted = recipe.fit(filled)
    assert fitted.feature_names == ("paid_mean_last10", "paid_max_last10", "paid")
    assert fitted.inputs["paid_mean_last10"].nullable
    again = rp.FittedRecipe.from_json(fitted.to_json())
    row = {"who": "a", "at": "2024-01-02T00:00:00", "paid": 5, "other": 1}
    (ready,) = again.with_history([row], table.at().frame())
    assert ready == {"paid_mean_last10": 25.0, "paid_max_last10": 40.0, "paid": 5}
    assert again.row(ready).tolist() == [25.0, 40.0, 5.0]
    with pytest.raises(RecipeError, match="'at' is not there"):
        again.with_history([{"who": "a", "paid": 1}], PAID)
    with pytest.raises(RecipeError, match="paid_mean_last10"):
        recipe.fit(table.at())


def test_exact_sums_do_not_lose_what_floats_lose() -> None:
    values = np.array([1e300, 1.0, -1e300, 1e-300, 0.1, 0.2, 0.3, -0.6])
    whole = Windows(values, np.array([0, 0, 4]), np.array([3, 4, 8]))
    exact = sum(map(Fraction, [0.1, 0.2, 0.3, -0.6]))
    assert whole.figure("sum").tolist() == [1.0, 1.0, float(exact)]
    high, low = as_two({at: column[:1] for at, column in digits(np.array([-5e-324])).items()})
    assert (high.tolist(), low.tolist()) == ([-5e-324], [0.0])
    large = Windows(np.array([1e308, 1e308, -1e308]), np.array([0]), np.array([3]))
    assert large.figure("std")[0] == pytest.approx(1e308 * (8 / 9) ** 0.5, rel=1e-14)
    assert Windows(np.array([1e308] * 2), np.array([0]), np.array([2])).figure("sum")[0] == np.inf


@pytest.fixture
def table(lake_root: str) -> Any:
    made = rp.Lake(lake_root).table("paid")
    for number in range(4):
        made.append(PAID.with_columns(pl.col("paid") + number, late=pl.lit(number % 2)))
    return made


RECIPE = Recipe(
    window("paid", ["mean", "std"], by="who", time="at", last=10),
    lag("paid", by="late", time="at", name="other"),
)


@pytest.fixture
def spill(tmp_path: Path) -> Path:
    folder = tmp_path / "spill"
    folder.mkdir()
    return folder


@pytest.fixture
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six rows are more than memory holds."""
    monkeypatch.setattr(fill, "SMALL", 5)
    monkeypatch.setattr(buckets, "ROWS", 7)


def test_a_table_through_files_is_fitted_and_transformed_as_in_memory(
    table: Any, many: None, spill: Path
) -> None:
    whole = RECIPE.with_history(table.at().frame())
    filled = RECIPE.with_history(table.at(), folder=str(spill))
    assert isinstance(filled, Scan)
    (folder,) = spill.iterdir()
    assert not list(folder.glob("rows-*"))  # only what is read stays
    assert filled.frame().equals(whole)
    fitted = RECIPE.fit(filled, "late")
    assert fitted.transform(filled).equals(fitted.transform(whole))
    assert fitted.profile == RECIPE.fit(whole, "late").profile
    asking = filled.lazy().select("who", "at", "other")
    joined = rp.point_in_time(asking, whole, on="who", time="at", columns=["late"]).collect()
    assert joined.drop("late").equals(whole.select("who", "at", "other"))
    assert filled.identity()["rows"] == table.at().identity()
    part = filled.parts()[1]
    copy = pickle.loads(pickle.dumps(part))
    assert copy.read().equals(part.read())
    del filled, part, fitted, joined, asking
    gc.collect()
    assert not list(spill.iterdir())
    with pytest.raises(RecipeError, match=r"with_history\(folder=") as refused:
        copy.read()
    assert refused.value.field == "folder"


def test_a_table_is_fitted_on_ray_through_files(ray_session: None, table: Any, many: None) -> None:
    filled = RECIPE.with_history(table.at())
    assert RECIPE.fit(filled, run_on="ray").to_json() == RECIPE.fit(filled).to_json()


def test_events_of_a_table_are_read_for_the_keys_that_ask(table: Any) -> None:
    asking = PAID.filter(pl.col("who") == "b").with_columns(late=pl.lit(1))
    alone = RECIPE.with_history(asking.lazy(), table.at())
    assert alone.equals(RECIPE.with_history(asking, table.at().frame()))


def test_what_does_not_fit_is_refused_by_name(
    table: Any, many: None, monkeypatch: pytest.MonkeyPatch, spill: Path
) -> None:
    monkeypatch.setattr(held, "memory_bytes", lambda: 2_000)
    with pytest.raises(
        RecipeError,
        match="the rows of one key of late, and of those that share its bucket, do not fit",
    ) as refused:
        Recipe(lag("paid", by="late", time="at")).with_history(table.at(), folder=str(spill))
    assert refused.value.field == "late"
    assert not list(spill.iterdir())
    monkeypatch.setattr(held, "memory_bytes", lambda: 200)
    with pytest.raises(RecipeError, match="the events of these rows' keys do not fit"):
        RECIPE.with_history(PAID.with_columns(late=pl.lit(1)), table.at())
    lazy = table.at().lazy()
    for reads in (
        lambda: RECIPE.with_history(lazy),
        lambda: Recipe(select("paid")).fit(lazy),
        lambda: rp.point_in_time(PAID, lazy, on="who", time="at", columns=["late"]),
        lambda: rp.point_in_time(
            PAID, table.changes(since=-1), on="who", time="at", columns=["late"]
        ),
    ):
        with pytest.raises(RecipeError, match="do not fit in memory: got 24 rows; half of"):
            reads()


@pytest.mark.parametrize("where", ["nowhere", "a file"])
def test_a_folder_that_cannot_be_written_is_refused(
    table: Any, many: None, tmp_path: Path, where: str
) -> None:
    (tmp_path / "a file").touch()
    with pytest.raises(RecipeError, match="cannot write its temporary files") as refused:
        RECIPE.with_history(table.at(), folder=str(tmp_path / where))
    assert refused.value.field == "folder"


def test_a_full_disk_is_told_and_leaves_nothing(
    table: Any, many: None, monkeypatch: pytest.MonkeyPatch, spill: Path
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    snapshot = table.at()
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        with pytest.raises(RecipeError, match="cannot write its temporary files"):
            RECIPE.with_history(snapshot, folder=str(spill))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    assert not list(spill.iterdir())


def test_a_change_feed_has_no_history(table: Any) -> None:
    with pytest.raises(RecipeError, match="Give the table as it stood"):
        RECIPE.with_history(PAID, table.changes(since=-1))


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: lag("x", 0, by="k", time="t"), "n"),
        (lambda: lag("x", True, by="k", time="t"), "n"),
        (lambda: lag("x", by=[], time="t"), "columns"),
        (lambda: lag("x", by="k", time=""), "time"),
        (lambda: lag("x", by="k", time="t", delay=timedelta(-1)), "delay"),
        (lambda: window("x", by="k", time="t"), "last"),
        (lambda: window("x", by="k", time="t", last=2, within=timedelta(1)), "last"),
        (lambda: window("x", by="k", time="t", last=0), "last"),
        (lambda: window("x", "median", by="k", time="t", last=2), "stats"),
        (lambda: window("x", [], by="k", time="t", last=2), "columns"),
        (lambda: window("x", by="k", time="t", within=timedelta(1), delay=timedelta(1)), "within"),
        (lambda: window("x", by="k", time="t", within=5.0), "within"),
        (lambda: _fill(lag("paid", by="whom", time="at")), "whom"),
        (lambda: _fill(lag("cost", by="who", time="at")), "cost"),
        (lambda: _fill(lag("who", by="who", time="at")), "who"),
        (lambda: _fill(lag("paid", by="who", time="paid")), "paid"),
        (lambda: _fill(lag("paid", by="who", time="at"), events=PAID.drop("at")), "at"),
        (
            lambda: _fill(lag("paid", by="who", time="at"), events=PAID.with_columns(who=1)),
            "who",
        ),
    ],
)
def test_what_cannot_be_is_refused_by_name(make: Any, field: str) -> None:
    with pytest.raises(RecipeError) as refused:
        make()
    assert refused.value.field == field


@pytest.mark.parametrize(
    "one",
    [lag("paid", by="who", time="at"), window("paid", ["mean"], by="who", time="at", last=3)],
)
def test_a_fit_on_rows_that_were_not_filled_says_how(one: Any) -> None:
    with pytest.raises(RecipeError, match=r"Fill it first: rows = recipe\.with_history\(rows\)"):
        Recipe(one).fit(PAID)
