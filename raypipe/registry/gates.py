"""Gates: what a candidate must show before it may become a version.

A gate is one metric held against a floor, against a trivial baseline or against the version in
service, on rows that the candidate has not seen. ``Gate.evaluate`` reports; ``Registry.register``
refuses.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from raypipe.core.errors import ConfigError
from raypipe.core.markup import html_facts, html_table
from raypipe.core.settings import checked_arguments
from raypipe.models import Metric, labelled_scores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import polars as pl

    from raypipe.core.scan import Scan
    from raypipe.models import ModelBundle

Against = Literal["baseline", "champion"]


@dataclass(frozen=True, kw_only=True, slots=True)
class GateCheck:
    """One comparison: the candidate's figure, the figure it had to reach, and the outcome."""

    metric: str
    value: float
    against: str
    threshold: float
    rows: int
    passed: bool

    def __str__(self) -> str:
        return (
            f"{self.metric} {self.value:.4f} against {self.against} {self.threshold:.4f} "
            f"on {self.rows} rows: {_word(self.passed)}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class GateReport:
    """The outcome of all checks; passes when each does."""

    checks: tuple[GateCheck, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.passed for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON; a figure that is not defined is ``None``."""
        return {
            "passed": self.passed,
            "checks": [
                {
                    "metric": c.metric,
                    "value": _json(c.value),
                    "against": c.against,
                    "threshold": _json(c.threshold),
                    "rows": c.rows,
                    "passed": c.passed,
                }
                for c in self.checks
            ],
        }

    def __str__(self) -> str:
        return "; ".join(str(check) for check in self.checks)

    def _repr_html_(self) -> str:
        rows = [
            (c.metric, f"{c.value:.4f}", c.against, f"{c.threshold:.4f}", c.rows, _word(c.passed))
            for c in self.checks
        ]
        return html_table(("metric", "value", "against", "threshold", "rows", "outcome"), rows)


def _word(passed: bool) -> str:
    return "passed" if passed else "failed"


def _is_real(value: object) -> bool:
    """Also one of numpy's."""
    return isinstance(value, Real) and math.isfinite(value)


def _json(value: float) -> float | None:
    return value if math.isfinite(value) else None


@checked_arguments()
class Gate:
    """One metric that must reach a floor, beat a baseline, or beat the version in service.

    Args:
        metric: from ``raypipe.metrics``.
        at_least: the floor (for a metric where lower is better: the ceiling).
        beats: ``"baseline"``, the score that gives every row the training data's mean label, or
            ``"champion"``, the version in service; without one, that check passes.
        margin: by how much it must be better than what it ``beats``.
        on: rows to judge on; by default the run's validation rows. Rows without a label are left
            out, and every other counts once, whatever weights the model was trained with.

    Raises:
        ConfigError: there is neither a floor nor something to beat, or the margin is negative.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        at_least: float | None = None,
        beats: Against | None = None,
        margin: float = 0.0,
        on: Scan | pl.DataFrame | None = None,
    ) -> None:
        if not isinstance(metric, Metric):
            raise ConfigError("a gate needs a metric", metric, "Use one of rp.metrics.", "metric")
        if at_least is None and beats is None:
            raise ConfigError(
                f"a gate on {metric.name} checks nothing", act="Give at_least=, beats= or both."
            )
        if beats not in (None, "baseline", "champion"):
            raise ConfigError("unknown opponent", beats, "Use 'baseline' or 'champion'.", "beats")
        if not (_is_real(margin) and margin >= 0):
            raise ConfigError("margin must be a number >= 0", margin, field="margin")
        if at_least is not None and not _is_real(at_least):
            raise ConfigError("at_least must be a number", at_least, field="at_least")
        self.metric = metric
        self.at_least = at_least
        self.beats = beats
        self.margin = margin
        self.on = on

    def evaluate(
        self,
        candidate: ModelBundle,
        *,
        validation: Scan | pl.DataFrame | None = None,
        champion: Callable[[], ModelBundle | None] = lambda: None,
    ) -> GateReport:
        """The checks of this gate; changes nothing.

        Args:
            candidate: the bundle to judge.
            validation: rows to judge on where the gate names none of its own.
            champion: gives the version in service, loaded only when needed.

        Raises:
            ConfigError: there are no rows to judge on, or none has a label.
            RecipeError: the rows lack an input or the label.
        """
        chosen = self.on if self.on is not None else validation
        if chosen is None:
            raise ConfigError(
                f"the gate on {self.metric.name} has no rows to judge on",
                act="Give on=, or train with valid=.",
            )
        y, scores = labelled_scores(candidate, chosen)
        if not y.size:
            raise ConfigError(f"no row that the gate on {self.metric.name} judges on has a label")
        value = self.metric(y, scores)
        checks: list[GateCheck] = []

        def check(against: str, threshold: float, passed: bool) -> None:
            checks.append(
                GateCheck(
                    metric=self.metric.name,
                    value=value,
                    against=against,
                    threshold=threshold,
                    rows=len(y),
                    passed=passed,
                )
            )

        if self.at_least is not None:
            worse = self.metric.better(self.at_least, value) or math.isnan(value)
            check("floor", self.at_least, not worse)
        if self.beats == "baseline":
            prior = float(candidate.manifest["label_mean"])
            self._compare(check, "baseline", value, self.metric(y, np.full(len(y), prior)))
        elif self.beats == "champion":
            opponent = champion()
            if opponent is not None:
                other = self.metric(*labelled_scores(opponent, chosen))
                self._compare(check, "champion", value, other)
        return GateReport(checks=tuple(checks))

    def _compare(
        self, check: Callable[[str, float, bool], None], against: str, value: float, other: float
    ) -> None:
        sign = 1.0 if self.metric.higher_is_better else -1.0
        check(against, other, self.metric.better(value, other + sign * self.margin))

    def __repr__(self) -> str:
        parts = [self.metric.name]
        if self.at_least is not None:
            parts.append(f"at_least={self.at_least}")
        if self.beats is not None:
            parts.append(f"beats={self.beats!r}, margin={self.margin}")
        return f"Gate({', '.join(parts)})"

    def _repr_html_(self) -> str:
        facts: dict[str, object] = {"metric": self.metric.name}
        if self.at_least is not None:
            word = "at least" if self.metric.higher_is_better else "at most"
            facts[word] = self.at_least
        if self.beats is not None:
            facts |= {"beats": self.beats, "by": self.margin}
        facts["judged on"] = "the run's validation rows" if self.on is None else "rows of its own"
        return html_facts(facts, "gate")


def evaluate_all(
    gates: Sequence[Gate],
    candidate: ModelBundle,
    *,
    validation: Scan | pl.DataFrame | None,
    champion: Callable[[], ModelBundle | None],
) -> GateReport:
    """The checks of several gates as one report."""
    reports = [g.evaluate(candidate, validation=validation, champion=champion) for g in gates]
    return GateReport(checks=tuple(check for report in reports for check in report.checks))
