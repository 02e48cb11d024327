"""Which transform reads which column: names resolved to numbered slots, once, before the fit.

A pure function of the transforms, the label and the types of the raw columns. So the plan of a
stored recipe is the plan that it was fitted with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.columns import RAW_TYPES, unknown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from raypipe.expressions import Growth
    from raypipe.features.transforms import Transform

MAX_TRANSFORMS = 10_000
MAX_COLUMNS = 65_536
"""Columns that a recipe reads and gives, features of a fit among them."""
MAX_WEIGHT = 100_000
"""Nodes of expressions in all; each takes some time to be compiled."""


@dataclass(frozen=True, slots=True)
class Step:
    """A transform with the slots that it reads and those of its outputs known before the fit."""

    number: int
    transform: Transform
    source: dict[str, int]
    target: dict[str, int]
    schema: dict[str, pl.DataType]


@dataclass(frozen=True, slots=True)
class Plan:
    """A recipe over raw columns of known types.

    Args:
        steps: all transforms in order.
        raw: slot of each raw column that anything reads.
        types: raw type of each of them.
        size: how many slots are taken.
        label: the label's name and slot.
        features: step and output name of each feature; the name is None where the fit gives them.
        live: the steps that features need.
        label_live: the steps that the label needs.
        inputs: the raw columns that features need.
        label_inputs: the raw columns that the label needs.
    """

    steps: tuple[Step, ...]
    raw: dict[str, int]
    types: dict[str, str]
    size: int
    label: tuple[str, int] | None
    features: tuple[tuple[int, str | None], ...]
    live: tuple[int, ...]
    label_live: tuple[int, ...]
    inputs: tuple[str, ...]
    label_inputs: tuple[str, ...]


class _Builder:
    def __init__(self, types: Mapping[str, str]) -> None:
        self.known = types
        self.raw: dict[str, int] = {}
        self.env: dict[str, int] = {}
        self.dtypes: list[pl.DataType] = []
        self.maker: list[int | None] = []
        self.texts: dict[int, Growth] = {}  # of slots that hold texts
        self.touched: set[str] = set()
        self.steps: list[Step] = []

    def new(self, dtype: pl.DataType, maker: int | None) -> int:
        check_columns(len(self.dtypes) + 1)
        self.dtypes.append(dtype)
        self.maker.append(maker)
        return len(self.dtypes) - 1

    def read(self, name: str, by: str) -> int:
        if name not in self.env:
            if name not in self.known:
                if by in ("lag", "window"):
                    raise RecipeError(
                        f"column {name!r} is not there, and {by} reads it",
                        None,
                        "Fill it first: rows = recipe.with_history(rows).",
                        name,
                    )
                raise unknown(name, [*self.env, *self.known], by)
            if name == "*" or (name.startswith("^") and name.endswith("$")):
                raise RecipeError(
                    f"polars reads the name of column {name!r} as a pattern",
                    None,
                    "Rename it.",
                    name,
                )
            place = self.new(RAW_TYPES[self.known[name]], None)
            self.raw[name] = self.env[name] = place
            if self.known[name] == "string":
                self.texts[place] = {place: 1}
        return self.env[name]

    def add(self, transform: Transform) -> None:
        number = len(self.steps)
        source = {name: self.read(name, transform.kind) for name in transform.reads}
        if transform.drops:
            _check_dropped(transform, [n for n, at in source.items() if self.maker[at] is None])
        schema = {name: self.dtypes[place] for name, place in source.items()}
        outputs = transform.outputs(schema)
        for name in outputs:
            if name in self.touched and name not in source:
                raise RecipeError(
                    f"{transform.kind} gives a column {name!r}, but an earlier transform gives or "
                    "reads one of this name",
                    None,
                    "Give it another name, or put it first.",
                    name,
                )
        target = {name: self.new(dtype, number) for name, dtype in outputs.items()}
        held = {name: self.texts[at] for name, at in source.items() if at in self.texts}
        if held:
            made = transform.texts(held)
            texts = [target[name] for name, dtype in outputs.items() if dtype == pl.String]
            self.texts.update(dict.fromkeys(texts, made))
        self.env.update(target)
        self.touched.update(source, target)
        self.steps.append(Step(number, transform, source, target, schema))

    def reach(self, steps: Iterable[int], slots: Iterable[int]) -> tuple[set[int], set[int]]:
        """The steps and the slots that given steps and slots need, themselves included."""
        found_steps, found_slots, todo = set(steps), set(slots), list(slots)
        for number in found_steps:
            todo += self.steps[number].source.values()
        while todo:
            place = todo.pop()
            found_slots.add(place)
            maker = self.maker[place]
            if maker is not None and maker not in found_steps:
                found_steps.add(maker)
                todo += self.steps[maker].source.values()
        return found_steps, found_slots


def make_plan(transforms: Sequence[Transform], label: str | None, types: Mapping[str, str]) -> Plan:
    """The plan of transforms over raw columns.

    Args:
        transforms: in order.
        label: a raw or derived column.
        types: raw type of each raw column there is.

    Raises:
        RecipeError: a column is unknown, of a type that a transform cannot take, given twice, or
            named by a pattern;
            the label is missing, needs a fit, or feeds a feature; a feature is not a number;
            there is no feature; or there are more than 10,000 transforms, 65,536 columns or
            100,000 parts of expressions.
    """
    _check_size(transforms)
    builder = _Builder(types)
    for transform in transforms:
        builder.add(transform)
    marked = None if label is None else (label, builder.read(label, "the label"))
    features = _features(builder, None if marked is None else marked[1])
    live, slots = builder.reach({number for number, _ in features}, ())
    label_live, label_slots = builder.reach((), [] if marked is None else [marked[1]])
    if marked is not None:
        _check_label(builder, marked, slots, live, label_live)
    return Plan(
        tuple(builder.steps),
        builder.raw,
        {name: types[name] for name in builder.raw},
        len(builder.dtypes),
        marked,
        features,
        tuple(sorted(live)),
        tuple(sorted(label_live)),
        tuple(name for name, place in builder.raw.items() if place in slots),
        tuple(name for name, place in builder.raw.items() if place in label_slots),
    )


def _features(builder: _Builder, label: int | None) -> tuple[tuple[int, str | None], ...]:
    readers: dict[int, list[Step]] = {}
    for step in builder.steps:
        for place in step.source.values():
            readers.setdefault(place, []).append(step)
    found: list[tuple[int, str | None]] = []
    for step in builder.steps:
        if step.transform.gives == "columns":
            continue
        if not step.target:
            found.append((step.number, None))
        for name, place in step.target.items():
            read_by = readers.get(place, [])
            if step.transform.gives == "loose" and (read_by or place == label):
                continue
            if any(name in reader.target or reader.transform.drops for reader in read_by):
                continue  # a later transform gives the same feature anew, or takes it away
            if read_by and not _is_number(builder.dtypes[place]):
                continue  # a text that a later transform reads could be no feature itself
            _check_number(name, builder.dtypes[place])
            found.append((step.number, name))
    if not found:
        raise RecipeError(
            "the recipe gives no feature", None, "Add a transform such as select.", "recipe"
        )
    return tuple(found)


def check_columns(count: int) -> None:
    """Refuses more columns than can be computed in bearable time and memory.

    Raises:
        RecipeError: there are more than 65,536.
    """
    if count > MAX_COLUMNS:
        raise RecipeError(
            "the recipe has too many columns and features",
            f"more than {MAX_COLUMNS}",
            "Lower a width, max_categories or the number of columns that are multiplied.",
            "recipe",
        )


def _check_size(transforms: Sequence[Transform]) -> None:
    if len(transforms) > MAX_TRANSFORMS:
        raise RecipeError(
            "the recipe has too many transforms",
            f"{len(transforms)}",
            f"Give at most {MAX_TRANSFORMS}.",
            "recipe",
        )
    weight = sum(one.weight for one in transforms)
    if weight > MAX_WEIGHT:
        raise RecipeError(
            "the expressions of the recipe are too large",
            f"{weight} parts",
            f"Give at most {MAX_WEIGHT} columns, values and operations in all.",
            "recipe",
        )


def _check_dropped(transform: Transform, raw: Sequence[str]) -> None:
    if raw:
        raise RecipeError(
            f"{transform.kind}: no earlier transform gives the column {raw[0]!r}",
            None,
            "A raw column that no transform gives is no feature. What the fit names, such as the "
            "features of one_hot, cannot be taken away.",
            raw[0],
        )


def _is_number(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype == pl.Boolean


def _check_number(name: str, dtype: pl.DataType) -> None:
    if not _is_number(dtype):
        raise RecipeError(
            f"the feature {name!r} is not a number",
            str(dtype),
            "Encode it: one_hot, target_encode or date_parts.",
            name,
        )


def _check_label(
    builder: _Builder,
    label: tuple[str, int],
    slots: set[int],
    live: set[int],
    label_live: set[int],
) -> None:
    name, place = label
    if place in slots or builder.maker[place] in live:
        raise RecipeError(
            f"the label {name!r} is a feature, or feeds one",
            None,
            "Take it out of the transforms.",
            name,
        )
    for number in label_live:
        step = builder.steps[number]
        if step.transform.state(step.schema) is not None:
            raise RecipeError(
                f"the label {name!r} comes from a transform that is fitted",
                step.transform.kind,
                "Use a raw column or derive.",
                name,
            )
    dtype = builder.dtypes[place]
    if not _is_number(dtype):
        raise RecipeError(
            f"the label {name!r} is not a number or a boolean",
            str(dtype),
            'Derive one, such as derive(late=pl.col("delay") > 15).',
            name,
        )
