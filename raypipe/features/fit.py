"""Fitting: as few passes over the rows as the transforms need, each a reduction over its parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.engine.memory import give_back
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
from raypipe.features.profile import Profile
from raypipe.features.shares import most_columns, shares
from raypipe.features.transforms.base import Json, PlacedState

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from raypipe.engine.place import RunOn
    from raypipe.features.plan import Plan, Step
    from raypipe.features.profile import ColumnProfile
    from raypipe.features.shares import Share
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


@dataclass(slots=True)
class _Found:
    """What a pass gave, of all its readings."""

    rows: int = 0
    nulls: dict[str, int] = field(default_factory=dict)
    columns: dict[str, ColumnProfile] = field(default_factory=dict)
    states: dict[int, Json] = field(default_factory=dict)
    training: dict[int, Json] = field(default_factory=dict)

    def take(self, made: PassState) -> None:
        """Takes what one reading gave.

        Raises:
            RecipeError: a transform has nothing to learn from.
        """
        self.states |= made.finish()
        self.training |= made.training()
        if made.profile is not None:
            self.rows = made.profile.rows
            self.nulls |= made.profile.nulls
            self.columns |= made.profile.finish().columns


def learn(
    data: Data, plan: Plan, run_on: RunOn = "auto", memory_budget: int | None = None
) -> Learned:
    """Fits every step that features need.

    A step is fitted in the first pass in which all that it reads is known. In a pass each stretch
    of rows gives a state, and states are merged in a tree that follows from the rows alone, so the
    result has the same bits wherever it ran. Under a memory budget a pass reads some columns after
    the others, in one thread.

    Raises:
        ConfigError: the budget cannot hold one column of one piece of the rows.
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
    most = most_columns(data, memory_budget)
    first: _Found | None = None
    while first is None or todo:
        known = _known(steps, {step.number for step in todo})
        for step in steps:
            if step.number in known and step.number not in fitted:
                fitted[step.number] = step.transform.fitted(states[step.number], step.schema)
        ready = [step for step in todo if _readable(step, steps, known)]
        made = _run(data, plan, ready, fitted, run_on, most, with_profile=first is None)
        first = first or made
        for number, state in made.states.items():
            states[number] = state
        for number, state in made.training.items():
            training[number] = state
        todo = [step for step in todo if step not in ready]
    mended = {name for step in steps if step.transform.mends_null for name in step.transform.reads}
    nullable = [name for name in plan.inputs if first.nulls.get(name, 0) or name in mended]
    columns = {name: first.columns[name] for name in plan.inputs if name in first.columns}
    return Learned(states, Profile(columns), nullable, first.rows, training)


def _run(
    data: Data,
    plan: Plan,
    ready: Sequence[Step],
    fitted: dict[int, Fitted],
    run_on: RunOn,
    most: int | None,
    *,
    with_profile: bool,
) -> _Found:
    """One pass over all rows; it reads no column and applies no step that it does not need."""
    refusing = [n for n in fitted if with_profile and plan.steps[n].transform.refuses]
    found = _Found()
    for share in shares(
        {name: {name} for name in plan.inputs} if with_profile else {},
        [(step, _needs(plan, step.source.values())[1]) for step in ready],
        {n: _needs(plan, plan.steps[n].source.values())[1] for n in refusing},
        most,
    ):
        made = _read(data, plan, share, fitted, run_on, most, with_profile=with_profile)
        if with_profile:
            _check(made, plan)
        found.take(made)
        del made
        if most is not None:
            give_back()
    return found


def _read(
    data: Data,
    plan: Plan,
    share: Share,
    fitted: dict[int, Fitted],
    run_on: RunOn,
    most: int | None,
    *,
    with_profile: bool,
) -> PassState:
    """One reading of all rows, for a share of the pass."""
    needed = set(share.checked)
    wanted = [] if plan.label is None else [plan.label[1]]
    wanted += [at for step in share.ready for at in step.source.values()]
    wanted += [at for number in needed for at in plan.steps[number].source.values()]
    makers, columns = _needs(plan, wanted)
    needed |= makers
    read = columns.union(share.inputs)
    work = Pass(
        plan=plan,
        columns=tuple(n for n in plan.raw if n in read),
        steps=tuple(step for step in plan.steps if step.number in needed),
        fitted={number: fitted[number] for number in needed},
        ready=tuple(share.ready),
        inputs=tuple(share.inputs) if with_profile else None,
    )
    placed = any(isinstance(state, PlacedState) for state in work.empty().states.values())
    cut, nbytes = stretches(data, work.columns, placed=placed)
    threads = None if most is None else 1
    found = reduce_parts(work, merged, cut, run_on=run_on, bytes_hint=nbytes, threads=threads)
    return work.empty() if found is None else found


def _needs(plan: Plan, slots: Iterable[int]) -> tuple[set[int], set[str]]:
    """The steps that must be applied to know some slots, and the raw columns to read for them."""
    makers, seen, todo = _makers(plan.steps), set[int](), list(slots)
    steps: set[int] = set()
    while todo:
        place = todo.pop()
        seen.add(place)
        if place in makers and makers[place] not in steps:
            steps.add(makers[place])
            todo += plan.steps[makers[place]].source.values()
    return steps, {name for name, place in plan.raw.items() if place in seen}


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
            "Give rows of at least two labels.",
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
