"""The steps of a fitted recipe as polars calls, recorded once and replayed on each frame.

Building expressions in Python takes as long as computing them on a few hundred rows. Steps that do
not read each other are one ``with_columns``, so that polars computes them side by side and carries
the frame from call to call less often. Each expression stays as its step wrote it. A column that
nothing later reads is let go, so that each step of a long recipe carries only what is in use.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import polars as pl

from raypipe.features.frame_cost import FrameShape
from raypipe.features.transforms.base import slot

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from raypipe.features.plan import Plan, Step
    from raypipe.features.transforms import Fitted

_Asked = tuple[str, tuple[Any, ...], dict[str, Any]]


@dataclass(slots=True)
class Call:
    """What is asked of a frame.

    Attributes:
        name: the method.
        given: its arguments.
        named: those by name.
        reads: the slots that it reads.
        gives: the slots that it adds.
        keep: the columns that are read afterwards; None where all are kept.
    """

    name: str
    given: tuple[Any, ...]
    named: dict[str, Any]
    reads: set[int]
    gives: set[int]
    keep: frozenset[str] | None = None


class _NotRecordedError(Exception):
    """Stays inside this file: a step asks a frame for more than columns and a join."""


class _Recorder:
    """Stands for a frame while steps write what they want of one."""

    def __init__(self) -> None:
        self.calls: list[_Asked] = []

    def with_columns(self, *given: Any, **named: pl.Expr) -> _Recorder:
        flat: list[pl.Expr] = []
        for one in given:
            flat += [one] if isinstance(one, pl.Expr) else list(one)
        flat += [expr.alias(name) for name, expr in named.items()]
        self.calls.append(("with_columns", tuple(flat), {}))
        return self

    def unnest(self, *given: Any) -> _Recorder:
        self.calls.append(("unnest", given, {}))
        return self

    def join(self, *given: Any, **named: Any) -> _Recorder:
        self.calls.append(("join", given, named))
        return self

    def __getattr__(self, name: str) -> Any:
        raise _NotRecordedError


def record(
    steps: Sequence[Step], fitted: Mapping[int, Fitted], wanted: Collection[int]
) -> list[Call] | None:
    """The calls that the steps make of a frame, or None where a step needs the frame itself.

    Args:
        steps: in order.
        fitted: what is applied at each.
        wanted: the slots that are read in the end.
    """
    found: list[Call] = []
    for step in steps:
        recorder = _Recorder()
        try:
            given = fitted[step.number].batch(
                cast(pl.LazyFrame, recorder), step.source, step.target
            )
        except (_NotRecordedError, TypeError):
            return None
        if cast(object, given) is not recorder:
            return None
        reads, gives = set(step.source.values()), set(step.target.values())
        calls = [Call(*asked, reads, gives) for asked in recorder.calls]
        last = found[-1] if found else None
        alone = len(calls) == 1 and calls[0].name == "with_columns"
        if last and alone and last.name == "with_columns" and last.gives.isdisjoint(reads):
            last.given += calls[0].given
            last.reads |= reads
            last.gives |= gives
        else:
            found += calls
    needed = set(wanted)
    for at in range(len(found) - 1, -1, -1):
        call = found[at]
        # Between the calls of one step stand columns that are no slots.
        if at + 1 == len(found) or found[at + 1].gives is not call.gives:
            call.keep = frozenset(map(slot, needed))
        needed = (needed - call.gives) | call.reads
    return found


def frame_shape(
    plan: Plan, steps: Sequence[Step], calls: Sequence[Call] | None, features: int
) -> FrameShape:
    """What the steps ask of polars for each frame."""
    inputs = dict(Counter(plan.types[name] for name in plan.inputs))
    if calls is None:
        return FrameShape(inputs, features, sum(len(step.target) for step in steps), 1, 0, True)
    adding = [call for call in calls if call.name == "with_columns"]
    joins = sum(call.name == "join" for call in calls)
    expressions = sum(len(call.given) for call in adding)
    return FrameShape(inputs, features, expressions, len(calls), joins)


def replay(frame: pl.DataFrame, calls: Sequence[Call]) -> pl.DataFrame:
    """The frame with the slots of all steps that are read in the end.

    Raises:
        PolarsError: a computation fails.
    """
    # Called at once on a frame, polars rewrites nothing, and is ready half a millisecond earlier.
    for call in calls:
        if call.name == "with_columns":
            frame = frame.with_columns(call.given)
        elif call.name == "unnest":
            frame = frame.unnest(*call.given)
        else:
            joined = frame.lazy().join(*call.given, **call.named)
            frame = joined.collect(optimizations=pl.QueryOptFlags.none())
        frame = materialised(frame, call.keep)
    return frame


def materialised(frame: pl.DataFrame, keep: Collection[str] | None = None) -> pl.DataFrame:
    """The same rows in one piece, no column of which polars remembers to be one value.

    A column of one value, or a piece of one row, is to polars a constant, by which it divides and
    from which it subtracts with other bits.

    Args:
        frame: the rows.
        keep: the columns to keep; all if not given.
    """
    if keep is not None and len(keep) < frame.width:
        frame = frame.select([name for name in frame.columns if name in keep])
    return pl.DataFrame(frame.rechunk().get_columns())
