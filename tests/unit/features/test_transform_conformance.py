"""What every transform must hold; a new one is added to CASES."""

from __future__ import annotations

import copy
import json
import math
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe, transforms
from raypipe.features.transforms import KINDS, Transform
from raypipe.features.transforms.earlier import Window

FRAME = pl.DataFrame(
    {
        "x": [1.5, None, math.nan, -2.0, math.inf, 0.25],
        "n": [3, 1, None, 3, 2, -7],
        "s": ["a", "", None, "b", "a", "c"],
        "b": [True, None, False, True, True, False],
        "t": [datetime(2013, 1, day, 5, 30) if day != 3 else None for day in range(1, 7)],
        "y": [0, 1, 1, None, 0, 1],
    },
    schema_overrides={"t": pl.Datetime("us")},
)
TABLE = pl.DataFrame({"s": ["a", "b"], "size": [10, None], "note": ["é", "x"]})

# Names of settings for which any number will do.
FREE = {"smoothing", "value", "low", "high", "zero", "period"}
CASES: dict[str, Any] = {
    "derive": transforms.derive(z=pl.col("x") / 3 + pl.col("n"), w=pl.col("b") | (pl.col("x") > 1)),
    "derive, left to polars": transforms.derive(z=pl.col("x").round(2) ** 2),
    "select": transforms.select("x", "n", "b"),
    "date_parts": transforms.date_parts("t", ["weekday", "hour", "yearday"]),
    "impute mean": transforms.impute("x", strategy="mean", indicator=True),
    "impute median": transforms.impute("x", "n"),
    "impute constant": transforms.impute("x", strategy="constant", value=-1),
    "impute mode": transforms.impute("x", "n", "b", strategy="mode", indicator=True),
    "impute text": (
        *transforms.impute("s", strategy="mode", indicator=True),
        *transforms.one_hot("s"),
    ),
    "impute constant text": (
        *transforms.impute("s", strategy="constant", value=""),
        *transforms.one_hot("s"),
    ),
    "date_parts local": transforms.date_parts("t", ["hour", "day"], tz="America/New_York"),
    "date_parts cyclical": transforms.date_parts("t", ["hour", "week"], tz="UTC", cyclical=True),
    "drop": (*transforms.bins("x"), *transforms.one_hot("x_bin"), *transforms.drop("x_bin")),
    "drop what is fitted": (
        *transforms.select("n"),
        *transforms.impute("x"),
        *transforms.drop("x"),
    ),
    "cast": transforms.cast(x="float64", n="bool", b="int64", t="int64"),
    "cast to text": (*transforms.cast(n="string", strict=False), *transforms.one_hot("n")),
    "cast text": (*transforms.cast(s="float64", strict=False), *transforms.select("s")),
    "scale standard": transforms.scale("x", "n", "b"),
    "scale min_max": transforms.scale("x", "n", how="min_max"),
    "scale robust": transforms.scale("x", "n", how="robust"),
    "scale max_abs": transforms.scale("x", "n", how="max_abs"),
    "clip": transforms.clip("x", "n", low=-1, high=2.5),
    "clip one side": transforms.clip("x", low=0),
    "clip quantiles": transforms.clip("x", "n", quantiles=(0.2, 0.8)),
    "log1p": transforms.log1p("x", "b"),
    "signed_log": transforms.signed_log("x", "n"),
    "power": transforms.power("x", "n", exponent=-0.3),
    "bins quantile": transforms.bins("x", "n", count=3),
    "bins uniform": transforms.bins("x", "n", count=4, how="uniform"),
    "bins given": transforms.bins("x", edges=[-2, 0, 0.25]),
    "cyclical": transforms.cyclical("x", "n", period=7),
    "time_between": transforms.time_between("t", "t", unit="hours", name="none"),
    "ratio": (transforms.ratio("x", "n"), transforms.ratio("n", "b", zero=-1, name="by b")),
    "interactions": transforms.interactions("x", "n", "b", squares=True),
    "geo_distance": transforms.geo_distance(("x", "n"), ("n", "b"), unit="mi"),
    "one_hot": transforms.one_hot("s", "b", "n"),
    "one_hot rare": transforms.one_hot("s", min_count=2),
    "target_encode": transforms.target_encode("s", "b", "n", smoothing=2),
    "target_encode, no folds": transforms.target_encode("s", "n", folds=0),
    "one_hot of the most frequent": transforms.one_hot("s", "n", max_categories=1),
    "ordinal": transforms.ordinal("s", "b", "n"),
    "ordinal, sorted": transforms.ordinal("s", "b", "n", order="sorted"),
    "count_encode": transforms.count_encode("s", "b", "n"),
    "count_encode, share": transforms.count_encode("s", "b", "n", share=True),
    "group_rare": (
        *transforms.group_rare("s", min_count=2),
        *transforms.group_rare("n", max_categories=1, other=-1),
        *transforms.one_hot("s", "n"),
    ),
    "hash_encode": transforms.hash_encode("s", "b", "n", width=1000),
    "text_parts": transforms.text_parts("s", ["length", "bytes", "tokens", "digits"]),
    "ngrams of characters": transforms.ngrams("s", n=1, width=7),
    "ngrams of words": transforms.ngrams("s", unit="word", n=1, width=7),
    "lookup": (
        transforms.lookup(TABLE, on="s", columns=["size", "note"]),
        *transforms.impute("size", strategy="mean"),
        *transforms.one_hot("note"),
    ),
}


