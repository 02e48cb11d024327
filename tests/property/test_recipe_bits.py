"""A batch, some rows, one row and a recipe read back from JSON give the same bits, always."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from raypipe.core.errors import RecipeError
from raypipe.features import FittedRecipe, Recipe, transforms
from raypipe.features import rows as rows_module
from raypipe.features.columns import RAW_TYPES
from raypipe.features.transforms import KINDS
from tests.property.recipe_draws import GENERATORS, recipes
from tests.property.value_draws import rows_of, schemas

# Of drawn transforms two may give one name, one may impute what another takes as a category, and a
# fit may find nothing to learn from.
REFUSALS = (
    "conversion from",
    "operation not supported",
    "earlier transform",
    "no feature",
    "cannot take column",
    "to learn from",
    "two transforms",
)


@st.composite
def cases(draw: Callable[..., Any]) -> tuple[dict[str, str], list[Any], list[dict[str, Any]]]:
    """A schema, transforms over it, and rows."""
    columns = draw(schemas())
    return columns, draw(recipes(columns)), draw(rows_of(columns, 2, 12))


def _bits(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float32).tobytes()


def _whole(value: Any) -> Any:
    """A whole float as an integer, as JSON may bring it."""
    if isinstance(value, float) and value.is_integer() and 0 < abs(value) < 2**53:
        return int(value)
    return value


def _agree(recipe: FittedRecipe, columns: dict[str, str], rows: list[dict[str, Any]]) -> bytes:
    frame = pl.DataFrame(rows, schema={name: RAW_TYPES[kind] for name, kind in columns.items()})
    batch = recipe.transform(frame)
    assert batch.schema == dict.fromkeys(recipe.feature_names, pl.Float32())
    assert batch.null_count().sum_horizontal().item() == 0
    bits, width = _bits(batch.to_numpy()), 4 * len(recipe.feature_names)
    asked = [{name: row[name] for name in recipe.inputs} for row in rows]
    for number, row in enumerate(asked):
        mine = bits[number * width : (number + 1) * width]
        assert _bits(recipe.row(row)) == mine, (number, row)
        assert _bits(recipe.transform(frame[number]).to_numpy()) == mine, (number, row)
        floats = {k: _whole(v) if columns[k] == "float64" else v for k, v in row.items()}
        assert _bits(recipe.row(floats)) == mine, (number, floats)
    scorer = recipe._rows_scorer()
    assert _bits(recipe.rows(asked)) == bits
    assert _bits(scorer.some(asked)) == bits
    assert _bits(scorer.through_polars(asked)) == bits
    many = asked * 12  # past one vector register, and past a call that times the two ways
    assert _bits(scorer.through_polars(many)) == bits * 12
    assert _bits(recipe.transform(pl.concat([frame] * 12)).to_numpy()) == bits * 12
    with pytest.MonkeyPatch.context() as patch:  # each step by its closure, none as code
        patch.setattr(rows_module, "row_function", lambda *args: None)
        plain = FittedRecipe.from_json(recipe.to_json())
        assert _bits(plain._rows_scorer().some(asked)) == bits
    return bits


def _hold(case: tuple[dict[str, str], list[Any], list[dict[str, Any]]]) -> None:
    columns, transforms, rows = case
    assume(transforms)
    schema = {name: RAW_TYPES[kind] for name, kind in columns.items()}
    seen = pl.DataFrame(rows[: len(rows) // 2 + 1], schema=schema).with_row_index("y")
    try:
        recipe = Recipe(*transforms).fit(seen, "y")
    except RecipeError as error:
        assert any(text in str(error) for text in REFUSALS), error  # noqa: PT017
        assume(False)
        return
    bits = _agree(recipe, columns, rows)
    again = FittedRecipe.from_json(recipe.to_json())
    assert again.to_json() == recipe.to_json()
    assert again.fingerprint == recipe.fingerprint
    assert _agree(again, columns, rows) == bits


def test_every_kind_is_drawn() -> None:
    assert set(GENERATORS) == set(KINDS)


SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=SLOW)
@given(case=cases())
def test_batch_row_and_json_agree_to_the_bit(case: Any) -> None:
    _hold(case)


@pytest.mark.long
@pytest.mark.timeout(7200)
@settings(max_examples=10_000, deadline=None, suppress_health_check=SLOW)
@given(case=cases())
def test_batch_row_and_json_agree_on_10000_recipes(case: Any) -> None:
    _hold(case)


@pytest.mark.parametrize("number", [2**40, 2**33, -1])
def test_a_number_that_does_not_fit_the_type_beside_it(number: int) -> None:
    """polars plans UInt32 for these, and computes with 64 bits."""
    frame = pl.DataFrame({"s": ["a", "", "abc"]})
    made = pl.lit(number) * pl.col("s").str.len_chars() + 1
    recipe = Recipe(transforms.derive(n=made)).fit(frame)
    bits = recipe.transform(frame).to_numpy().tobytes()
    assert b"".join(recipe.row({"s": s}).tobytes() for s in frame["s"]) == bits
    assert recipe.rows(frame.to_dicts()).tobytes() == bits
