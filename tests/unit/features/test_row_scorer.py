"""The scorer of rows: nothing of a file becomes code, and the faster way is taken."""

from __future__ import annotations

import ast
import enum
import math
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Context, Decimal
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.expressions import code
from raypipe.features import FittedRecipe, Recipe
from raypipe.features import transforms as T  # noqa: N812
from raypipe.features.crossing import forget

WIDE = Context(prec=40)
HOSTILE = [
    "__import__('os').system('true')",
    '"); import os; ("',
    "'''",
    "\\",
    "\n    raise SystemExit\n",
    "{0.__class__}",
    "{}{}",
    "%s",
    "k1",
    "v2",
    "a1",
    "f0",
    "#0",
    "None",
    "\u202e",
    "\x00",
    "# -*- coding: rot13 -*-",
]


def _bits(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float32).tobytes()


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_values_never_become_source(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stand in every place that a file has for a text; the source holds none of them."""
    sources: list[str] = []
    parse = ast.parse

    def watched(source: str, *args: Any, **kwargs: Any) -> Any:
        sources.append(source)
        return parse(source, *args, **kwargs)

    number, day, key = text + "n", text + "d", text
    frame = pl.DataFrame(
        {
            key: [text, "a", None, text],
            number: [1.5, None, 2.5, -1.0],
            day: [date(2013, 1, 1), None, date(2013, 1, 3), date(2013, 1, 4)],
            "y": [0, 1, 1, 0],
        }
    )
    table = pl.DataFrame({key: [text, "b"], text + "found": [text, "c"], text + "size": [1, 2]})
    recipe = Recipe(
        T.lookup(table, on=key, columns=[text + "found", text + "size"], prefix=text),
        T.one_hot(key, text * 2 + "found"),
        T.target_encode(key),
        T.impute(number, indicator=True),
        T.date_parts(day, ["day", "yearday"]),
        T.derive(**{text + "z": (pl.col(key) == text) & pl.col(key).is_in([text, "q"])}),
        T.derive(
            **{text + "w": pl.concat_str([key, pl.lit(text)], separator=text).str.len_bytes()}
        ),
        T.derive(**{text + "u": pl.col(text * 2 + "size") * 2.5 + pl.col(number)}),
    )
    fitted = FittedRecipe.from_json(recipe.fit(frame, "y").to_json())
    rows = frame.select(list(fitted.inputs)).to_dicts()
    monkeypatch.setattr(code.ast, "parse", watched)
    made = [fitted.row(row) for row in rows]
    assert _bits(made) == _bits(fitted.transform(frame).to_numpy())
    assert len(sources) == 1  # no step went through its closure, which compiles by itself
    assert all(
        text not in source for source in sources if text not in ("k1", "v2", "a1", "f0", "None")
    )
    names = {node.id for node in ast.walk(parse(sources[0])) if isinstance(node, ast.Name)}
    assert all(name[0] in "akv" and name[1:].isdigit() for name in names)
    held = {node.value for node in ast.walk(parse(sources[0])) if isinstance(node, ast.Constant)}
    assert held <= {None, 0.0, 1.0}


FRAME = pl.DataFrame(
    {
        "x": [1.5, None, math.nan, -2.0],
        "s": ["a", "", None, "b"],
        "t": [datetime(2013, 1, 1, 5), None, datetime(2013, 1, 3), datetime(2013, 5, 4)],
        "y": [0, 1, 1, 0],
    }
)


def test_without_compiling_the_bits_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(
        T.impute("x"), T.one_hot("s"), T.target_encode("s"), T.date_parts("t", ["hour"])
    )
    fitted = recipe.fit(FRAME, "y")
    rows = FRAME.select(list(fitted.inputs)).to_dicts()
    want = _bits([fitted.row(row) for row in rows])
    monkeypatch.setattr(code, "MAX_LINES", 3)
    large = FittedRecipe.from_json(fitted.to_json())
    assert _bits([large.row(row) for row in rows]) == want
    for wrong in ({}, {**rows[0], "more": 1}, {**rows[0], "x": "1"}, 5):
        with pytest.raises(RecipeError) as refused:
            large.row(wrong)  # type: ignore[arg-type]
        with pytest.raises(RecipeError) as told:
            fitted.row(wrong)  # type: ignore[arg-type]
        assert str(told.value) == str(refused.value)


def test_a_step_without_code_stands_among_those_with() -> None:
    recipe = Recipe(
        T.derive(a=pl.col("x").round(2)),  # left to polars
        T.impute("a", strategy="constant", value=7),
        T.derive(b=pl.col("a") * 2, c=pl.col("a").tan()),
        T.one_hot("s"),
    )
    fitted = recipe.fit(FRAME, "y")
    rows = FRAME.select(list(fitted.inputs)).to_dicts()
    assert _bits([fitted.row(row) for row in rows]) == _bits(fitted.transform(FRAME).to_numpy())


def test_many_categories_are_as_right_as_few() -> None:
    frame = pl.DataFrame({"s": [f"c{n}" for n in range(200)]})
    fitted = Recipe(T.one_hot("s")).fit(frame)
    rows = [*frame.to_dicts(), {"s": None}, {"s": "new"}]
    want = fitted.transform(pl.DataFrame(rows)).to_numpy()
    assert want.sum() == 200
    assert _bits([fitted.row(row) for row in rows]) == _bits(want)


def test_a_row_may_be_changed_by_who_asked_for_it() -> None:
    fitted = Recipe(T.select("x")).fit(FRAME)
    made = fitted.row({"x": 1.0})
    made[0] = 5
    assert fitted.row({"x": 1.0}).tolist() == [1.0]
    scorer = fitted._rows_scorer()
    for some in (fitted.rows, scorer.some, scorer.through_polars):
        assert some([{"x": 1.0}, {"x": 2.0}]).flags.writeable


class Whole(enum.IntEnum):
    TWO = 2


class Text(str, enum.Enum):  # noqa: UP042 - the kind whose str() is its name
    """Its members are strings, and ``str`` of one is its name."""

    A = "a"


ALL = {"f": 1.5, "i": 2, "s": "a", "b": True, "t": datetime(2013, 1, 1), "d": date(2013, 1, 1)}


def _all() -> FittedRecipe:
    return Recipe(
        T.select("f", "i", "b"),
        T.one_hot("s"),
        T.date_parts("t", ["hour", "minute"]),
        T.date_parts("d", ["day"]),
    ).fit(pl.DataFrame([ALL]))


@pytest.mark.parametrize(
    ("change", "feature", "want"),
    [
        ({"f": np.float32(0.5)}, 0, 0.5),
        ({"f": np.int64(3)}, 0, 3.0),
        ({"f": 2**70}, 0, 2.0**70),
        ({"i": np.uint8(3)}, 1, 3.0),
        ({"b": np.bool_(False)}, 2, 0.0),
        ({"s": np.str_("a")}, 3, 1.0),
        ({"t": pd.Timestamp("2013-01-01T07:30")}, 4, 7.0),
        ({"t": datetime(2013, 1, 1, 7, fold=1)}, 4, 7.0),
        ({"t": datetime(2013, 1, 1, 7, tzinfo=timezone(timedelta(hours=2)))}, 4, 5.0),
        ({"t": "2013-01-01T07:30:00+02:00"}, 4, 5.0),
        ({"t": pd.NaT}, 4, math.nan),
        ({"t": np.datetime64("2013-01-01T07:30:00.123456789", "ns")}, 4, 7.0),
        ({"t": np.datetime64("2013-01-01T07", "h")}, 4, 7.0),
        ({"t": np.datetime64("NaT")}, 4, math.nan),
        ({"d": "2013-01-09"}, 6, 9.0),
        ({"d": np.datetime64("2013-01-09")}, 6, 9.0),
        ({"d": pd.NaT}, 6, math.nan),
        ({"f": Decimal("0.5")}, 0, 0.5),
        ({"f": Decimal("1E+37")}, 0, 1e37),
        ({"f": pd.NA}, 0, math.nan),
        ({"i": Whole.TWO}, 1, 2.0),
        ({"s": Text.A}, 3, 1.0),
    ],
)
def test_what_stands_for_a_raw_type_is_taken(change: Any, feature: int, want: float) -> None:
    fitted = _all()
    for got in (
        fitted.row({**ALL, **change}),
        fitted._rows_scorer().through_polars([{**ALL, **change}])[0],
    ):
        assert got[feature] == want or (math.isnan(want) and math.isnan(got[feature]))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"f": np.bool_(True)}, "f"),
        ({"f": np.str_("1.5")}, "f"),
        ({"f": np.array([1.0])}, "f"),
        ({"f": 1j}, "f"),
        ({"i": np.array([1, 2])}, "i"),
        ({"i": np.float64(1)}, "i"),
        ({"i": -(2**63) - 1}, "i"),
        ({"f": Decimal("NaN")}, "f"),
        ({"f": Decimal("sNaN")}, "f"),
        ({"f": Decimal("-Infinity")}, "f"),
        ({"f": Decimal(10**38)}, "f"),
        ({"f": Decimal("1E-39")}, "f"),
        ({"f": Decimal("1E+999999")}, "f"),
        ({"f": np.datetime64("2013-01-01")}, "f"),
        ({"i": Decimal(1)}, "i"),
        ({"i": True}, "i"),
        ({"b": "true"}, "b"),
        ({"b": 0}, "b"),
        ({"s": b"a"}, "s"),
        ({"s": ["a"]}, "s"),
        ({"t": 5}, "t"),
        ({"t": date(2013, 1, 1)}, "t"),
        ({"t": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=2)))}, "t"),
        ({"t": np.datetime64("2013-01-01")}, "t"),
        ({"t": np.datetime64(10**15, "s")}, "t"),
        ({"d": np.datetime64("2013-01-01T00")}, "d"),
        ({"d": datetime(2013, 1, 1)}, "d"),
        ({"d": np.datetime64(10**9, "D")}, "d"),
        ({"d": 5}, "d"),
        ({"d": "2013-13-01"}, "d"),
    ],
)
def test_what_does_not_is_refused_by_name(change: Any, field: str) -> None:
    fitted = _all()
    scorer = fitted._rows_scorer()
    row = {**ALL, **change}
    for score in (
        fitted.row,
        lambda one: scorer.some([one]),
        lambda one: scorer.through_polars([ALL, one]),
    ):
        with pytest.raises(RecipeError) as refused:
            score(row)
        assert refused.value.field == field
        assert "Give" in str(refused.value)


def test_decimals_have_the_bits_of_a_column_of_them() -> None:
    draw = random.Random(0)
    for scale in (0, 2, 9, 18, 37, 38):
        whole = [0, 1, 10**38 - 1, *(draw.randrange(10 ** draw.randint(1, 38)) for _ in range(300))]
        above = [Decimal(one).scaleb(-scale, WIDE) for one in whole]
        values = [*above, *map(Decimal.copy_negate, above)]
        column = pl.Series("x", values, pl.Decimal(38, scale))
        frame = pl.DataFrame({"x": column})
        scaled = T.derive(a=pl.col("x") * 1e9, b=pl.col("x") - 1, c=1 / pl.col("x"))
        fitted = Recipe(*scaled).fit(frame)
        asked = [{"x": value} for value in column.to_list()]
        want = _bits(fitted.transform(frame).to_numpy())
        assert _bits([fitted.row(row) for row in asked]) == want
        assert _bits(fitted._rows_scorer().through_polars(asked)) == want


def test_times_of_nanoseconds_have_the_bits_of_a_column_of_them() -> None:
    ns = [-1, -999, -1000, -1001, 0, 1, 999, 1001, 1356998400123456789]
    values = np.array(ns, "datetime64[ns]")
    since = pl.col("t") - pl.lit(datetime(1970, 1, 1))
    parts = T.derive(a=since.dt.total_microseconds() % 1000, b=since.dt.total_microseconds())
    fitted = Recipe(*parts).fit(FRAME)
    want = _bits(fitted.transform(pl.DataFrame({"t": values})).to_numpy())
    assert _bits([fitted.row({"t": value}) for value in values]) == want
    assert _bits([fitted.row({"t": pd.Timestamp(value)}) for value in values]) == want


@pytest.mark.parametrize(
    ("change", "field", "act"),
    [
        ({"more": 1}, "more", "Give exactly: f, i, b, s, t, d."),
        ({"f": None, "F": 1}, "F", "Give exactly"),
        ({"i": ...}, "i", "There are"),
        ({"i": ..., "j": 1}, "i", "'d', 'j']."),
        ({"s": 5}, "s", "got int 5. Give a string or null."),
        ({"b": 1}, "b", "got int 1. Give true or false or null."),
        ({"i": 1.5}, "i", "got float 1.5. Give an integer or null."),
        ({"f": "x"}, "f", "got str 'x'. Give a number or null."),
        ({"t": "noon"}, "t", "got str 'noon'. Give a time as ISO text or null."),
    ],
)
def test_fields_that_are_more_less_or_other_are_named(
    change: dict[str, Any], field: str, act: str
) -> None:
    """A field that is not there is written ``...``; every way says the same."""
    fitted = _all()
    row = {name: value for name, value in {**ALL, **change}.items() if value is not ...}
    scorer = fitted._rows_scorer()
    for score in (
        fitted.row,
        lambda one: fitted.rows([one]),
        lambda one: fitted.rows([ALL] * 20 + [one]),
        lambda one: scorer.some([one]),
        lambda one: scorer.through_polars([one, ALL]),
    ):
        with pytest.raises(RecipeError) as refused:
            score(row)
        assert refused.value.field == field
        assert act in str(refused.value)


def test_a_utc_time_of_any_zone_is_one_moment() -> None:
    fitted = _all()
    late = datetime(9999, 12, 31, 23, 30, tzinfo=UTC)
    assert fitted.row({**ALL, "t": late})[4] == 23.0


def _slowed(scorer: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, float], list[str]]:
    """Seconds that each way is busy, a row or a frame, and which ways were taken."""
    waits, taken = {"row": 0.0, "polars": 0.0}, []
    into, batch = scorer._packed, scorer._batch

    def busy(seconds: float) -> None:  # not asleep, which takes none of the process's time
        end = time.thread_time() + seconds
        while seconds and time.thread_time() < end:
            pass

    def by_row(row: Any) -> bytes:
        busy(waits["row"])
        taken.append("row")
        packed: bytes = into(row)
        return packed

    def by_batch(frame: pl.DataFrame) -> Any:
        busy(waits["polars"])
        taken.append("polars")
        return batch(frame)

    monkeypatch.setattr(scorer, "_packed", by_row)
    monkeypatch.setattr(scorer, "_batch", by_batch)
    return waits, taken


@pytest.fixture
def unknown() -> Iterator[None]:
    """Nothing is known of any recipe, and none learns from this test."""
    forget()
    yield
    forget()


def test_the_faster_way_is_taken(monkeypatch: pytest.MonkeyPatch, unknown: None) -> None:
    scorer = Recipe(T.select("x")).fit(FRAME)._rows_scorer()
    rows = [{"x": float(n)} for n in range(5000)]
    want = _bits(scorer.some(rows))
    waits, taken = _slowed(scorer, monkeypatch)

    def ways(count: int) -> set[str]:
        taken.clear()
        assert _bits(scorer.rows(rows[:count])) == want[: 4 * count]
        return set(taken)

    scorer._crossing.guess(0.0, 1e12)  # nothing is clear
    waits["polars"], waits["row"] = 0.3, 0.001
    assert ways(100) == {"row", "polars"}  # timed
    assert ways(100) == ways(20) == ways(1) == {"row"}  # known: as many, or fewer
    waits["polars"], waits["row"] = 0.0, 0.01
    assert ways(100) == {"row"}
    assert ways(5000) == {"row", "polars"}  # more rows are another question
    assert ways(5000) == ways(4000) == {"polars"}
    again = Recipe(T.select("x")).fit(FRAME.head(3))._rows_scorer()  # of the same kind
    other, taken = _slowed(again, monkeypatch)
    other["row"] = 0.0
    again.rows(rows)
    assert taken == ["polars"]


def test_what_is_clear_is_not_timed(monkeypatch: pytest.MonkeyPatch, unknown: None) -> None:
    scorer = Recipe(T.select("x")).fit(FRAME)._rows_scorer()
    waits, taken = _slowed(scorer, monkeypatch)
    waits["row"] = 0.1
    scorer.rows([{"x": 1.0}] * 4096)
    assert taken.count("polars") == 1  # a row was timed, and the frame is the answer
    assert taken.count("row") == 2
    forget()
    scorer = Recipe(T.select("x")).fit(FRAME)._rows_scorer()
    _, taken = _slowed(scorer, monkeypatch)
    scorer.rows([{"x": 1.0}] * 2)
    assert set(taken) == {"row"}


def test_a_slow_row_is_timed_on_few_rows(monkeypatch: pytest.MonkeyPatch, unknown: None) -> None:
    scorer = Recipe(T.select("x")).fit(FRAME)._rows_scorer()
    waits, taken = _slowed(scorer, monkeypatch)
    waits["row"] = 0.3
    scorer._crossing.guess(0.0, 1e12)
    scorer._timing.acquire()  # another thread is timing: neither way is asked
    scorer.rows([{"x": 1.0}] * 4096)
    assert taken == ["polars"]
    scorer._timing.release()
    scorer.rows([{"x": 1.0}] * 4096)
    assert taken == ["polars"] * 3 + ["row"] * 2


def test_threads_that_share_a_recipe_get_their_own_rows() -> None:
    fitted = Recipe(T.impute("x"), T.one_hot("s")).fit(FRAME)
    rows = [{"x": float(n), "s": "a" if n % 3 else "b"} for n in range(3000)]
    want = fitted._rows_scorer().some(rows)

    def ask(at: int) -> bool:
        return _bits(fitted.rows(rows[at : 2 * at + 1])) == _bits(want[at : 2 * at + 1])

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(1, 1500, 11)))


def test_a_wrong_row_leaves_the_question_open(
    monkeypatch: pytest.MonkeyPatch, unknown: None
) -> None:
    fitted = Recipe(T.select("x")).fit(FRAME)
    fitted._rows_scorer()._crossing.guess(0.0, 1e12)
    with pytest.raises(RecipeError):
        fitted.rows([{"x": 1.0}, {"x": "1"}])
    _, taken = _slowed(fitted._rows_scorer(), monkeypatch)
    fitted.rows([{"x": 1.0}] * 2)
    assert set(taken) == {"row", "polars"}


def test_rows_of_one_field_and_no_row_go_both_ways() -> None:
    scorer = Recipe(T.select("x")).fit(FRAME)._rows_scorer()
    assert scorer.through_polars([{"x": 1.0}, {"x": None}]).tolist()[0] == [1.0]
    assert scorer.through_polars([]).shape == scorer.some([]).shape == (0, 1)


@pytest.mark.parametrize("name", ["*", "^x$", "^.*$"])
def test_a_column_that_polars_takes_for_a_pattern_is_refused(name: str) -> None:
    frame = FRAME.rename({"x": name})
    with pytest.raises(RecipeError, match="pattern") as refused:
        Recipe(T.impute(name)).fit(frame)
    assert refused.value.field == name
    assert Recipe(T.one_hot("s")).fit(frame).feature_names == ("s=", "s=a", "s=b")


def test_a_row_has_its_bits_in_a_frame_of_any_height() -> None:
    """polars cuts a frame into a piece for each thread, and divides a piece of one row truly."""
    recipe = Recipe(T.derive(a=pl.col("x") % 7, b=pl.col("x") / 7, c=pl.col("x") / pl.lit(5e-324)))
    fitted = recipe.fit(FRAME)
    for value in (3.26547413155728e16, 0.0, -3.0, math.inf):
        want = _bits(fitted.row({"x": value}))
        for height in (*range(1, 20), 64, 65):
            frame = pl.DataFrame({"x": [value] * height})
            for one in (frame, pl.concat([frame[:1], frame[1:]], rechunk=False)):
                assert _bits(fitted.transform(one).to_numpy()) == want * height


def test_a_column_of_one_value_is_a_column() -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(0, 1e3, 200)
    frame = pl.DataFrame({"x": x, "s": ["a"] * 200}).with_columns(z=pl.lit(7.3), y=pl.lit(1))
    recipe = Recipe(
        T.derive(k=pl.coalesce(pl.lit(7.7), "x")),
        T.derive(a=pl.col("x") / pl.col("z"), b=pl.col("x") / pl.col("k"), c=pl.col("k") * 1.0),
    )
    fitted = recipe.fit(frame)
    rows = frame.select(list(fitted.inputs)).to_dicts()
    assert _bits([fitted.row(row) for row in rows]) == _bits(fitted.transform(frame).to_numpy())


def test_a_piece_of_one_row_is_no_constant() -> None:
    fitted = Recipe(T.derive(a=pl.col("x") - (pl.col("x") > pl.col("x")).cast(pl.Int64))).fit(FRAME)
    frame = pl.DataFrame({"x": [0.0]})
    want = _bits(fitted.row({"x": 0.0}))
    for pieces in range(1, 5):
        one = pl.concat([frame] * pieces, rechunk=False)
        assert _bits(fitted.transform(one).to_numpy()) == want * pieces


def test_what_polars_cannot_compute_is_refused_at_the_fit() -> None:
    frame = pl.DataFrame({"s": ["a", "bc"], "x": [1, 2]})
    with pytest.raises(RecipeError, match="not supported"):
        Recipe(T.derive(short=pl.col("x") > -pl.col("s").str.len_chars())).fit(frame)
    # Also where it reads what had to be learned first, beside a step in Python.
    late = T.derive(late=pl.col("x") > -pl.col("s").str.len_chars())
    floats = frame.with_columns(x=pl.lit(0.0))
    with pytest.raises(RecipeError, match="not supported"):
        Recipe(T.scale("x"), T.hash_encode("s", width=2), late).fit(floats)
