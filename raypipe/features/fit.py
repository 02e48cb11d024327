"""Fitting: as few passes over the parts as the transforms need, merged from left to right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.scan import Scan
from raypipe.features.columns import canonical
from raypipe.features.profile import Profile, ProfileState
from raypipe.features.transforms.base import Json, PlacedState, feed, slot

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted

Data = pl.DataFrame | pl.LazyFrame | Scan


@dataclass(frozen=True, slots=True)
class Learned:
    """What a fit gives: a state for each step (None where there is none), profile and counts.

    ``training`` holds what rows of the fit itself need beside the state, for each step; it is None
    when the recipe was stored without it.
    """

    states: list[Json]
    profile: Profile
    nullable: list[str]
    rows: int
    training: list[Json] | None = None


def schema_of(data: Data) -> dict[str, pl.DataType]:
    """Columns and their polars types, without reading rows.

    Raises:
        RecipeError: it is neither a polars frame nor a scan.
    """
    if isinstance(data, pl.DataFrame):
        return dict(data.schema)
    if isinstance(data, pl.LazyFrame):
        return dict(data.collect_schema())
    if isinstance(data, Scan):
        return dict(data.schema)
    raise RecipeError(
        "a recipe reads a polars frame or a scan", type(data).__name__, "Pass one.", "data"
    )


def read_parts(data: Data, columns: Sequence[str]) -> Iterable[pl.DataFrame]:
    """The rows part by part, only the columns named."""
    if isinstance(data, pl.DataFrame):
        yield data.select(columns)
    elif isinstance(data, pl.LazyFrame):
        yield data.select(columns).collect()
    else:
        for part in data.parts():
            yield part.read(columns).select(columns)


def to_slots(frame: pl.DataFrame, plan: Plan, columns: Sequence[str]) -> pl.DataFrame:
    """Raw columns in their raw types, each in its slot.

    Raises:
        RecipeError: a column is missing, of another type, or holds a value that its type cannot.
    """
    made = []
    for name in columns:
        want = plan.types[name]
        made.append(canonical(name, frame.schema[name], want).alias(slot(plan.raw[name])))
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
    except pl.exceptions.PolarsError as failure:
        raise RecipeError(
            "the recipe cannot be computed on these rows", str(failure)[:500], None, "data"
        ) from failure


def apply(frame: pl.LazyFrame, steps: Iterable[Step], fitted: dict[int, Fitted]) -> pl.LazyFrame:
    """Adds the slots of steps whose outputs are all known before the fit."""
    for step in steps:
        frame = fitted[step.number].batch(frame, step.source, step.target)
    return frame


def label_of(frame: pl.DataFrame, plan: Plan) -> pl.Series:
    """The label as Float64 from a frame of slots; NaN and null both null."""
    assert plan.label is not None
    return frame[slot(plan.label[1])].cast(pl.Float64).fill_nan(None)


def learn(data: Data, plan: Plan) -> Learned:
    """Fits every step that features need.

    A step is fitted in the first pass in which all that it reads is known. In a pass the parts are
    read in order, one at a time; each gives a state of its own, and states are merged from left to
    right, so the result has the same bits for the same parts.

    Raises:
        RecipeError: there is no row, the label is null everywhere or of one class, a transform has
            nothing to learn from, or a computation fails.
    """
    columns = [name for name in plan.raw if name in {*plan.inputs, *plan.label_inputs}]
    wanted = {*plan.live, *plan.label_live}
    steps = [step for step in plan.steps if step.number in wanted]
    states: list[Json] = [None] * len(plan.steps)
    training: list[Json] = [None] * len(plan.steps)
    fitted: dict[int, Fitted] = {}
    todo = [step for step in steps if step.transform.state(step.schema) is not None]
    first = _Pass(plan, with_profile=True)
    current = first
    while True:
        open_steps = {step.number for step in todo}
        known = _known(steps, open_steps)
        for step in steps:
            if step.number in known and step.number not in fitted:
                state = states[step.number]
                fitted[step.number] = step.transform.fitted(state, step.schema)
        ready = [step for step in todo if _readable(step, steps, known)]
        if current is not first and not ready:
            break
        usable = [step for step in steps if step.number in known and step.target]
        for place, part in enumerate(read_parts(data, columns)):
            frame = to_slots(part, plan, columns)
            current.take(frame, collected(apply(frame.lazy(), usable, fitted)), ready, place)
        for number, state in current.finish().items():
            states[number] = state
        for number, state in current.states.items():
            training[number] = state.training() if isinstance(state, PlacedState) else None
        todo = [step for step in todo if step not in ready]
        if not todo:
            break
        current = _Pass(plan, with_profile=False)
    profile = first.profile.finish()
    mended = {name for step in steps if step.transform.mends_null for name in step.transform.reads}
    seen = first.profile.nulls
    nullable = [name for name in plan.inputs if seen.get(name, 0) or name in mended]
    return Learned(states, profile, nullable, first.profile.rows, training)


def _makers(steps: Sequence[Step]) -> dict[int, int]:
    return {place: step.number for step in steps for place in step.target.values()}


def _known(steps: Sequence[Step], open_steps: set[int]) -> set[int]:
    makers = _makers(steps)
    known: set[int] = set()
    for step in steps:
        needs = {makers[place] for place in step.source.values() if place in makers}
        if step.number not in open_steps and needs <= known:
            known.add(step.number)
    return known


def _readable(step: Step, steps: Sequence[Step], known: set[int]) -> bool:
    makers = _makers(steps)
    return all(makers[place] in known for place in step.source.values() if place in makers)


class _Pass:
    """One pass: the states of the steps that are ready, the label's range, and the profile."""

    def __init__(self, plan: Plan, *, with_profile: bool) -> None:
        self.plan = plan
        self.with_profile = with_profile
        self.profile = ProfileState({name: plan.types[name] for name in plan.inputs})
        self.states: dict[int, object] = {}
        self.low, self.high = float("inf"), float("-inf")

    def take(
        self, raw: pl.DataFrame, frame: pl.DataFrame, ready: Sequence[Step], place: int
    ) -> None:
        plan = self.plan
        if self.with_profile:
            part = ProfileState(self.profile.types)
            part.update(raw.select(pl.col(slot(plan.raw[n])).alias(n) for n in plan.inputs))
            self.profile.merge(part)
        target = None if plan.label is None else label_of(frame, plan)
        if target is not None and target.len() > target.null_count():
            self.low = min(self.low, float(target.min()))  # type: ignore[arg-type]
            self.high = max(self.high, float(target.max()))  # type: ignore[arg-type]
        for step in ready:
            if step.transform.needs_label and target is None:
                raise RecipeError(
                    f"{step.transform.kind} needs a label", None, "Pass fit(…, label=…).", "label"
                )
            state = step.transform.state(step.schema)
            assert state is not None
            reads = frame.select(pl.col(slot(p)).alias(n) for n, p in step.source.items())
            feed(state, reads, target, place, 0)
            if step.number in self.states:
                self.states[step.number].merge(state)  # type: ignore[attr-defined]
            else:
                self.states[step.number] = state

    def finish(self) -> dict[int, Json]:
        if self.with_profile:
            self._check()
        return {number: state.finish() for number, state in self.states.items()}  # type: ignore[attr-defined]

    def _check(self) -> None:
        if not self.profile.rows:
            raise RecipeError("there is no row to fit on", None, "Give some rows.", "data")
        if self.plan.label is None:
            return
        name = self.plan.label[0]
        if self.low > self.high:
            raise RecipeError(f"the label {name!r} is null in every row", None, None, name)
        if self.low == self.high:
            raise RecipeError(
                f"the label {name!r} is the same in every row",
                repr(self.low),
                "Give rows of at least two classes.",
                name,
            )
        if not (abs(self.low) < float("inf") and abs(self.high) < float("inf")):
            raise RecipeError(f"the label {name!r} is infinite in a row", None, None, name)
