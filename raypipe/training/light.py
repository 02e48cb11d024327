"""LightGBM's settings as one checked value; needs ``raypipe[lightgbm]``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.settings import check_texts, checked_arguments, is_number
from raypipe.training.fitness import check_labels, check_names, check_shapes
from raypipe.training.light_params import METRICS, OBJECTIVES, check_params, draws_rows, place_of
from raypipe.training.objectives import Objective, Task, nearest
from raypipe.training.schedule import Schedule
from raypipe.training.takes import Takes

if TYPE_CHECKING:
    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Session
    from raypipe.training.survey import Labels


@checked_arguments(place_of)
@dataclass(frozen=True, kw_only=True, slots=True)
class LightGBM:
    """LightGBM's gradient-boosted trees, which grow leaf by leaf.

    It trains in one process (``num_workers=1``), with all features in its memory. ``deterministic``
    is on, and a run that was killed, or that has other threads, gives the same bytes. It goes on
    from its last checkpoint, but where rows are drawn (``bagging_fraction``) it begins again.

    Attributes:
        objective: what is learned, by LightGBM's name: ``binary``, ``multiclass``, ``regression``,
            ``regression_l1``, ``huber``, ``poisson``, ``gamma``, ``tweedie``, ``quantile``,
            ``mape`` or ``lambdarank`` (with ``Trainer(group=…)``).
        rounds: rounds to grow.
        num_leaves: leaves of a tree, at most.
        max_depth: depth of a tree; -1 for no limit but the leaves.
        learning_rate: shrinkage of each tree: one value, or a ``Schedule``.
        max_bin: histogram bins a feature.
        metrics: what is evaluated after each round, by the names of the other learners
            (``logloss``, ``auc``, ``rmse``, ``ndcg``, …), to ten digits: the bits beyond them
            depend on threads. The objective's own by default.
        monotone: features by name whose effect may only rise (1) or only fall (-1).
        interactions: groups of features by name; only features of one group may meet in a branch.
        categorical: features by name whose values are codes of categories.
        params: further parameters, by LightGBM's own names (``bagging_fraction``,
            ``feature_fraction``, ``lambda_l2``, ``min_data_in_leaf``, …).

    Raises:
        ConfigError: there is no such setting, a value is out of its range, a parameter is unknown,
            set by raypipe, or one whose run could not go on to the same bytes, or a metric does not
            suit the objective.
    """

    objective: str = "binary"
    rounds: int = 200
    num_leaves: int = 31
    max_depth: int = -1
    learning_rate: float | Schedule = 0.1
    max_bin: int = 255
    metrics: Sequence[str] = ()
    monotone: Mapping[str, int] = field(default_factory=dict)
    interactions: Sequence[Sequence[str]] = ()
    categorical: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, low in (("rounds", 1), ("num_leaves", 2), ("max_depth", -1), ("max_bin", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise ConfigError(f"{name} must be a whole number >= {low}", value, field=name)
        check_shapes(self)
        check_texts("metrics", self.metrics)
        rate = self.learning_rate
        number = not isinstance(rate, Schedule) and is_number(rate) and 0.0 < rate <= 1.0
        if not (isinstance(rate, Schedule) or number):
            raise ConfigError("learning_rate must be in (0, 1]", rate, field="learning_rate")
        if not isinstance(self.objective, str) or self.objective not in OBJECTIVES:
            raise ConfigError(
                "unsupported objective",
                self.objective,
                nearest(str(self.objective), OBJECTIVES),
                "objective",
            )
        check_params(self.params)
        if not self.metrics:
            object.__setattr__(self, "metrics", (self._wanted.metric,))
        for metric in self.metrics:
            if metric not in METRICS[self.task]:
                raise ConfigError(
                    f"the metric does not suit {self.objective}",
                    metric,
                    nearest(metric, METRICS[self.task]),
                    "metrics",
                )

    @property
    def form(self) -> str:
        """The model's file."""
        return "model.txt"

    @property
    def packages(self) -> Sequence[str]:
        """LightGBM's own."""
        return ("lightgbm",)

    @property
    def takes(self) -> Takes:
        """Neither several ranks nor a margin; it cannot go on where rows are drawn."""
        return Takes(ranks=False, margin=False, resumes=not draws_rows(self.params))

    @property
    def task(self) -> Task:
        """The kind of problem."""
        return self._wanted.task

    @property
    def _wanted(self) -> Objective:
        return OBJECTIVES[self.objective]

    def check(self) -> None:
        """Grows one tree on rows of its own, so that LightGBM itself judges the parameters.

        Raises:
            ConfigError: it refuses them.
            MissingPartError: LightGBM is not installed.
        """
        from raypipe.training.light_session import rehearse

        rehearse(self)

    def check_labels(self, labels: Labels) -> None:
        """Refuses labels that the objective cannot learn.

        Raises:
            RecipeError: one is out of range, is not a whole number where it must be, or a class
                has no row.
        """
        check_labels(self._wanted, labels)

    def check_features(self, features: Sequence[str]) -> None:
        """Refuses names of features that the recipe does not give.

        Raises:
            ConfigError: one is not there; the nearest is named.
        """
        check_names(
            features,
            monotone=self.monotone,
            interactions=self.interactions,
            categorical=self.categorical,
        )

    def build(self, train: Feed, valid: Feed | None, build: Build) -> Session:
        """A booster with its rows read and binned."""
        from raypipe.training.light_session import LightSession

        return LightSession(self, train, valid, build)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as manifests keep it."""
        rate = self.learning_rate
        out: dict[str, Any] = {
            "name": "lightgbm",
            "objective": self.objective,
            "rounds": self.rounds,
            "num_leaves": self.num_leaves,
            "max_depth": self.max_depth,
            "learning_rate": rate.to_dict() if isinstance(rate, Schedule) else rate,
            "max_bin": self.max_bin,
            "metrics": list(self.metrics),
            "params": dict(self.params),
        }
        extra = {
            "monotone": dict(self.monotone),
            "interactions": [list(group) for group in self.interactions],
            "categorical": list(self.categorical),
        }
        return out | {name: value for name, value in extra.items() if value}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> LightGBM:
        """The learner that a manifest names.

        Raises:
            ConfigError: it names another learner, or as for the class.
        """
        if data.get("name") != "lightgbm":
            raise ConfigError("these are not LightGBM's settings", data.get("name"))
        values = {key: value for key, value in data.items() if key != "name"}
        if isinstance(values.get("learning_rate"), Mapping):
            values["learning_rate"] = Schedule.from_dict(values["learning_rate"])
        return cls(**{**values, "metrics": tuple(values["metrics"])})
