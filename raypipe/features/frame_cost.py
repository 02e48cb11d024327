"""About how long polars takes for a frame, before any was timed: what decides the clear cases.

The seconds of a frame are taken for a sum: a share for each input column, expression and call,
whatever the rows; and for each row a share for each input by its type and for each feature. The
shares were fitted to frames of 8, 512 and 4,096 rows of drawn recipes (``benchmarks/
features_frame_cost.py``; its date, machine and error stand there beside the figures below). Another
machine is set against that one by how long a small loop of Python takes.
"""

from __future__ import annotations

import functools
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DOUBT = 1.6
"""A guess may be wrong by this factor."""

FRAME_S = {
    "frame": 300e-6, "input": 10e-6, "feature": 10e-6, "expression": 15e-6, "call": 60e-6,
    "join": 300e-6, "lazily": 300e-6,
}  # fmt: skip
ROW_S = {
    "float64": 40e-9, "int64": 40e-9, "bool": 40e-9, "string": 60e-9, "datetime": 100e-9,
    "date": 100e-9, "feature": 10e-9, "expression": 5e-9,
}  # fmt: skip
LOOP_S = 9e-5
_LOOPS = 2_000


@dataclass(frozen=True, slots=True)
class FrameShape:
    """What a recipe asks of polars for a frame.

    Attributes:
        inputs: how many there are of each raw type.
        features: how many.
        expressions: how many columns are computed.
        calls: how many calls of a frame compute them.
        joins: how many of these are joins.
        lazily: whether the calls are planned anew for each frame.
    """

    inputs: Mapping[str, int] = field(default_factory=dict)
    features: int = 0
    expressions: int = 0
    calls: int = 0
    joins: int = 0
    lazily: bool = False

    @property
    def own(self) -> dict[str, float]:
        """How often each share counts whatever the rows."""
        return {
            "frame": 1.0,
            "input": float(sum(self.inputs.values())),
            "feature": float(self.features),
            "expression": float(self.expressions),
            "call": float(self.calls),
            "join": float(self.joins),
            "lazily": float(self.lazily),
        }

    @property
    def each(self) -> dict[str, float]:
        """How often each share counts for each row."""
        more = {"feature": self.features, "expression": self.expressions}
        return {name: float(count) for name, count in (*self.inputs.items(), *more.items())}

    @property
    def own_s(self) -> float:
        """Seconds that a frame takes whatever its rows, on the machine of the fit."""
        return sum(FRAME_S[name] * count for name, count in self.own.items())

    @property
    def row_s(self) -> float:
        """Seconds that each row adds, on the machine of the fit."""
        return sum(ROW_S[name] * count for name, count in self.each.items())


def clear(shape: FrameShape, row_s: float, pace: float = 1.0) -> tuple[float, float]:
    """Up to how many rows are clearly faster one by one, and from how many on as a frame.

    Args:
        shape: of the recipe.
        row_s: seconds that a row takes one by one.
        pace: how many times as long this machine takes as that of the fit.
    """
    own, each = shape.own_s * pace, shape.row_s * pace
    until, since = DOUBT * row_s - each, row_s / DOUBT - each
    return (own / until if until > 0 else math.inf, own / since if since > 0 else math.inf)


@functools.cache
def pace() -> float:
    """How many times as long this machine takes as that of the fit."""
    return min(_loop_s() for _ in range(5)) / LOOP_S


def _loop_s() -> float:
    begin, total = time.perf_counter(), 0.0
    for number in range(_LOOPS):
        total += number * 0.5
    return time.perf_counter() - begin
