"""What a recipe tells before it is fitted, from names and types alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.features.columns import types_of
from raypipe.features.plan import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from raypipe.features.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What the fit will give for certain.

    Attributes:
        features: how many there will be at least; what the fit itself names is not counted.
        label: the raw column that is the label as it stands, None where the label is derived.
    """

    features: int
    label: str | None


def foreseen(recipe: Recipe, label: str, schema: Mapping[str, pl.DataType]) -> Foreseen:
    """What a recipe will give.

    Args:
        recipe: not fitted.
        label: the column to be predicted.
        schema: the raw columns that there are.

    Raises:
        RecipeError: as ``Recipe.fit`` does of names and types.
    """
    plan = make_plan(recipe.transforms, label, types_of(schema))
    named = sum(name is not None for _, name in plan.features)
    return Foreseen(named, None if plan.label_live else label)
