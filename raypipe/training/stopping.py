"""Early stopping, as values: the best round so far, and whether it is long enough ago."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.settings import check_text, checked_arguments, is_number
from raypipe.training.objectives import LOWER, nearest, plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@checked_arguments()
@dataclass(frozen=True, kw_only=True, slots=True)
class EarlyStopping:
    """Ends a training that gets no better on the validation rows; the model is that of the best
    round.

    Attributes:
        patience: rounds without a better figure after which training ends.
        metric: the figure; by default the learner's first metric.
        min_delta: by how much a figure must be better to count as better.

    Raises:
        ConfigError: the patience is less than 1, or ``min_delta`` is negative.
    """

    patience: int = 20
    metric: str | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        patience, delta = self.patience, self.min_delta
        if not isinstance(patience, int) or isinstance(patience, bool) or patience < 1:
            raise ConfigError(
                "patience must be a whole number >= 1", self.patience, field="patience"
            )
        if not (is_number(delta) and delta >= 0.0):
            raise ConfigError("min_delta must be >= 0", self.min_delta, field="min_delta")
        check_text("metric", self.metric, optional=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Best:
    """The best round so far, as the state of a run keeps it.

    Attributes:
        score: its figure; None before the first round.
        round: its number, from 0; -1 before the first.
        stopped: whether training has ended.
    """

    score: float | None = None
    round: int = -1
    stopped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Best:
        """The values of ``to_dict``."""
        return cls(score=data["score"], round=data["round"], stopped=data["stopped"])

    def after(self, score: float, number: int, rule: EarlyStopping, metric: str) -> Best:
        """What is known after a round.

        A figure that is NaN is no better than any; a run of nothing but NaN stops in the end.

        Args:
            score: the figure of the round.
            number: its number, from 0.
            rule: when to stop.
            metric: names the figure, and so which direction is better.
        """
        if self.score is None or math.isnan(self.score):
            better = not math.isnan(score)
        elif plain(metric) in LOWER:
            better = score < self.score - rule.min_delta
        else:
            better = score > self.score + rule.min_delta
        if better:
            return Best(score=score, round=number)
        return Best(
            score=self.score,
            round=self.round,
            stopped=number - max(self.round, -1) >= rule.patience,
        )


def check_stopping(rule: EarlyStopping | None, metrics: Sequence[str]) -> None:
    """Refuses early stopping by what is not evaluated.

    Args:
        rule: when to stop, if at all.
        metrics: what the learner evaluates after each round.

    Raises:
        ConfigError: it looks at another metric.
    """
    if rule is not None and rule.metric not in (None, *metrics):
        raise ConfigError(
            "early stopping looks at a metric that is not evaluated",
            rule.metric,
            f"{nearest(str(rule.metric), metrics)} Else name it in eval_metric or metrics.",
            "metric",
        )
