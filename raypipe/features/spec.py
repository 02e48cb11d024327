"""The stored form of a recipe: its transforms in order, with a version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raypipe.features.plan import MAX_TRANSFORMS
from raypipe.features.stored import load
from raypipe.features.transforms import KINDS, Transform
from raypipe.features.transforms.base import check_keys, tampered

VERSION = 1


def recipe_data(transforms: Sequence[Transform]) -> dict[str, Any]:
    """Transforms as plain values, ready for JSON."""
    steps = [{"kind": one.kind, **one.to_json()} for one in transforms]
    return {"kind": "raypipe.recipe", "version": VERSION, "transforms": steps}


def read_recipe(data: str | bytes | Mapping[str, Any]) -> tuple[Transform, ...]:
    """The transforms in what ``recipe_data`` gave, or in its JSON text; checks everything.

    Raises:
        RecipeError: the version is unknown or anything is not as this library writes it.
    """
    return loaded_recipe(load(data, "recipe"))


def loaded_recipe(found: Any) -> tuple[Transform, ...]:
    """The transforms in values that ``load`` gave.

    Raises:
        RecipeError: as ``read_recipe``.
    """
    check_keys(found, {"kind", "version", "transforms"}, "recipe")
    check_version(found, "raypipe.recipe", VERSION)
    steps = found["transforms"]
    if not isinstance(steps, list) or len(steps) > MAX_TRANSFORMS:
        raise tampered("recipe", "transforms is not a list, or is too long", "transforms")
    return tuple(map(_transform, steps))


def check_version(data: Mapping[str, Any], kind: str, version: int) -> None:
    """Refuses stored JSON of another kind or version.

    Raises:
        RecipeError: it is of another.
    """
    if data["kind"] != kind:
        raise tampered("recipe", f"its kind is not {kind}", "kind")
    if type(data["version"]) is not int or data["version"] != version:
        raise tampered("recipe", f"its version is not {version}", "version")


def _transform(data: Any) -> Transform:
    if not isinstance(data, Mapping) or not isinstance(data.get("kind"), str):
        raise tampered("recipe", "a transform has no kind", "kind")
    settings = dict(data)
    kind = settings.pop("kind")
    if kind not in KINDS:
        raise tampered("recipe", f"it has an unknown transform {kind[:50]!r}", "kind")
    return KINDS[kind].from_json(settings)
