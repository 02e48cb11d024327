"""How recipes look in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from raypipe.core.markup import html_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.features.columns import InputSpec
    from raypipe.features.transforms import Transform


def recipe_html(transforms: Sequence[Transform]) -> str:
    """A table of the transforms in order."""
    rows = [(n, one.kind, ", ".join(one.reads), repr(one)) for n, one in enumerate(transforms, 1)]
    return "<b>Recipe</b>" + html_table(("", "transform", "reads", "settings"), rows)


def fitted_html(
    names: Sequence[str], inputs: Mapping[str, InputSpec], label: str | None, rows: int
) -> str:
    """Inputs and features of a fitted recipe."""
    head = f"<b>FittedRecipe</b> of {rows:,} rows, label {escape(repr(label))}"
    taken = html_table(
        ("input", "type", "nulls seen"),
        [(name, spec.dtype, "yes" if spec.nullable else "no") for name, spec in inputs.items()],
    )
    given = html_table(("", "feature"), list(enumerate(names)))
    return (
        f"{head}<details open><summary>{len(inputs)} inputs</summary>{taken}</details>"
        f"<details><summary>{len(names)} features</summary>{given}</details>"
    )
