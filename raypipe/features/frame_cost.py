"""About how long polars takes for a frame, before any was timed: what decides the clear cases.

The seconds of a frame are taken for a sum: a share for each input column, feature and call,
whatever the rows; and for each row a share for each input by its type. Fitted on 2026-11-26 with
Python 3.11 and polars 2.1 on two busy cores, to 180 least times of frames of 8, 512 and 4,096 rows
of 60 drawn recipes (``benchmarks/features_frame_cost.py``; a share of 0 did not help). The sum is
off by a factor of 1.22 in the median and of 3.3 in nine cases of ten, for recipes that the fit has
not seen of 1.24 and 4.6: what it takes for clear may be wrong, and is then found out by timing.
Another machine is set against that one by how long a small loop of Python takes.
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
"""What is slower by more than this factor is clear."""

FRAME_S = {
    "frame": 0.0e-6,
    "input": 45.7e-6,
    "feature": 6.7e-6,
    "expression": 0.0e-6,
    "call": 205.1e-6,
    "join": 0.0e-6,
    "lazily": 0.0e-6,
}
ROW_S = {
    "float64": 100.5e-9,
    "int64": 57.0e-9,
    "bool": 67.9e-9,
    "string": 175.9e-9,
    "datetime": 351.9e-9,
    "date": 317.0e-9,
    "feature": 0.0e-9,
    "expression": 0.0e-9,
}
LOOP_S = 69.1e-6
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
