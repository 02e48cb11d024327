"""XGBoost's settings as one checked value."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.settings import checked_arguments, is_number
from raypipe.training import params as known
from raypipe.training.cut_points import MOST_BINS
from raypipe.training.fitness import check_labels, check_metric_labels, check_names, check_shapes
from raypipe.training.objectives import Objective, Task, check_metric, objective_named
from raypipe.training.schedule import Schedule
from raypipe.training.takes import Takes

if TYPE_CHECKING:
    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Session
    from raypipe.training.survey import Labels

_DEVICES = ("cpu", "cuda")
_SKETCHES = ("raypipe", "xgboost")


@checked_arguments(known.place_of)
@dataclass(frozen=True, kw_only=True, slots=True)
class XGBoost:
    """Gradient-boosted trees by the ``hist`` method.

    ``params={"objective": …}`` says what is learned: two classes (``binary:logistic``, the
    default), several (``multi:softprob``; their number comes from the labels), a number
    (``reg:squarederror``, ``reg:gamma``, ``count:poisson`` and others) or an order within groups
    (``rank:ndcg`` and others, with ``Trainer(group=…)``).

    Attributes:
        rounds: rounds to grow; each is a tree, or several where there are classes or a forest.
        max_depth: depth of a tree.
        learning_rate: shrinkage of each tree: one value, or a ``Schedule``.
        max_bin: histogram bins a feature.
        monotone: features by name whose effect may only rise (1) or only fall (-1).
        interactions: groups of features by name; only features of one group may meet in a branch.
        categorical: features by name whose values are codes of categories (0, 1, 2 and so on).
            Those that the recipe marks as codes need not be named.
        device: ``"cpu"`` or ``"cuda"``.
        sketch: who seeks the bins. ``"raypipe"`` takes less time than ``"xgboost"``, and is as
            close to bins of equally many rows (an eighth of a bin) or closer. Columns of up to
            ``max_bin`` distinct values have the same bins either way. XGBoost's own is taken in
            any case with weights, with categories, with more than 1024 bins and on a GPU.
        params: further XGBoost parameters, by XGBoost's own names (``subsample``,
            ``colsample_bytree``, ``reg_lambda``, ``eval_metric``, ...).

    Raises:
        ConfigError: there is no such setting, a value is out of its range, a parameter is unknown
            or one that raypipe sets itself, or a metric does not suit the objective.
    """

    rounds: int = 200
    max_depth: int = 6
    learning_rate: float | Schedule = 0.1
    max_bin: int = 256
    monotone: Mapping[str, int] = field(default_factory=dict)
    interactions: Sequence[Sequence[str]] = ()
    categorical: Sequence[str] = ()
    device: str = "cpu"
    sketch: str = "raypipe"
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, low in (("rounds", 1), ("max_depth", 0), ("max_bin", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < low:
                raise ConfigError(f"{name} must be a whole number >= {low}", value, field=name)
        check_shapes(self)
        rate = self.learning_rate
        if not isinstance(rate, Schedule) and not (is_number(rate) and 0.0 < rate <= 1.0):
            raise ConfigError("learning_rate must be in (0, 1]", rate, field="learning_rate")
        if self.device not in _DEVICES:
            raise ConfigError(
                "no such device", self.device, f"Use {' or '.join(_DEVICES)}.", "device"
            )
        if self.sketch not in _SKETCHES:
            raise ConfigError(
                "no such sketch", self.sketch, f"Use {' or '.join(_SKETCHES)}.", "sketch"
            )
        known.check_params(self.params)
        for metric in self.metrics:
            check_metric(metric, self.objective)

    @property
    def form(self) -> str:
        """The model's file."""
        return "model.ubj"

    @property
    def packages(self) -> Sequence[str]:
        """None beyond those of every run."""
        return ()

    @property
    def takes(self) -> Takes:
        """Everything."""
        return Takes()

    @property
    def objective(self) -> Objective:
        """What is learned."""
        return objective_named(self.params.get("objective", known.DEFAULT_OBJECTIVE))

    @property
    def task(self) -> Task:
        """The kind of problem."""
        return self.objective.task

    @property
    def metrics(self) -> Sequence[str]:
        """What is evaluated after each round."""
        given = self.params.get("eval_metric", self.objective.metric)
        return list(given) if isinstance(given, list | tuple) else [given]

    def check(self) -> None:
        """Grows one tree on rows of its own, so that XGBoost itself judges the parameters.

        Raises:
            ConfigError: it refuses them.
        """
        from raypipe.training.tree_session import rehearse

        rehearse(self)

    def check_labels(self, labels: Labels) -> None:
        """Refuses labels that the objective cannot learn.

        Raises:
            RecipeError: one is out of range of the objective or of a metric, is not a whole number
                where it must be, or a class has no row.
        """
        check_labels(self.objective, labels, self.params.get("num_class"))
        judged = [*self.metrics, *(["ndcg"] if self.objective.name == "rank:ndcg" else [])]
        steep = str(self.params.get("ndcg_exp_gain", True)).lower() not in {"false", "0"}
        check_metric_labels(judged, labels, steep)

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
        from raypipe.training.tree_session import TreeSession

        return TreeSession.of(self, train, valid, build)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as manifests keep it."""
        rate = self.learning_rate
        out: dict[str, Any] = {
            "name": "xgboost",
            "rounds": self.rounds,
            "max_depth": self.max_depth,
            "learning_rate": rate.to_dict() if isinstance(rate, Schedule) else rate,
            "max_bin": self.max_bin,
            "params": dict(self.params),
        }
        if self.monotone:
            out["monotone"] = dict(self.monotone)
        if self.interactions:
            out["interactions"] = [list(group) for group in self.interactions]
        if self.categorical:
            out["categorical"] = list(self.categorical)
        if self.sketch == "raypipe":  # what was written before there was a choice is XGBoost's
            out["sketch"] = self.sketch
        return out | ({"device": self.device} if self.device != _DEVICES[0] else {})

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> XGBoost:
        """The learner that a manifest names.

        Raises:
            ConfigError: it names another learner.
        """
        if data.get("name") != "xgboost":
            raise ConfigError("unknown learner", data.get("name"), "This release has 'xgboost'.")
        values = {"sketch": "xgboost", **data}
        values.pop("name")
        if isinstance(values.get("learning_rate"), Mapping):
            values["learning_rate"] = Schedule.from_dict(values["learning_rate"])
        return cls(**values)

    def own_bins(self, *, weighted: bool, categories: bool) -> bool:
        """Whether raypipe seeks the bins, and not XGBoost.

        Args:
            weighted: whether rows have weights.
            categories: whether the recipe marks features as codes of categories.
        """
        plain = not (weighted or categories or self.categorical)
        fits = self.device == "cpu" and self.max_bin <= MOST_BINS
        return self.sketch == "raypipe" and plain and fits

    def booster_params(
        self,
        *,
        seed: int,
        threads: int,
        features: Sequence[str] = (),
        classes: int | None = None,
    ) -> dict[str, Any]:
        """The parameters as ``xgboost.Booster`` takes them.

        Args:
            seed: of what is sampled.
            threads: of this process.
            features: the features in order, for constraints by name.
            classes: how many classes there are, where the parameters do not say.
        """
        rate = self.learning_rate
        out: dict[str, Any] = {
            "objective": self.objective.name,
            "tree_method": "hist",
            "max_depth": self.max_depth,
            "learning_rate": rate.at(0, self.rounds) if isinstance(rate, Schedule) else rate,
            "max_bin": self.max_bin,
            **{name: value for name, value in self.params.items() if name != "eval_metric"},
            "eval_metric": list(self.metrics),
            "seed": seed,
            "seed_per_iteration": True,
            "nthread": threads,
        }
        if self.device != _DEVICES[0]:
            out["device"] = self.device
        if self.task == "multiclass" and classes is not None:
            out.setdefault("num_class", classes)
        place = {name: number for number, name in enumerate(features)}
        if self.monotone and features:
            out["monotone_constraints"] = tuple(self.monotone.get(name, 0) for name in features)
        if self.interactions and features:
            groups = [[place[name] for name in group] for group in self.interactions]
            out["interaction_constraints"] = json.dumps(groups)
        return out
