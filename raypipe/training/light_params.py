"""What LightGBM can be asked to learn here, and which of its parameters are the user's to set.

A parameter is left out where a run that is killed and goes on would not end in the same bytes, or
where they would depend on the threads (measured with LightGBM 4.7: dart, random forests, gradient-
based sampling, quantized gradients, linear trees).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.settings import check_json
from raypipe.training.objectives import Objective, Task, nearest
from raypipe.training.params import ELSEWHERE

if TYPE_CHECKING:
    from collections.abc import Mapping

_COUNTS: dict[str, Any] = {"labels": "0 or more", "low": 0.0}
OBJECTIVES: dict[str, Objective] = {
    one.name: one
    for one in (
        Objective(
            "binary", "binary", "logloss", labels="0, 1 or null", low=0.0, high=1.0, whole=True
        ),
        Objective(
            "multiclass",
            "multiclass",
            "mlogloss",
            labels="a class: 0, 1, 2 and so on",
            low=0.0,
            whole=True,
        ),
        Objective("regression", "regression", "rmse"),
        Objective("regression_l1", "regression", "mae"),
        Objective("huber", "regression", "rmse"),
        Objective("quantile", "regression", "mae"),
        Objective("mape", "regression", "mape"),
        Objective("poisson", "regression", "rmse", **_COUNTS),
        Objective("tweedie", "regression", "rmse", **_COUNTS),
        Objective("gamma", "regression", "rmse", labels="above 0", low=0.0, above=True),
        Objective(
            "lambdarank",
            "ranking",
            "ndcg@10",
            labels="a whole number of 0 to 30",
            low=0.0,
            high=30.0,
            whole=True,
        ),
    )
}
METRICS: dict[Task, dict[str, str]] = {
    "binary": {
        "logloss": "binary_logloss",
        "error": "binary_error",
        "auc": "auc",
        "aucpr": "average_precision",
    },
    "multiclass": {"mlogloss": "multi_logloss", "merror": "multi_error"},
    "regression": {"rmse": "rmse", "mae": "l1", "mape": "mape"},
    "ranking": {"ndcg@10": "ndcg", "map@10": "map"},
}
"""By kind of problem and the name that all learners have: LightGBM's name."""

AT = 10  # of ndcg and map
_KNOWN = frozenset(
    {
        "alpha",
        "bagging_fraction",
        "boost_from_average",
        "bin_construct_sample_cnt",
        "cat_l2",
        "cat_smooth",
        "extra_trees",
        "fair_c",
        "feature_fraction",
        "feature_fraction_bynode",
        "is_unbalance",
        "lambda_l1",
        "lambda_l2",
        "lambdarank_norm",
        "lambdarank_truncation_level",
        "label_gain",
        "max_cat_threshold",
        "max_cat_to_onehot",
        "max_delta_step",
        "min_data_in_bin",
        "min_data_in_leaf",
        "min_data_per_group",
        "min_gain_to_split",
        "min_sum_hessian_in_leaf",
        "monotone_constraints_method",
        "monotone_penalty",
        "neg_bagging_fraction",
        "path_smooth",
        "poisson_max_delta_step",
        "pos_bagging_fraction",
        "reg_sqrt",
        "scale_pos_weight",
        "sigmoid",
        "tweedie_variance_power",
        "zero_as_missing",
    }
)
_NOT_TWICE = "A run with it could not go on to the same bytes."
_RESERVED = {
    "objective": "Use LightGBM(objective=).",
    "metric": "Use LightGBM(metrics=).",
    "num_leaves": "Use LightGBM(num_leaves=).",
    "max_depth": "Use LightGBM(max_depth=).",
    "learning_rate": "Use LightGBM(learning_rate=).",
    "max_bin": "Use LightGBM(max_bin=).",
    "num_class": "It comes from the labels.",
    "seed": "Use Trainer(seed=).",
    "bagging_seed": "Use Trainer(seed=).",
    "feature_fraction_seed": "Use Trainer(seed=).",
    "random_state": "Use Trainer(seed=).",
    "num_threads": "Use Trainer(cpus_per_worker=).",
    "nthread": "Use Trainer(cpus_per_worker=).",
    "n_jobs": "Use Trainer(cpus_per_worker=).",
    "verbosity": "What is told of a run is in Runs.",
    "verbose": "What is told of a run is in Runs.",
    "num_iterations": "Use LightGBM(rounds=).",
    "monotone_constraints": "Use LightGBM(monotone=), which takes names of features.",
    "interaction_constraints": "Use LightGBM(interactions=), which takes names of features.",
    "categorical_feature": "Use LightGBM(categorical=), which takes names of features.",
    "bagging_freq": "Rows are drawn for each round as soon as a fraction is given.",
    "deterministic": "It is always on.",
    "early_stopping_round": "Use Trainer(early_stopping=).",
    "boosting": _NOT_TWICE,
    "data_sample_strategy": _NOT_TWICE,
    "use_quantized_grad": _NOT_TWICE,
    "linear_tree": _NOT_TWICE,
}
_BAGGING = ("bagging_fraction", "pos_bagging_fraction", "neg_bagging_fraction")


def draws_rows(params: Mapping[str, Any]) -> bool:
    """Whether rounds draw rows."""
    return not set(_BAGGING).isdisjoint(params)


def place_of(name: str) -> str | None:
    """What to do about a parameter that was given as a setting of the learner."""
    if name in _KNOWN:
        return f'Write params={{"{name}": …}}.'
    return _RESERVED.get(name) or ELSEWHERE.get(name)


def check_params(params: Mapping[str, Any]) -> None:
    """Refuses what LightGBM would pass over in silence, and what raypipe sets itself.

    Raises:
        ConfigError: a parameter is unknown (the nearest is named), or not the user's to set.
    """
    for name, value in params.items():
        if name in _RESERVED:
            raise ConfigError(f"{name} cannot be set in params", value, _RESERVED[name], name)
        if name not in _KNOWN:
            raise ConfigError(
                "LightGBM has no such parameter here",
                name,
                ELSEWHERE.get(name) or nearest(name, {*_KNOWN, *_RESERVED}),
                name,
            )
        check_json(name, value)
