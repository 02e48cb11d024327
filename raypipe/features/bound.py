"""Which steps of a fitted recipe give its features, each with slots for all that it gives."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.plan import Plan, Step, check_columns
from raypipe.features.transforms.base import slot

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.features.transforms import Fitted


def feature_exprs(
    steps: Sequence[Step], fitted: Mapping[int, Fitted], places: Mapping[str, int]
) -> list[pl.Expr]:
    """The features as Float32, from a frame of slots."""
    plain: set[int] = set()
    whole: set[int] = set()
    for step in steps:
        if fitted[step.number].plain:
            plain |= set(step.target.values())
        for name, dtype in step.transform.outputs(step.schema).items():
            if dtype.is_integer() or dtype == pl.Boolean:
                whole.add(step.target[name])
    made = []
    for name, place in places.items():
        one = pl.col(slot(place))
        # One NaN for null and for every NaN there is, so that equal rows are equal bytes.
        if place in whole:  # a large integer is rounded to a float of 64 bits first, as in a row
            one = one.cast(pl.Float64).cast(pl.Float32).fill_null(math.nan)
        elif place not in plain:
            one = one.cast(pl.Float32)
            one = pl.when(one.is_not_nan()).then(one).otherwise(pl.lit(math.nan, pl.Float32))
        made.append(one.alias(name))
    return made


def bound(plan: Plan, fitted: Mapping[int, Fitted]) -> tuple[list[Step], dict[str, int]]:
    """The steps that features need, each with slots for all outputs; and the features' slots."""
    size = plan.size
    steps: dict[int, Step] = {}
    for step in plan.steps:
        if step.number not in plan.live:
            continue
        target = dict(step.target)
        for name in fitted[step.number].outputs:
            if name not in target:
                target[name] = size
                size += 1
        check_columns(size)
        steps[step.number] = Step(step.number, step.transform, step.source, target, step.schema)
    places: dict[str, int] = {}
    for number, static in plan.features:
        known = fitted[number].outputs if static is None else (static,)
        for feature in known:
            if feature in places:
                raise RecipeError(
                    f"two transforms give the feature {feature!r}", None, "Rename one.", feature
                )
            places[feature] = steps[number].target[feature]
    if not places:
        raise RecipeError("the recipe gives no feature", None, "Add a transform.", "recipe")
    return list(steps.values()), places
