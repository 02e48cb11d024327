from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import numpy as np
import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import Profile, Recipe, transforms
from raypipe.features.profile import BINS, TOP
from raypipe.features.profile_state import ProfileState


def _profile(kind: str, *parts: list[Any]) -> Profile:
    dtype = {"float64": pl.Float64, "int64": pl.Int64, "string": pl.String, "bool": pl.Boolean}
    total = ProfileState({"c": kind})
    for part in parts:
        state = ProfileState({"c": kind})
        state.update(pl.DataFrame({"c": pl.Series(part, dtype=dtype[kind])}))
        total.merge(state)
    return total.finish()


def test_numeric_bins_hold_equal_shares_and_count_every_row() -> None:
    values = np.random.default_rng(1).normal(size=3200).tolist()
    column = _profile("float64", [*values[:1000], None], [*values[1000:], math.nan]).columns["c"]
    assert len(column.edges) == BINS - 1
    assert sum(column.counts) == 3200
    assert max(column.counts) - min(column.counts) <= 2
    assert column.nulls == 2


@pytest.mark.parametrize(
    "values",
    [
        [],
        [None, None],
        [1.0],
        [5.0] * 40,
        [0.0, -0.0, 1.0, math.inf, -math.inf, math.nan, None],
        [math.inf] * 9,
        list(range(100)),
    ],
)
def test_codes_count_to_the_profile(values: list[Any]) -> None:
    column = _profile("float64", values).columns["c"]
    codes = column.codes(pl.Series(values, dtype=pl.Float64))
    counted = np.bincount(codes, minlength=len(column.counts) + 1)
    assert counted.tolist() == [*column.counts, column.nulls]
    assert all(a < b for a, b in zip(column.edges, column.edges[1:], strict=False))


def test_the_bins_do_not_depend_on_the_parts() -> None:
    values = [float(n % 37) for n in range(500)]
    assert _profile("float64", values) == _profile("float64", values[:7], [], values[7:])


def test_categories_are_the_most_frequent_and_the_rest_is_other() -> None:
    names = [f"c{n:03}" for n in range(TOP + 10)]
    values = [*names, *names[:5] * 3, None, ""]
    column = _profile("string", values).columns["c"]
    assert column.categories[:5] == tuple(names[:5])
    assert len(column.categories) == TOP
    assert sum(column.counts) == len(values) - 1
    codes = column.codes(pl.Series(values))
    counted = np.bincount(codes, minlength=len(column.counts) + 1)
    assert counted.tolist() == [*column.counts, 1]
    unseen = column.codes(pl.Series(["new", None, "c000"]))
    assert unseen.tolist() == [TOP, TOP + 1, 0]


def test_booleans_are_categories_and_an_empty_column_has_codes() -> None:
    column = _profile("bool", [True, False, True, None]).columns["c"]
    assert column.categories == ("true", "false")
    assert column.codes(pl.Series([True, None, False])).tolist() == [0, 3, 1]
    empty = _profile("string", [None]).columns["c"]
    assert empty.codes(pl.Series(["a", None])).tolist() == [0, 1]


def test_another_type_is_refused_by_name() -> None:
    with pytest.raises(RecipeError) as refused:
        _profile("int64", [1]).columns["c"].codes(pl.Series(["a"]))
    assert refused.value.field == "c"
    with pytest.raises(RecipeError):
        _profile("string", ["a"]).columns["c"].codes(pl.Series([1]))


def test_the_profile_is_of_the_inputs_that_scoring_needs() -> None:
    frame = pl.DataFrame(
        {"x": [1, 2], "s": ["a", None], "t": [datetime(2013, 1, 1)] * 2, "y": [0, 1]}
    )
    recipe = Recipe(
        transforms.select("x"), transforms.one_hot("s"), transforms.date_parts("t", ["day"])
    )
    profile = recipe.fit(frame, "y").profile
    assert list(profile.columns) == ["x", "s"]
    assert profile.columns["s"].nulls == 1


def test_a_profile_shows_itself() -> None:
    frame = pl.DataFrame({"x": [1.0, 2.0, None, 2.0], "c": ["<b>", "b", "b", None]})
    frame = frame.with_columns(late=pl.Series([True, False, True, True]))
    recipe = Recipe(transforms.impute("x"), transforms.one_hot("c"))
    shown = recipe.fit(frame, "late").profile._repr_html_()
    assert "x: 4 rows, 1 without a value" in shown
    assert "<td>b</td><td>2</td><td>0.5</td>" in shown
    assert "<td>no value</td><td>1</td><td>1</td>" in shown
    assert "&lt;b&gt;" in shown
    assert "mean label" not in recipe.fit(frame).profile._repr_html_()
