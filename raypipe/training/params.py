"""XGBoost's parameters by name: those that it knows, and those that are not the user's to set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.errors import ConfigError
from raypipe.core.settings import check_json
from raypipe.training.objectives import nearest, objective_named

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT_OBJECTIVE = "binary:logistic"
_ALWAYS = "It is always on, so that a resumed run grows the same trees."
_RESERVED = {
    "seed": "Use Trainer(seed=).",
    "random_state": "Use Trainer(seed=).",
    "nthread": "Use Trainer(cpus_per_worker=).",
    "n_jobs": "Use Trainer(cpus_per_worker=).",
    "seed_per_iteration": _ALWAYS,
    "validate_parameters": "Names are always checked.",
    "device": "Use XGBoost(device=).",
    "learning_rate": "Use XGBoost(learning_rate=).",
    "eta": "Use XGBoost(learning_rate=).",
    "max_depth": "Use XGBoost(max_depth=).",
    "max_bin": "Use XGBoost(max_bin=).",
    "monotone_constraints": "Use XGBoost(monotone=), which takes names of features.",
    "interaction_constraints": "Use XGBoost(interactions=), which takes names of features.",
    "updater": "It follows from tree_method.",
    "process_type": "A run grows trees; it does not change those of another.",
    "disable_default_eval_metric": "Name the metrics in eval_metric.",
}
_KNOWN = frozenset(
    {
        "alpha",
        "base_score",
        "booster",
        "colsample_bylevel",
        "colsample_bynode",
        "colsample_bytree",
        "eval_metric",
        "gamma",
        "grow_policy",
        "huber_slope",
        "lambda",
        "lambdarank_bias_norm",
        "lambdarank_normalization",
        "lambdarank_num_pair_per_sample",
        "lambdarank_pair_method",
        "lambdarank_score_normalization",
        "lambdarank_unbiased",
        "max_cached_hist_node",
        "max_cat_threshold",
        "max_cat_to_onehot",
        "max_delta_step",
        "max_leaves",
        "min_child_weight",
        "min_split_loss",
        "multi_strategy",
        "ndcg_exp_gain",
        "normalize_type",
        "num_class",
        "num_parallel_tree",
        "objective",
        "one_drop",
        "quantile_alpha",
        "rate_drop",
        "reg_alpha",
        "reg_lambda",
        "sample_type",
        "sampling_method",
        "scale_pos_weight",
        "skip_drop",
        "sparse_threshold",
        "subsample",
        "tree_method",
        "tweedie_variance_power",
        "verbosity",
    }
)
ELSEWHERE = {
    "n_estimators": "Use rounds=.",
    "num_boost_round": "Use rounds=.",
    "early_stopping_rounds": "Use Trainer(early_stopping=rp.EarlyStopping(patience=…)).",
    "num_workers": "Use Trainer(num_workers=).",
}
"""What other interfaces of the libraries call things: where they are here."""
_ONLY = {"tree_method": ("hist",), "booster": ("gbtree", "dart")}
_SAMPLED = frozenset(
    {
        "subsample",
        "sampling_method",
        "colsample_bytree",
        "colsample_bylevel",
        "colsample_bynode",
        "num_parallel_tree",
    }
)


def check_params(params: Mapping[str, Any]) -> None:
    """Refuses what XGBoost would pass over in silence, and what raypipe sets itself.

    Raises:
        ConfigError: a parameter is unknown (the nearest is named), is set by raypipe, or has a
            value that training in parts cannot have.
    """
    for name, value in params.items():
        if name in _RESERVED:
            raise ConfigError(f"raypipe sets {name} itself", value, _RESERVED[name], name)
        if name not in _KNOWN:
            act = ELSEWHERE.get(name) or nearest(name, {*_KNOWN, *_RESERVED})
            raise ConfigError("XGBoost has no such parameter", name, act, name)
        check_json(name, value)
        if name in _ONLY and value not in _ONLY[name]:
            raise ConfigError(
                f"{name} cannot be this", value, f"Use {' or '.join(_ONLY[name])}.", name
            )

    _check_together(params)


def _check_together(params: Mapping[str, Any]) -> None:
    if params.get("eval_metric", True) in ([], (), ""):
        raise ConfigError(
            "eval_metric names no metric", params["eval_metric"], "Leave it out.", "eval_metric"
        )
    objective = objective_named(params.get("objective", DEFAULT_OBJECTIVE))
    if "num_class" in params and objective.task != "multiclass":
        raise ConfigError(
            f"num_class does not suit {objective.name}",
            params["num_class"],
            "Leave it out, or learn several classes by multi:softprob.",
            "num_class",
        )


def place_of(name: str) -> str | None:
    """What to do about a parameter that was given as a setting of the learner."""
    if name in _KNOWN:
        return f'Write params={{"{name}": …}}.'
    return _RESERVED.get(name) or ELSEWHERE.get(name)


def samples(params: Mapping[str, Any]) -> bool:
    """Whether rounds draw rows, columns or trees, and so depend on XGBoost's random state."""
    return params.get("booster") == "dart" or not _SAMPLED.isdisjoint(params)
