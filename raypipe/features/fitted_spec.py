"""The stored form of a fitted recipe: what it learned beside the recipe, checked when read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import RecipeError
from raypipe.core.identity import canonical_json
from raypipe.features.columns import RAW_TYPES
from raypipe.features.fit import Learned
from raypipe.features.plan import Plan, make_plan
from raypipe.features.profile import Profile
from raypipe.features.spec import check_version, loaded_recipe, recipe_data
from raypipe.features.stored import MAX_BYTES, load
from raypipe.features.transforms.base import check_keys, tampered

if TYPE_CHECKING:
    from raypipe.features.transforms import Transform

VERSION = 1
TRAINING_BYTES = 4 * MAX_BYTES  # a recipe with what training needs
_KIND = "raypipe.fitted_recipe"
_KEYS = ("kind", "version", "recipe", "label", "types", "nullable", "states", "profile", "rows")


def fitted_data(
    transforms: tuple[Transform, ...], plan: Plan, learned: Learned, *, training: bool
) -> dict[str, Any]:
    """A fitted recipe as plain values, ready for JSON.

    Raises:
        RecipeError: what training needs is asked for and was not kept.
    """
    if training and learned.training is None:
        raise not_kept(None, "Fit it again.")
    kept = {"training": list(learned.training or [])} if training else {}
    return {
        **kept,
        "kind": _KIND,
        "version": VERSION,
        "recipe": recipe_data(transforms),
        "label": None if plan.label is None else plan.label[0],
        "types": dict(plan.types),
        "nullable": list(learned.nullable),
        "states": list(learned.states),
        "profile": learned.profile.to_data(),
        "rows": learned.rows,
    }


def fitted_text(data: Mapping[str, Any], *, training: bool) -> str:
    """What ``fitted_data`` gave as canonical JSON.

    Raises:
        RecipeError: the text is longer than ``read_fitted`` reads.
    """
    text = canonical_json(data)
    limit = TRAINING_BYTES if training else MAX_BYTES
    if len(text) > limit:
        raise RecipeError(
            "the fitted recipe is too large to be stored",
            f"{len(text)} bytes",
            f"Up to {limit} bytes can be read: fit fewer categories, with group_rare.",
            "recipe",
        )
    return text


def read_fitted(
    data: str | bytes | Mapping[str, Any],
) -> tuple[tuple[Transform, ...], Plan, Learned]:
    """What ``fitted_data`` was made of, from its values or its text; checks all but the states.

    Raises:
        RecipeError: the version is unknown or anything is not as this library writes it.
    """
    found = load(data, "fitted recipe", TRAINING_BYTES)
    kept = {"training"} if isinstance(found, Mapping) and "training" in found else set()
    check_keys(found, {*_KEYS, *kept}, "fitted recipe")
    check_version(found, _KIND, VERSION)
    transforms = loaded_recipe(found["recipe"])
    label, types, states = found["label"], found["types"], found["states"]
    if label is not None and not isinstance(label, str):
        raise tampered("fitted recipe", "the label is not a name", "label")
    if not isinstance(types, Mapping) or not all(
        isinstance(kind, str) and kind in RAW_TYPES for kind in types.values()
    ):
        raise tampered("fitted recipe", "the types are not raw types", "types")
    plan = make_plan(transforms, label, types)
    if set(plan.types) != set(types):
        raise tampered("fitted recipe", "it names columns that nothing reads", "types")
    if not isinstance(states, list) or len(states) != len(plan.steps):
        raise tampered("fitted recipe", "not a state for each transform", "states")
    needed = {*plan.live, *plan.label_live}
    if any(one is not None for n, one in enumerate(states) if n not in needed):
        raise tampered("fitted recipe", "a transform that nothing needs has a state", "states")
    nullable, rows = found["nullable"], found["rows"]
    if not isinstance(nullable, list) or not all(
        isinstance(name, str) and name in plan.inputs for name in nullable
    ):
        raise tampered("fitted recipe", "nullable names what is no input", "nullable")
    if type(rows) is not int or not 0 <= rows < 2**63:
        raise tampered("fitted recipe", "rows is not a whole number", "rows")
    training = found["training"] if kept else None
    if kept and (not isinstance(training, list) or len(training) != len(plan.steps)):
        raise tampered("fitted recipe", "training is not a list of the steps", "training")
    profile = Profile.from_data(found["profile"])
    return transforms, plan, Learned(states, profile, nullable, rows, training)


def not_kept(kind: str | None, act: str) -> RecipeError:
    """What training needs is not there."""
    what = "this recipe was stored for serving, without what training needs"
    return RecipeError(what, kind, act, "training")