CASES |= {
    # They read what with_history fills under their own names; here, columns of the frame.
    "lag": (
        transforms.lag("n", by="s", time="t", name="x"),
        transforms.lag("x", 3, by=["s", "b"], time="t", name="b", delay=timedelta(days=1)),
    ),
    "window": Window("x", ("s",), "t", timedelta(0), ("x", "n"), ("sum", "std"), 3, None),
}


def _recipe(name: str) -> Recipe:
    return Recipe(CASES[name])


def _flat(name: str) -> list[Transform]:
    return list(_recipe(name).transforms)


def _bits(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float32).tobytes()


def test_every_kind_has_a_case() -> None:
    assert {one.kind for name in CASES for one in _flat(name)} == set(KINDS)


@pytest.mark.parametrize("name", CASES)
class TestConformance:
    def test_the_recipe_comes_back_from_json(self, name: str) -> None:
        recipe = _recipe(name)
        again = Recipe.from_json(recipe.to_json())
        assert again == recipe
        assert again.transforms == recipe.transforms
        assert again.fingerprint == recipe.fingerprint

    def test_row_rows_and_batch_agree_before_and_after_json(self, name: str) -> None:
        fitted = _recipe(name).fit(FRAME, "y")
        again = FittedRecipe.from_json(fitted.to_json())
        assert again.fingerprint == fitted.fingerprint
        bits = _bits(fitted.transform(FRAME).to_numpy())
        rows = FRAME.select(list(fitted.inputs)).to_dicts()
        for one in (fitted, again):
            assert _bits(one.transform(FRAME).to_numpy()) == bits
            assert _bits([one.row(row) for row in rows]) == bits
            assert _bits(one.rows(rows)) == bits

    def test_the_fit_is_the_same_bits_each_time(self, name: str) -> None:
        assert _recipe(name).fit(FRAME, "y").to_json() == _recipe(name).fit(FRAME, "y").to_json()

    def test_states_merge_to_the_state_of_all_rows(self, name: str) -> None:
        target = FRAME["y"].cast(pl.Float64)
        for one in _flat(name):
            schema = {column: FRAME.schema.get(column, pl.Int64()) for column in one.reads}
            if not set(one.reads) <= set(FRAME.columns) or one.state(schema) is None:
                continue

            def gathered(start: int, stop: int, made: Transform = one, types: Any = schema) -> Any:
                state = made.state(types)
                assert state is not None
                rows = slice(start, stop)
                state.update(FRAME[rows].select(made.reads), target[rows])
                return state

            left, right = gathered(0, 2), gathered(2, 4)
            left.merge(gathered(2, 4))
            left.merge(gathered(4, 6))
            right.merge(gathered(4, 6))
            other = gathered(0, 2)
            other.merge(right)
            whole = gathered(0, 6).finish()
            assert left.finish() == whole == other.finish()

    def test_an_unknown_column_is_named(self, name: str) -> None:
        for column in _recipe(name).fit(FRAME, "y").inputs:
            with pytest.raises(RecipeError) as refused:
                _recipe(name).fit(FRAME.drop(column), "y")
            assert refused.value.field == column

    def test_an_unfit_state_is_refused(self, name: str) -> None:
        stored = json.loads(_recipe(name).fit(FRAME, "y").to_json())
        for place, state in enumerate(stored["states"]):
            for wrong in ("x", [1.5, None], {"prior": "x"}, True):
                tampered = copy.deepcopy(stored)
                tampered["states"][place] = wrong
                if wrong != state:
                    with pytest.raises(RecipeError):
                        FittedRecipe.from_json(tampered)

    def test_an_unfit_setting_is_refused(self, name: str) -> None:
        stored = json.loads(_recipe(name).to_json())
        for place, step in enumerate(stored["transforms"]):
            for key in step:
                for wrong in ({"a": 1}, [["x"]], 1e9):
                    tampered = copy.deepcopy(stored)
                    tampered["transforms"][place][key] = wrong
                    if key not in FREE or wrong != 1e9:
                        with pytest.raises(RecipeError):
                            Recipe.from_json(tampered)
            tampered = copy.deepcopy(stored)
            tampered["transforms"][place]["extra"] = 1
            with pytest.raises(RecipeError):
                Recipe.from_json(tampered)
