"""Learning rates that change by the round: a pure function of the absolute round."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from raypipe.core.errors import ConfigError
from raypipe.core.settings import checked_arguments, is_number

if TYPE_CHECKING:
    from collections.abc import Mapping

Shape = Literal["linear", "cosine", "exponential"]
_LEAST = 1.2e-38


@checked_arguments()
@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A learning rate that goes from one value to another.

    It depends on the round alone, so a run that goes on has the rates it would have had.

    Attributes:
        start: the rate after the warm-up.
        end: the rate of the last round.
        shape: how it goes from one to the other.
        warmup: rounds at the beginning in which it rises in a line from near 0 to ``start``.

    Raises:
        ConfigError: a rate is not in (0, 1], the shape is unknown, or ``warmup`` is negative.
    """

    start: float
    end: float
    shape: Shape = "cosine"
    warmup: int = 0

    def __post_init__(self) -> None:
        for name in ("start", "end"):
            rate = getattr(self, name)
            if not (is_number(rate) and 0.0 < rate <= 1.0):
                raise ConfigError("a learning rate is in (0, 1]", rate, field=name)
            if rate < _LEAST:
                what = "a learning rate is a number of 32 bits, and this one is 0 there"
                raise ConfigError(what, rate, f"Use {_LEAST} or more.", name)
        if self.shape not in get_args(Shape):
            raise ConfigError(
                "no such shape", self.shape, f"Use one of: {', '.join(get_args(Shape))}.", "shape"
            )
        whole = isinstance(self.warmup, int) and not isinstance(self.warmup, bool)
        if not whole or self.warmup < 0:
            raise ConfigError("warmup must be a whole number >= 0", self.warmup, field="warmup")

    def at(self, number: int, rounds: int) -> float:
        """The rate of a round.

        Args:
            number: the round, from 0.
            rounds: how many there are in all.
        """
        if number < self.warmup:
            return self.start * (number + 1) / (self.warmup + 1)
        share = min(1.0, (number - self.warmup) / max(1, rounds - 1 - self.warmup))
        if self.shape == "linear":
            return self.start + (self.end - self.start) * share
        if self.shape == "exponential":
            return math.exp(
                math.log(self.start) + (math.log(self.end) - math.log(self.start)) * share
            )
        return self.end + (self.start - self.end) * (1.0 + math.cos(math.pi * share)) / 2.0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schedule:
        """The values of ``to_dict``.

        Raises:
            ConfigError: as for the class.
        """
        return cls(**data)
