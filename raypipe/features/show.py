"""How recipes look in a notebook."""

from __future__ import annotations

import itertools
from html import escape
from typing import TYPE_CHECKING

from raypipe.core.markup import html_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from raypipe.features.columns import InputSpec
    from raypipe.features.profile import ColumnProfile
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


def profile_html(columns: Iterable[ColumnProfile]) -> str:
    """A line for each raw input, which opens to its bins or categories."""
    return "<b>Profile</b>" + "".join(_column_html(column) for column in columns)


def _column_html(column: ColumnProfile) -> str:
    rows = sum(column.counts) + column.nulls
    named: Sequence[object]
    if column.kind == "numeric":
        ends = ["", *(f"{edge:g}" for edge in column.edges), ""]
        named = [f"{low} to {high}" for low, high in itertools.pairwise(ends)]
    else:
        named = [*column.categories, "all others"]
    lines = [*zip([*named, "no value"], [*column.counts, column.nulls], strict=True)]
    head: tuple[object, ...] = (column.kind, "rows")
    table: list[tuple[object, ...]] = [(name, f"{count:,}") for name, count in lines]
    if column.target is not None:
        head = (*head, "mean label")
        means = ["" if mean is None else f"{mean:.4g}" for mean in column.target.means]
        table = [(*line, mean) for line, mean in zip(table, means, strict=True)]
    told = f", a count within {column.error:.2%} of the rows" if column.error else ""
    title = f"{escape(column.name)}: {rows:,} rows, {column.nulls:,} without a value{told}"
    return f"<details><summary>{title}</summary>{html_table(head, table)}</details>"
