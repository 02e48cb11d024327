"""A small model trained in process on generated rows: real parts, a fraction of a second."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import xgboost

import raypipe as rp
from raypipe.models import ModelBundle, metrics


def rows(n: int = 400, seed: int = 0, shift: float = 0.0, noise: float = 1.0) -> pl.DataFrame:
    """Rows with a label that depends on ``x`` and ``color``; some ``y`` are null."""
    rng = np.random.default_rng(seed)
    x = rng.normal(shift, 1.0, n)
    color = rng.choice(["red", "green", "blue"], n)
    y = rng.normal(0.0, 1.0, n)
    late = x + (color == "red") + noise * rng.normal(0.0, 1.0, n) > 0.5
    return pl.DataFrame({"x": x, "y": y, "color": color, "late": late}).with_columns(
        y=pl.when(pl.col("y") > -1.5).then("y")
    )


def recipe() -> rp.Recipe:
    t = rp.transforms
    return rp.Recipe(t.select("x"), t.impute("y"), t.one_hot("color"))


@dataclass
class SmallRun:
    """What ``Registry.register`` takes, without Ray."""

    id: str
    bundle: ModelBundle
    valid: pl.DataFrame | None

    @property
    def metrics(self) -> dict[str, float | None]:
        return dict(self.bundle.manifest["metrics"])


def train(data: pl.DataFrame, valid: pl.DataFrame | None = None, rounds: int = 8) -> SmallRun:
    """A run on the rows; its id follows from them."""
    fitted = recipe().fit(data, label="late")
    features = fitted.transform(data).to_numpy()
    labels = fitted.labels(data).to_numpy()
    matrix = xgboost.DMatrix(features, label=labels, feature_names=list(fitted.feature_names))
    params = {"objective": "binary:logistic", "max_depth": 3, "nthread": 1, "seed": 1}
    model = bytes(xgboost.train(params, matrix, num_boost_round=rounds).save_raw("ubj"))
    manifest = {"label_mean": float(labels.mean()), "rows": len(data), "metrics": {}}
    bundle = ModelBundle(model, fitted, manifest)
    if valid is not None:
        truth = fitted.labels(valid).to_numpy()
        manifest["metrics"] = metrics.evaluate(truth, bundle.predict(valid))
        bundle = ModelBundle(model, fitted, manifest)
    return SmallRun(id=f"run-{bundle.content_hash[:12]}", bundle=bundle, valid=valid)
