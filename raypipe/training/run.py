"""A finished training run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.core.markup import html_facts
from raypipe.training.runs.views import Curves, by_round

if TYPE_CHECKING:
    from collections.abc import Mapping

    import ray.train

    from raypipe.lake import Snapshot
    from raypipe.models import ModelBundle

History = dict[str, dict[str, list[float]]]


class Run:
    """What a training gave.

    Attributes:
        id: names the run by what went into it: configuration, data, package versions.
        bundle: the model with its recipe and manifest; ``bundle.booster`` is the plain booster.
        history: evaluation figures by set (``train``, ``valid``), metric and round.
        valid: the rows it was validated on, if any.
        result: the plain Ray ``Result``; ``None`` when the run trained in this process, or had
            been finished before and was read back.
        facts: how it went, which the model does not depend on: ``ran_on`` and ``why``,
            ``seconds``, ``rounds``, ``stopped_early``, ``begun_at`` (the rounds at which it began
            and began again, whoever was lost: a worker, the controller, the driver) and
            ``resumed_at`` (the last of these, 0 if it was never broken off).
    """

    def __init__(
        self,
        *,
        id: str,  # noqa: A002 - the field's standard name
        bundle: ModelBundle,
        history: History,
        valid: Snapshot | None,
        result: ray.train.Result | None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.id = id
        self.bundle = bundle
        self.history = history
        self.valid = valid
        self.result = result
        self.facts = dict(facts or {})

    @property
    def model(self) -> ModelBundle:
        """The bundle, by the name that most libraries use."""
        return self.bundle

    @property
    def metrics(self) -> dict[str, float | None]:
        """Figures on the validation rows; empty when there were none."""
        return dict(self.bundle.manifest["metrics"])

    def curves(self, metric: str | None = None) -> Curves:
        """Learning curves: a figure by round, drawn in a notebook; ``Runs.curves`` takes several.

        Args:
            metric: which figure, as the learner names it; the first one by default.

        Raises:
            ConfigError: there is no such figure.
        """
        names = list(dict.fromkeys(name for figures in self.history.values() for name in figures))
        chosen = metric if metric is not None else (names[0] if names else None)
        if chosen is None or chosen not in names:
            raise ConfigError("no figures by round", metric, f"There are: {names}.", "metric")
        rows = by_round(self.id, self.history).filter(pl.col("metric") == chosen)
        return Curves(rows, chosen)

    def __repr__(self) -> str:
        figures = ", ".join(
            f"{name}={value:.4f}" for name, value in self.metrics.items() if value is not None
        )
        told = [self.id, f"{self.bundle.manifest['rows']} rows", figures or "not validated"]
        if self.facts.get("resumed_at"):
            told.append(f"resumed at round {self.facts['resumed_at']}")
        return f"Run({', '.join(told)})"

    def _repr_html_(self) -> str:
        begun = self.facts.get("begun_at", [])
        rows: dict[str, Any] = {
            "run": self.id,
            "model": self.bundle.content_hash[:12],
            "rows": self.bundle.manifest["rows"],
            "workers": self.bundle.manifest["num_workers"],
            "ran on": self.facts.get("ran_on", ""),
            **({"began at rounds": begun} if len(begun) > 1 else {}),
            **{k: f"{v:.4f}" for k, v in self.metrics.items() if v is not None},
        }
        several = any(len(v) > 1 for figures in self.history.values() for v in figures.values())
        return html_facts(rows) + (self.curves()._repr_html_() if several else "")
