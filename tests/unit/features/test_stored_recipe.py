from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import polars as pl
import pytest

from raypipe.core.errors import RecipeError
from raypipe.features import ColumnProfile, FittedRecipe, Profile, Recipe, transforms

FRAME = pl.DataFrame({"x": [1.0, None, 3.0], "s": ["a", "b", None], "y": [0, 1, 1]})
FITTED = Recipe(transforms.impute("x"), transforms.target_encode("s")).fit(FRAME, "y")


def _stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(FITTED.to_json())
    return found


@pytest.mark.parametrize(
    ("key", "wrong", "field"),
    [
        ("kind", "other", "kind"),
        ("version", 2, "version"),
        ("version", True, "version"),
        ("label", 5, "label"),
        ("label", "z", "z"),
        ("types", {"x": "object", "s": "string", "y": "int64"}, "types"),
        ("types", {"x": "float64", "s": "string", "y": "int64", "more": "int64"}, "types"),
        ("types", {"x": "float64", "y": "int64"}, "s"),
        ("types", [], "types"),
        ("states", [], "states"),
        ("states", None, "states"),
        ("nullable", ["z"], "nullable"),
        ("rows", -1, "rows"),
        ("profile", {}, "profile"),
        ("recipe", {}, "recipe"),
    ],
)
def test_a_tampered_file_is_refused_and_the_place_named(key: str, wrong: Any, field: str) -> None:
    stored = _stored()
    stored[key] = wrong
    with pytest.raises(RecipeError) as refused:
        FittedRecipe.from_json(json.dumps(stored))
    assert refused.value.field == field


def test_half_of_a_pair_is_no_text() -> None:
    rows = pl.DataFrame({"name": ["x\U0001f600", "y", "z"], "late": [0, 1, 1]})
    fitted = Recipe(transforms.target_encode("name")).fit(rows, "late")
    text = fitted.to_json()
    escaped = json.dumps(json.loads(text))
    assert "\\ud83d" in escaped
    assert FittedRecipe.from_json(escaped).to_json() == text
    for half in (r"\ud83d", r"\uDE00", "\ud83d"):
        with pytest.raises(RecipeError):
            FittedRecipe.from_json(text.replace("x\U0001f600", half))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "[" * 100_000, b"\xff", 5])
def test_what_is_no_stored_recipe_is_refused(text: Any) -> None:
    for load in (FittedRecipe.from_json, Recipe.from_json, Profile.from_json):
        with pytest.raises(RecipeError):
            load(text)


def test_missing_and_further_keys_are_refused() -> None:
    for key in _stored():
        stored = _stored()
        del stored[key]
        with pytest.raises(RecipeError):
            FittedRecipe.from_json(stored)
    with pytest.raises(RecipeError):
        FittedRecipe.from_json({**_stored(), "more": 1})


def test_numbers_that_json_cannot_hold_are_refused() -> None:
    stored = copy.deepcopy(_stored())
    stored["states"][0] = 1e400
    with pytest.raises(RecipeError):
        FittedRecipe.from_json(json.dumps(stored))
    stored = copy.deepcopy(_stored())
    stored["states"][0] = float("inf")
    with pytest.raises(RecipeError):
        FittedRecipe.from_json(stored)


def test_an_expression_in_a_recipe_is_checked_too() -> None:
    recipe = Recipe(transforms.derive(z=pl.col("x") + 1))
    stored = json.loads(recipe.to_json())
    stored["transforms"][0]["expression"]["expr"]["op"] = "__import__"
    with pytest.raises(RecipeError, match="unknown"):
        Recipe.from_json(stored)


def test_a_fitted_recipe_travels_to_workers_as_its_json() -> None:
    again = pickle.loads(pickle.dumps(FITTED))
    assert again.to_json() == FITTED.to_json()


def test_the_profile_comes_back() -> None:
    again = Profile.from_json(FITTED.profile.to_json())
    assert again == FITTED.profile
    with pytest.raises(RecipeError):
        ColumnProfile.from_json({**FITTED.profile.columns["x"].to_json(), "edges": [2.0, 1.0]})
