"""scikit-learn's estimators as one checked value; needs ``raypipe[sklearn]``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError, RecipeError
from raypipe.core.settings import check_json, check_mapping, checked_arguments
from raypipe.training.estimator_names import ESTIMATORS, parameters_of
from raypipe.training.fitness import check_labels
from raypipe.training.objectives import TASK_LABELS, Objective, Task, nearest
from raypipe.training.takes import Takes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Session
    from raypipe.training.survey import Labels

_OURS = {
    "random_state": "Use Trainer(seed=).",
    "n_jobs": "Use Trainer(cpus_per_worker=).",
    "warm_start": "Each fit is of its own.",
    "verbose": "What is told of a run is in Runs.",
}
_METRICS: dict[Task, str] = {"binary": "logloss", "multiclass": "mlogloss", "regression": "rmse"}


def _place_of(name: str) -> str:
    return _OURS.get(name) or f'Write params={{"{name}": …}}.'


@checked_arguments(_place_of)
@dataclass(frozen=True, kw_only=True, slots=True)
class Sklearn:
    """An estimator of scikit-learn, fitted at once on the recipe's features.

    It trains in one process (``num_workers=1``), with all features in its memory. A fit that was
    killed begins again. The model is stored by skops, which builds trusted classes only.

    Attributes:
        estimator: its name, such as ``"HistGradientBoostingClassifier"``; ``ESTIMATORS`` has all.
        classes: of a classifier: 2, or how many more there are, numbered from 0.
        params: its parameters, by scikit-learn's own names; plain JSON.

    Raises:
        ConfigError: there is no such estimator or parameter, or raypipe sets it itself. Parameters
            are held against the scikit-learn that is installed; where none is, a fit says so.
    """

    estimator: str
    classes: int = 2
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.estimator, str) or self.estimator not in ESTIMATORS:
            raise ConfigError(
                "unsupported estimator",
                self.estimator,
                nearest(str(self.estimator), ESTIMATORS),
                "estimator",
            )
        if not isinstance(self.classes, int) or isinstance(self.classes, bool) or self.classes < 2:
            raise ConfigError("classes must be a whole number >= 2", self.classes, field="classes")
        check_mapping("params", self.params)
        for name, value in self.params.items():
            if name in _OURS:
                raise ConfigError(f"raypipe sets {name} itself", value, _OURS[name], name)
            check_json(name, value)
        self._check_names()

    def _check_names(self) -> None:
        if not self.params:  # what is imported to know the names is worth it only for some
            return
        known = parameters_of(self.estimator)
        unknown = [] if known is None else [name for name in self.params if name not in known]
        if unknown:
            what, act = f"{self.estimator} has no such parameter", nearest(unknown[0], known or ())
            raise ConfigError(what, unknown[0], act, unknown[0])

    @property
    def form(self) -> str:
        """The model's file."""
        return "model.skops"

    @property
    def packages(self) -> Sequence[str]:
        """Those of scikit-learn."""
        return ("scikit-learn", "scipy", "skops")

    @property
    def takes(self) -> Takes:
        """Neither several ranks nor a margin nor early stopping."""
        return Takes(ranks=False, margin=False, rounds=False)

    @property
    def rounds(self) -> int:
        """One: it is fitted at once."""
        return 1

    @property
    def task(self) -> Task:
        """The kind of problem."""
        if self.estimator == "LogisticRegression" or self.estimator.endswith("Classifier"):
            return "binary" if self.classes == 2 else "multiclass"
        return "regression"

    @property
    def metrics(self) -> Sequence[str]:
        """What is evaluated after the fit."""
        return (_METRICS[self.task],)

    def check(self) -> None:
        """Fits on rows of its own, so that scikit-learn itself judges the parameters.

        Raises:
            ConfigError: it refuses them.
            MissingPartError: scikit-learn or skops is not installed.
        """
        from raypipe.training.estimator_session import rehearse

        rehearse(self)

    def check_labels(self, labels: Labels) -> None:
        """Refuses labels that the estimator cannot learn.

        Raises:
            RecipeError: one is out of range, or is not a whole number where it must be, or a
                class has no row.
        """
        objective = Objective(self.estimator, self.task, self.metrics[0], **TASK_LABELS[self.task])
        if self.task != "multiclass":
            return check_labels(objective, labels)
        check_labels(objective, labels, self.classes)
        absent = [number for number in range(self.classes) if number not in labels.values]
        if absent:  # the estimator would leave its column out
            raise RecipeError(
                f"the label {labels.name!r} has no row of a class",
                f"class {absent[0]} of {self.classes}",
                "Number the classes from 0 without gaps, and give classes= as many as there are.",
                labels.name,
            )
        return None

    def check_features(self, features: Sequence[str]) -> None:
        """No setting names a feature."""

    def build(self, train: Feed, valid: Feed | None, build: Build) -> Session:
        """The estimator with its rows read."""
        from raypipe.training.estimator_session import EstimatorSession

        return EstimatorSession(self, train, valid, build)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as manifests keep it."""
        return {
            "name": "sklearn",
            "estimator": self.estimator,
            "classes": self.classes,
            "params": dict(self.params),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Sklearn:
        """The learner that a manifest names.

        Raises:
            ConfigError: it names another learner, or as for the class.
        """
        if data.get("name") != "sklearn":
            raise ConfigError("these are not scikit-learn's settings", data.get("name"))
        return cls(**{key: value for key, value in data.items() if key != "name"})
