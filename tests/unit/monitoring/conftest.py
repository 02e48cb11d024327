"""A training profile, and weeks of rows drawn as it was."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pytest

from raypipe.features.profile import ColumnProfile, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

ORIGIN = datetime(2013, 4, 1)


@pytest.fixture(scope="session")
def profile() -> Profile:
    rng = np.random.default_rng(7)
    temp = rng.normal(10, 5, 20_000)
    edges = tuple(np.quantile(temp, np.arange(1, 10) / 10).tolist())
    bins = np.bincount(np.searchsorted(edges, temp, side="right"), minlength=10)
    columns = [
        ColumnProfile(
            name="temp", kind="numeric", edges=edges, counts=tuple(bins.tolist()), nulls=200
        ),
        ColumnProfile(
            name="origin",
            kind="categorical",
            categories=("LGA", "EWR", "JFK"),
            counts=(8000, 7000, 5000, 0),
            nulls=200,
        ),
    ]
    return Profile({column.name: column for column in columns})


@pytest.fixture(scope="session")
def draw() -> Callable[..., pl.DataFrame]:
    """Rows of one week, as the prediction log holds them."""

    def rows(
        week: int, count: int = 2000, *, shift: float = 0.0, weights: Any = (8, 7, 5)
    ) -> pl.DataFrame:
        rng = np.random.default_rng(week)
        seconds = np.sort(rng.integers(0, 7 * 86_400, count))
        temp = rng.normal(10 + shift, 5, count)
        missing = rng.random(count) < 0.01
        share = np.asarray(weights) / np.sum(weights)
        names = rng.choice(["LGA", "EWR", "JFK"], count, p=share)
        start = ORIGIN + timedelta(weeks=week)
        return pl.DataFrame(
            {
                "prediction_id": [f"{week}-{i}" for i in range(count)],
                "event_time": [start + timedelta(seconds=int(s)) for s in seconds],
                "score": rng.beta(2, 5, count),
                "temp": [None if m else t for m, t in zip(missing, temp.tolist(), strict=True)],
                "origin": [None if m else n for m, n in zip(missing, names.tolist(), strict=True)],
            },
            schema_overrides={"event_time": pl.Datetime("us")},
        )

    return rows
