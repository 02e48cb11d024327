"""One loop from raw data to a watched, retrained model, on Ray and Delta tables.

Importing this package loads no engine: each public name is imported from its home when it is
first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from raypipe.core import errors
    from raypipe.core.errors import RaypipeError
    from raypipe.features import (
        FeatureTable,
        FittedRecipe,
        Recipe,
        find_leaks,
        point_in_time,
        transforms,
    )
    from raypipe.lake import Column, Commit, Lake, Snapshot, Table, expect, masks
    from raypipe.models import evaluation, metrics, trust
    from raypipe.monitoring import Alert, Monitor
    from raypipe.registry import Gate, ModelVersion, Registry
    from raypipe.retraining import Retrain, reproduce
    from raypipe.serving import Service
    from raypipe.training import (
        Backtest,
        EarlyStopping,
        LightGBM,
        Run,
        Runs,
        Schedule,
        Sklearn,
        Trainer,
        TrainLoop,
        XGBoost,
        backtest,
    )
    from raypipe.training.tuning import Tuner, TuneResult

__version__ = "0.1.0"

__all__ = [
    "Alert",
    "Backtest",
    "Column",
    "Commit",
    "EarlyStopping",
    "FeatureTable",
    "FittedRecipe",
    "Gate",
    "Lake",
    "LightGBM",
    "ModelVersion",
    "Monitor",
    "RaypipeError",
    "Recipe",
    "Registry",
    "Retrain",
    "Run",
    "Runs",
    "Schedule",
    "Service",
    "Sklearn",
    "Snapshot",
    "Table",
    "TrainLoop",
    "Trainer",
    "TuneResult",
    "Tuner",
    "XGBoost",
    "backtest",
    "errors",
    "evaluation",
    "expect",
    "find_leaks",
    "masks",
    "metrics",
    "point_in_time",
    "reproduce",
    "transforms",
    "trust",
]

_MODULES = {
    "errors": "raypipe.core.errors",
    "evaluation": "raypipe.models.evaluation",
    "expect": "raypipe.lake.quality.expect",
    "masks": "raypipe.lake.quality.masks",
    "metrics": "raypipe.models.metrics",
    "transforms": "raypipe.features.transforms",
}
_HOMES = {
    "Alert": "raypipe.monitoring",
    "Backtest": "raypipe.training",
    "Column": "raypipe.lake",
    "Commit": "raypipe.lake",
    "EarlyStopping": "raypipe.training",
    "FeatureTable": "raypipe.features",
    "FittedRecipe": "raypipe.features",
    "Gate": "raypipe.registry",
    "Lake": "raypipe.lake",
    "ModelVersion": "raypipe.registry",
    "LightGBM": "raypipe.training",
    "Monitor": "raypipe.monitoring",
    "RaypipeError": "raypipe.core.errors",
    "Recipe": "raypipe.features",
    "Registry": "raypipe.registry",
    "Retrain": "raypipe.retraining",
    "Run": "raypipe.training",
    "Runs": "raypipe.training",
    "Schedule": "raypipe.training",
    "Service": "raypipe.serving",
    "Sklearn": "raypipe.training",
    "Snapshot": "raypipe.lake",
    "Table": "raypipe.lake",
    "TrainLoop": "raypipe.training",
    "Trainer": "raypipe.training",
    "TuneResult": "raypipe.training.tuning",
    "Tuner": "raypipe.training.tuning",
    "XGBoost": "raypipe.training",
    "backtest": "raypipe.training",
    "find_leaks": "raypipe.features",
    "point_in_time": "raypipe.features",
    "reproduce": "raypipe.retraining",
    "trust": "raypipe.models",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value: Any = import_module(_MODULES[name])
    elif name in _HOMES:
        value = getattr(import_module(_HOMES[name]), name)
    else:
        raise import_module("raypipe.core.near").no_attribute(__name__, name, __all__)
    globals()[name] = value  # the next use does not come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
