"""The steps of a fitted recipe as polars calls, recorded once and replayed on each frame.

Building expressions in Python takes as long as computing them on a few hundred rows. Steps that do
not read each other are one ``with_columns``, so that polars computes them side by side and carries
the frame from call to call less often. Each expression stays as its step wrote it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.features.plan import Step
    from raypipe.features.transforms import Fitted

Call = tuple[str, tuple[Any, ...], dict[str, Any]]


class _NotRecordedError(Exception):
    """Stays inside this file: a step asks a frame for more than columns and a join."""


class _Recorder:
    """Stands for a frame while steps write what they want of one."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

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


def record(steps: Sequence[Step], fitted: Mapping[int, Fitted]) -> list[Call] | None:
    """The calls that the steps make of a frame, or None where a step needs the frame itself."""
    found: list[Call] = []
    made: set[int] = set()  # slots that the last call gives
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
        calls = recorder.calls
        last = found[-1] if found else None
        alone = len(calls) == 1 and calls[0][0] == "with_columns"
        if last and alone and last[0] == "with_columns" and made.isdisjoint(step.source.values()):
            found[-1] = ("with_columns", (*last[1], *calls[0][1]), {})
            made |= set(step.target.values())
        else:
            found += calls
            made = set(step.target.values())
    return found


def replay(frame: pl.DataFrame, calls: Sequence[Call]) -> pl.DataFrame:
    """The frame with the slots of all steps.

    Raises:
        PolarsError: a computation fails.
    """
    # Called at once on a frame, polars rewrites nothing, and is ready half a millisecond earlier.
    for name, given, named in calls:
        if name == "with_columns":
            frame = frame.with_columns(given)
        elif name == "unnest":
            frame = frame.unnest(*given)
        else:
            joined = frame.lazy().join(*given, **named)
            frame = joined.collect(optimizations=pl.QueryOptFlags.none())
        frame = materialised(frame)
    return frame


def materialised(frame: pl.DataFrame) -> pl.DataFrame:
    """The same rows in one piece, no column of which polars remembers to be one value.

    A column of one value, or a piece of one row, is to polars a constant, by which it divides and
    from which it subtracts with other bits.
    """
    return pl.DataFrame(frame.rechunk().get_columns())
