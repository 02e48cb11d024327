"""The estimators of scikit-learn that can be trained here."""

from __future__ import annotations

from functools import cache
from importlib import import_module

ESTIMATORS: dict[str, str] = {
    "DecisionTreeClassifier": "sklearn.tree",
    "DecisionTreeRegressor": "sklearn.tree",
    "ElasticNet": "sklearn.linear_model",
    "ExtraTreesClassifier": "sklearn.ensemble",
    "ExtraTreesRegressor": "sklearn.ensemble",
    "GammaRegressor": "sklearn.linear_model",
    "GradientBoostingClassifier": "sklearn.ensemble",
    "GradientBoostingRegressor": "sklearn.ensemble",
    "HistGradientBoostingClassifier": "sklearn.ensemble",
    "HistGradientBoostingRegressor": "sklearn.ensemble",
    "Lasso": "sklearn.linear_model",
    "LinearRegression": "sklearn.linear_model",
    "LogisticRegression": "sklearn.linear_model",
    "PoissonRegressor": "sklearn.linear_model",
    "RandomForestClassifier": "sklearn.ensemble",
    "RandomForestRegressor": "sklearn.ensemble",
    "Ridge": "sklearn.linear_model",
}
"""By name: where it is. Of these it is tested that equal rows give equal bytes and scores."""


def parameters_of(estimator: str) -> frozenset[str] | None:
    """The names of an estimator's parameters; None where scikit-learn is not installed."""
    try:
        return _parameters(estimator)
    except ImportError:
        return None


@cache
def _parameters(estimator: str) -> frozenset[str]:
    made = getattr(import_module(ESTIMATORS[estimator]), estimator)()
    return frozenset(made.get_params())
