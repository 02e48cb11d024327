"""Fitting: as few passes over the rows as the transforms need, each a reduction over its parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.engine.reduce import reduce_parts
from raypipe.features.cuts import Data, read_parts, schema_of, stretches
from raypipe.features.held import collected_whole
from raypipe.features.passes import (
    Pass,
    PassState,
    apply,
    collected,
    label_of,
    merged,
    to_slots,
)
from raypipe.features.transforms.base import Json, PlacedState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raypipe.engine.place import RunOn
    from raypipe.features.plan import Plan, Step
    from raypipe.features.profile import Profile
    from raypipe.features.transforms import Fitted

__all__ = ["Data", "Learned", "apply", "collected", "learn", "read_parts", "schema_of", "to_slots"]


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


def learn(data: Data, plan: Plan, run_on: RunOn = "auto") -> Learned:
    """Fits every step that features need.

    A step is fitted in the first pass in which all that it reads is known. In a pass each stretch
    of rows gives a state, and states are merged in a tree that follows from the rows alone, so the
    result has the same bits wherever it ran.

    Raises:
        RecipeError: there is no row, the label is null everywhere or of one class, a transform has
            nothing to learn from, or a computation fails.
        EngineError: Ray could not be reached, or a worker died again and again.
    """
    wanted = {*plan.live, *plan.label_live}
    steps = [step for step in plan.steps if step.number in wanted]
    _check_label_needed(steps, plan)
    if isinstance(data, pl.LazyFrame):  # once for all passes
        needed = [n for n in plan.raw if n in {*plan.inputs, *plan.label_inputs}]
        data = collected_whole(data, needed, "rows of a lazy frame")
    _look_at_label(data, plan, steps)
    states: list[Json] = [None] * len(plan.steps)
    training: list[Json] = [None] * len(plan.steps)
    fitted: dict[int, Fitted] = {}
    todo = [step for step in steps if step.transform.state(step.schema) is not None]
    first: PassState | None = None
    while first is None or todo:
        known = _known(steps, {step.number for step in todo})
        for step in steps:
            if step.number in known and step.number not in fitted:
                fitted[step.number] = step.transform.fitted(states[step.number], step.schema)
        ready = [step for step in todo if _readable(step, steps, known)]
        made = _run(data, plan, ready, fitted, run_on, with_profile=first is None)
        if first is None:
            _check(made, plan)
            first = made
        for number, state in made.finish().items():
            states[number] = state
        for number, state in made.training().items():
            training[number] = state
        todo = [step for step in todo if step not in ready]
    assert first.profile is not None
    mended = {name for step in steps if step.transform.mends_null for name in step.transform.reads}
    seen = first.profile.nulls
    nullable = [name for name in plan.inputs if seen.get(name, 0) or name in mended]
    return Learned(states, first.profile.finish(), nullable, first.profile.rows, training)


def _run(
    data: Data,
    plan: Plan,
    ready: Sequence[Step],
    fitted: dict[int, Fitted],
    run_on: RunOn,
    *,
    with_profile: bool,
) -> PassState:
    """One pass over all rows; it reads no column and applies no step that it does not need."""
    makers = _makers(plan.steps)
    needed = {n for n in fitted if with_profile and plan.steps[n].transform.refuses}
    slots: set[int] = set()
    wanted = [] if plan.label is None else [plan.label[1]]
    wanted += [at for step in ready for at in step.source.values()]
    wanted += [at for number in needed for at in plan.steps[number].source.values()]
    while wanted:
        place = wanted.pop()
        slots.add(place)
        if place in makers and makers[place] not in needed:
            needed.add(makers[place])
            wanted += plan.steps[makers[place]].source.values()
    inputs = plan.inputs if with_profile else ()
    work = Pass(
        plan=plan,
        columns=tuple(n for n, place in plan.raw.items() if place in slots or n in inputs),
        steps=tuple(step for step in plan.steps if step.number in needed),
        fitted={number: fitted[number] for number in needed},
        ready=tuple(ready),
        with_profile=with_profile,
    )
    placed = any(isinstance(state, PlacedState) for state in work.empty().states.values())
    cut, nbytes = stretches(data, work.columns, placed=placed)
    found = reduce_parts(work, merged, cut, run_on=run_on, bytes_hint=nbytes)
    return work.empty() if found is None else found


def _check_label_needed(steps: Iterable[Step], plan: Plan) -> None:
    for step in steps:
        if step.transform.needs_label and plan.label is None:
            raise RecipeError(
                f"{step.transform.kind} needs a label", None, "Pass fit(…, label=…).", "label"
            )


def _look_at_label(data: Data, plan: Plan, steps: Sequence[Step]) -> None:
    """Reads the label alone until it has two values, so that a bad one is known before any work.

    Raises:
        RecipeError: there is no row, or the label is null everywhere or the same everywhere.
    """
    if plan.label is None:
        return
    steps = [step for step in steps if step.number in plan.label_live]
    fitted = {step.number: step.transform.fitted(None, step.schema) for step in steps}
    columns = plan.label_inputs
    rows, low, high = 0, float("inf"), float("-inf")
    for part in read_parts(data, columns):
        slots = to_slots(part, plan, columns)
        values = label_of(collected(apply(slots.lazy(), steps, fitted)), plan).drop_nulls()
        rows += part.height
        if len(values):
            low, high = min(low, float(values.min())), max(high, float(values.max()))  # type: ignore[arg-type]
        if low < high:
            return
    _check_ends(plan.label[0], rows, low, high)


def _check(made: PassState, plan: Plan) -> None:
    assert made.profile is not None
    name = None if plan.label is None else plan.label[0]
    _check_ends(name, made.profile.rows, made.low, made.high)


def _check_ends(name: str | None, rows: int, low: float, high: float) -> None:
    if not rows:
        raise RecipeError("there is no row to fit on", None, "Give some rows.", "data")
    if name is None:
        return
    if low > high:
        raise RecipeError(f"the label {name!r} is null in every row", None, None, name)
    if low == high:
        raise RecipeError(
            f"the label {name!r} is the same in every row",
            repr(low),
            "Give rows of at least two classes.",
            name,
        )
    if not (abs(low) < float("inf") and abs(high) < float("inf")):
        raise RecipeError(f"the label {name!r} is infinite in a row", None, None, name)


def _makers(steps: Iterable[Step]) -> dict[int, int]:
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
