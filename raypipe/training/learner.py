"""What is learned: XGBoost's settings as one checked value."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

# set by raypipe: a user's value would break resuming to the same bytes or the worker's seat
_RESERVED = {
    "seed": "Use Trainer(seed=).",
    "random_state": "Use Trainer(seed=).",
    "nthread": "Use Trainer(cpus_per_worker=).",
    "n_jobs": "Use Trainer(cpus_per_worker=).",
    "seed_per_iteration": "It is always on, so that a resumed run grows the same trees.",
    "device": "Training on a GPU is not supported yet.",
}
_OBJECTIVES = ("binary:logistic",)


@dataclass(frozen=True, kw_only=True, slots=True)
class XGBoost:
    """Gradient-boosted trees by the ``hist`` method, for a binary label.

    Attributes:
        rounds: trees to grow.
        max_depth: depth of a tree.
        learning_rate: shrinkage of each tree.
        max_bin: histogram bins a feature.
        params: further XGBoost parameters, by XGBoost's own names (``subsample``,
            ``colsample_bytree``, ``reg_lambda``, ...).

    Raises:
        ConfigError: a value is out of its range, or a parameter is one that raypipe sets itself.
    """

    rounds: int = 200
    max_depth: int = 6
    learning_rate: float = 0.1
    max_bin: int = 256
    params: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, low in (("rounds", 1), ("max_depth", 1), ("max_bin", 2)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < low:
                raise ConfigError(f"{name} must be a whole number >= {low}", value, field=name)
        if not 0.0 < self.learning_rate <= 1.0:
            raise ConfigError(
                "learning_rate must be in (0, 1]", self.learning_rate, field="learning_rate"
            )
        for name, act in _RESERVED.items():
            if name in self.params:
                raise ConfigError(f"raypipe sets {name} itself", self.params[name], act, name)
        objective = self.params.get("objective", _OBJECTIVES[0])
        if objective not in _OBJECTIVES:
            raise ConfigError(
                "unsupported objective", objective, f"Use {_OBJECTIVES[0]}.", "objective"
            )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON, as manifests keep it."""
        return {
            "name": "xgboost",
            "rounds": self.rounds,
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "max_bin": self.max_bin,
            "params": dict(self.params),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> XGBoost:
        """The learner that a manifest names.

        Raises:
            ConfigError: it names another learner.
        """
        if data.get("name") != "xgboost":
            raise ConfigError("unknown learner", data.get("name"), "This release has 'xgboost'.")
        return cls(**{key: value for key, value in data.items() if key != "name"})

    def booster_params(self, *, seed: int, threads: int) -> dict[str, Any]:
        """The parameters for ``xgboost.train``."""
        return {
            "objective": _OBJECTIVES[0],
            "tree_method": "hist",
            "eval_metric": "logloss",
            "max_depth": self.max_depth,
            "learning_rate": self.learning_rate,
            "max_bin": self.max_bin,
            **self.params,
            "seed": seed,
            "seed_per_iteration": True,
            "nthread": threads,
        }
