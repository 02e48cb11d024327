"""How recipes look in a notebook."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from raypipe.features.columns import InputSpec
    from raypipe.features.transforms import Transform


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    def cells(tag: str, values: Sequence[object]) -> str:
        return "".join(f"<{tag}>{escape(str(value))}</{tag}>" for value in values)

    body = "".join(f"<tr>{cells('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{cells('th', head)}</tr></thead><tbody>{body}</tbody></table>"


def recipe_html(transforms: Sequence[Transform]) -> str:
    """A table of the transforms in order."""
    rows = [(n, one.kind, ", ".join(one.reads), repr(one)) for n, one in enumerate(transforms, 1)]
    return "<b>Recipe</b>" + _table(("", "transform", "reads", "settings"), rows)


def fitted_html(
    names: Sequence[str], inputs: Mapping[str, InputSpec], label: str | None, rows: int
) -> str:
    """Inputs and features of a fitted recipe."""
    head = f"<b>FittedRecipe</b> of {rows:,} rows, label {escape(repr(label))}"
    taken = _table(
        ("input", "type", "nulls seen"),
        [(name, spec.dtype, "yes" if spec.nullable else "no") for name, spec in inputs.items()],
    )
    given = _table(("", "feature"), list(enumerate(names)))
    return (
        f"{head}<details open><summary>{len(inputs)} inputs</summary>{taken}</details>"
        f"<details><summary>{len(names)} features</summary>{given}</details>"
    )
