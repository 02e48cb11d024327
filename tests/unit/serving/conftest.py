"""A small real model for the tests of serving: two raw inputs matter, one is null at times."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from raypipe.features import Recipe, transforms
from raypipe.lake import Lake
from raypipe.models import ModelBundle
from raypipe.registry import ModelVersion, Registry

MODEL = "delays"


@dataclass(frozen=True)
class SmallRun:
    id: str
    bundle: ModelBundle
    valid: None = None


def raw_frame(rows: int = 500, seed: int = 1) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    temp = rng.normal(60, 15, rows)
    return pl.DataFrame(
        {
            "origin": rng.choice(["JFK", "EWR", "LGA"], rows),
            "distance": rng.integers(100, 5000, rows),
            "temp": [None if t > 85 else float(t) for t in temp],
            "time_hour": [datetime(2013, 1, 1) + timedelta(hours=int(h)) for h in range(rows)],
            "arr_delay": rng.normal(10, 30, rows) + (temp < 45) * 30,
        }
    )


@functools.cache
def train(rounds: int, seed: int = 1) -> ModelBundle:
    import xgboost

    frame = raw_frame(seed=seed)
    recipe = Recipe(
        transforms.derive(late=pl.col("arr_delay") > 15),
        transforms.select("distance"),
        transforms.date_parts("time_hour", ["month", "hour"]),
        transforms.impute("temp"),
        transforms.one_hot("origin"),
    ).fit(frame, label="late")
    matrix = xgboost.DMatrix(recipe.transform(frame).to_numpy(), recipe.labels(frame).to_numpy())
    booster = xgboost.train(
        {"objective": "binary:logistic", "max_depth": 3, "seed": seed, "nthread": 1},
        matrix,
        rounds,
    )
    model = bytes(booster.save_raw("ubj"))
    return ModelBundle(model=model, recipe=recipe, manifest={"label_mean": 0.5})


@functools.cache
def other_inputs() -> ModelBundle:
    """A model that wants a column which the others do not."""
    import xgboost

    frame = raw_frame().with_columns(wind=pl.col("distance") * 0.1)
    recipe = Recipe(
        transforms.derive(late=pl.col("arr_delay") > 15), transforms.select("distance", "wind")
    ).fit(frame, label="late")
    matrix = xgboost.DMatrix(recipe.transform(frame).to_numpy(), recipe.labels(frame).to_numpy())
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, matrix, 2)
    model = bytes(booster.save_raw("ubj"))
    return ModelBundle(model=model, recipe=recipe, manifest={"label_mean": 0.5})


def register(registry: Registry, rounds: int) -> ModelVersion:
    return registry.register(MODEL, SmallRun(id=f"run-{rounds}", bundle=train(rounds)))


def request_rows(count: int, seed: int = 2) -> list[dict[str, Any]]:
    return raw_frame(count, seed).drop("arr_delay").to_dicts()


def two_versions(root: str) -> tuple[Lake, Registry]:
    """A lake with two versions of the model, the first in service."""
    lake = Lake(root)
    registry = Registry(lake)
    register(registry, 5).promote()
    register(registry, 8)
    return lake, registry


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """What tests need to make models and requests of their own."""
    return SimpleNamespace(
        model=MODEL,
        train=train,
        other_inputs=other_inputs,
        register=register,
        rows=request_rows,
        two_versions=two_versions,
        run=SmallRun,
    )


@pytest.fixture
def small(lake_root: str) -> tuple[Lake, Registry]:
    return two_versions(lake_root)
