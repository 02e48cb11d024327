"""One pass over the rows: what each part gives, and how that merges. It runs here or on Ray."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.engine.reduce import Tree
from raypipe.expressions import POLARS_ERRORS
from raypipe.features.columns import canonical
from raypipe.features.profile_state import ProfileState
from raypipe.features.transforms.base import Json, PlacedState, State, feed, slot
from raypipe.features.transforms.shared import SharedRows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from raypipe.features.cuts import Stretch
    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted


@dataclass(slots=True)
class PassState:
    """What some stretches of rows gave in a pass.

    Attributes:
        profile: of the raw inputs, in the first pass.
        states: of the steps that this pass fits, by number.
        low: the least label.
        high: the greatest label.
    """

    profile: ProfileState | None
    states: dict[int, State]
    low: float = float("inf")
    high: float = float("-inf")

    def finish(self) -> dict[int, Json]:
        """The fitted states.

        Raises:
            RecipeError: a transform has nothing to learn from.
        """
        return {number: state.finish() for number, state in self.states.items()}

    def training(self) -> dict[int, Json]:
        """What training needs beside them."""
        return {
            number: state.training() if isinstance(state, PlacedState) else None
            for number, state in self.states.items()
        }


def merged(one: PassState, other: PassState) -> PassState:
    """The state of neighbours; it takes the place of the earlier one."""
    if one.profile is not None and other.profile is not None:
        one.profile.merge(other.profile)
    for number, state in one.states.items():
        state.merge(other.states[number])
    one.low, one.high = min(one.low, other.low), max(one.high, other.high)
    return one


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """What a pass does to a stretch of rows; pickles.

    Attributes:
        plan: of the recipe.
        columns: the raw columns to read.
        steps: those to apply before, each known.
        fitted: their fitted form, by number.
        ready: the steps to fit.
        inputs: the raw columns of which the profile is made too; None in a later pass.
    """

    plan: Plan
    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    fitted: Mapping[int, Fitted] = field(repr=False)
    ready: tuple[Step, ...]
    inputs: tuple[str, ...] | None

    def __call__(self, stretch: Stretch) -> PassState:
        """The state of the stretch's rows."""
        tree = Tree(merged)
        for place, (rows, first_row) in enumerate(stretch.frames(self.columns)):
            state = self.empty()
            self._take(state, rows, stretch.part, first_row)
            tree.take(place, state)
        return tree.result() or self.empty()

    def empty(self) -> PassState:
        """The state of no row."""
        plan, states = self.plan, {}
        for step in self.ready:
            states[step.number] = step.transform.state(step.schema)
        profile = None
        if self.inputs is not None:
            types = {name: plan.types[name] for name in self.inputs}
            profile = ProfileState(types, plan.label is not None)
        return PassState(profile, states)  # type: ignore[arg-type]  # a ready step has a state

    def _take(self, state: PassState, raw: pl.DataFrame, part: int, first_row: int) -> None:
        plan = self.plan
        frame = to_slots(raw, plan, self.columns)
        if self.steps:
            frame = collected(apply(frame.lazy(), self.steps, self.fitted))
        target = None if plan.label is None else label_of(frame, plan)
        if target is not None and target.len() > target.null_count():
            state.low = min(state.low, float(target.min()))  # type: ignore[arg-type]
            state.high = max(state.high, float(target.max()))  # type: ignore[arg-type]
        rows = SharedRows(frame, target, part, first_row)
        if state.profile is not None and self.inputs is not None:
            state.profile.take(rows.view({name: plan.raw[name] for name in self.inputs}))
        for step in self.ready:
            feed(state.states[step.number], rows.view(step.source))


def to_slots(frame: pl.DataFrame, plan: Plan, columns: Sequence[str]) -> pl.DataFrame:
    """Raw columns in their raw types, each in its slot.

    Raises:
        RecipeError: a column is missing, of another type, or holds a value that its type cannot.
    """
    have = frame.schema  # made anew each time that it is asked for
    made = [
        canonical(name, have[name], plan.types[name]).alias(slot(plan.raw[name]))
        for name in columns
    ]
    return collected(frame.lazy().select(made))


def collected(frame: pl.LazyFrame) -> pl.DataFrame:
    """The frame's rows; what polars cannot compute is a RecipeError.

    Raises:
        RecipeError: a strict cast or another computation failed on a value.
    """
    try:
        # Without rewriting: what the optimiser makes of an expression could depend on what stands
        # around it, and one row must be computed as a million are. It is also faster here.
        return frame.collect(optimizations=pl.QueryOptFlags.none())
    except POLARS_ERRORS as failure:
        raise RecipeError(
            "the recipe cannot be computed on these rows", str(failure)[:500], None, "data"
        ) from failure


def apply(frame: pl.LazyFrame, steps: Iterable[Step], fitted: Mapping[int, Any]) -> pl.LazyFrame:
    """Adds the slots of steps whose outputs are all known before the fit."""
    for step in steps:
        frame = fitted[step.number].batch(frame, step.source, step.target)
    return frame


def label_of(frame: pl.DataFrame, plan: Plan) -> pl.Series:
    """The label as Float64 from a frame of slots; NaN and null both null."""
    assert plan.label is not None
    label = frame[slot(plan.label[1])]
    wide = label.cast(pl.Float64)
    return wide.fill_nan(None) if label.dtype.is_float() else wide
