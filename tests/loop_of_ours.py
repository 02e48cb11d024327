"""A training loop by hand, as a user writes one: logistic regression by gradient steps."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import ray.train
from xgboost import collective


def fit(config: dict[str, Any]) -> None:
    """Gradients of all workers are added by XGBoost's collective; each round is reported."""
    rows = ray.train.get_dataset_shard("train").materialize()
    rank = ray.train.get_context().get_world_rank()
    weights, begin = np.zeros(len(rows.features) + 1), 0
    if before := ray.train.get_checkpoint():
        with before.as_directory() as folder:
            kept = json.loads(Path(folder, "model.json").read_text())
        weights, begin = np.array(kept["weights"]), kept["rounds"]
    for number in range(begin, config["rounds"]):
        if number == config.get("killed_in") and rank == 1:
            kill_once(config["marker"])
        time.sleep(config.get("pause", 0.0))
        step = np.zeros(len(weights) + 2)
        for batch in rows.iter_batches(batch_size=100):
            x = np.column_stack([batch["features"], np.ones(len(batch["label"]))])
            p = 1 / (1 + np.exp(-x @ weights))
            step[:-2] += x.T @ (p - batch["label"])
            step[-2] -= np.log(np.where(batch["label"] == 1, p, 1 - p)).sum()
            step[-1] += len(p)
        step = collective.allreduce(step, collective.Op.SUM)
        weights = weights - config["rate"] * step[:-2] / step[-1]
        with tempfile.TemporaryDirectory() as folder:
            kept = {"weights": weights.tolist(), "rounds": number + 1}
            if rank == 0:
                Path(folder, "model.json").write_text(json.dumps(kept))
            ray.train.report(
                {"logloss": step[-2] / step[-1], "rows": step[-1], "note": "no figure"},
                checkpoint=ray.train.Checkpoint.from_directory(folder),
            )


def kill_once(marker: str) -> None:
    """Kills this process, unless that was done before."""
    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def load(folder: str) -> Any:
    """The weights."""
    return np.array(json.loads(Path(folder, "model.json").read_text())["weights"])


def predict(weights: Any, rows: Any) -> Any:
    """The probability of 1, by sums that are the same for a row alone and among others."""
    total = np.full(len(rows), weights[-1])
    for column, weight in zip(rows.T, weights[:-1], strict=True):
        total += weight * column
    return 1 / (1 + np.exp(-total))


def boost(config: dict[str, Any]) -> None:
    """XGBoost by hand, each worker with its own rows."""
    import xgboost

    train = ray.train.get_dataset_shard("train").to_numpy()
    valid = ray.train.get_dataset_shard("valid").to_numpy()
    rows = xgboost.QuantileDMatrix(train["features"], train["label"])
    other = xgboost.QuantileDMatrix(valid["features"], valid["label"], ref=rows)
    seen: dict[str, Any] = {}
    params = {"objective": "binary:logistic", "seed": config["seed"], "nthread": 1}
    booster = xgboost.train(params, rows, config["rounds"], [(other, "valid")], evals_result=seen)
    with tempfile.TemporaryDirectory() as folder:
        if ray.train.get_context().get_world_rank() == 0:
            booster.save_model(Path(folder, "model.ubj"))
        figures = {"valid_logloss": seen["valid"]["logloss"][-1], "valid_rows": len(valid["label"])}
        ray.train.report(figures, checkpoint=ray.train.Checkpoint.from_directory(folder))


def load_booster(folder: str) -> Any:
    """The booster."""
    import xgboost

    return xgboost.Booster(model_file=Path(folder, "model.ubj"))


def predict_booster(booster: Any, rows: Any) -> Any:
    """Its probabilities."""
    return booster.inplace_predict(rows)


def without_checkpoint() -> None:
    """Reports figures only."""
    ray.train.report({"figure": 1.0})


def shows_rows(config: dict[str, Any]) -> None:
    """Writes down what each worker got: the model is the rows."""
    context = ray.train.get_context()
    with tempfile.TemporaryDirectory() as folder:
        shard = ray.train.get_dataset_shard("train")
        frames = shard.iter_batches(batch_size=config["size"], batch_format="polars")
        for number, frame in enumerate(frames):
            frame.write_parquet(Path(folder, f"{context.get_world_rank()}-{number:03}.parquet"))
        ray.train.report({}, checkpoint=ray.train.Checkpoint.from_directory(folder))
