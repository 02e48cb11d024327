"""Ways to make features of one row or of some rows that come as dicts: a float32 matrix of them.

Every ten features are: a number imputed by its mean and whether it was missing, a number and a
whole number scaled, three categories as one-hot, a category of 50 as its smoothed mean label, and
hour and weekday of a time. All ways learn from the same rows, and their sums are compared.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
import common
import numpy as np

Row = dict[str, Any]
SEEN, SMOOTHING, BUSY_S = 4096, 20.0, 0.2
FIGURES: list[dict[str, Any]] = []


def data(groups: int) -> tuple[list[Row], list[float]]:
    """Rows of six fields a group, and a label of each."""
    draw = random.Random(0)
    rows = []
    for _ in range(SEEN):
        row: Row = {}
        for g in range(groups):
            row[f"a{g}"] = None if draw.random() < 0.1 else draw.gauss(0, 1)
            row[f"b{g}"] = draw.gauss(5, 2)
            row[f"n{g}"] = draw.randrange(1000)
            row[f"s{g}"] = draw.choice(["ATL", "JFK", "LGA"])
            row[f"c{g}"] = f"c{draw.randrange(50)}"
            row[f"t{g}"] = datetime(2013, 1, 1) + timedelta(seconds=draw.randrange(10**7))
        rows.append(row)
    return rows, [draw.random() for _ in rows]


def learned(rows: list[Row], label: list[float], g: int) -> dict[str, Any]:
    """The figures of a group, for those who write their features by hand."""
    prior = statistics.fmean(label)
    sums: dict[str, tuple[float, int]] = {}
    for row, y in zip(rows, label, strict=True):
        total, count = sums.get(row[f"c{g}"], (0.0, 0))
        sums[row[f"c{g}"]] = (total + y, count + 1)
    means = {k: (t + SMOOTHING * prior) / (n + SMOOTHING) for k, (t, n) in sums.items()}
    found: dict[str, Any] = {"prior": prior, "means": means}
    for name in ("b", "n"):
        values = [row[f"{name}{g}"] for row in rows]
        found[name] = (statistics.fmean(values), statistics.pstdev(values))
    found["a"] = statistics.fmean(row[f"a{g}"] for row in rows if row[f"a{g}"] is not None)
    return found


def recipe(rows: list[Row], label: list[float]) -> Any:
    """The same as a fitted recipe."""
    import polars as pl

    from raypipe.features import Recipe, transforms

    made: list[Any] = []
    for g in range(len(rows[0]) // 6):
        figures = learned(rows, label, g)
        scaled = {
            f"{name}{g}_scaled": (pl.col(f"{name}{g}") - figures[name][0]) * (1 / figures[name][1])
            for name in ("b", "n")
        }
        made += [
            transforms.impute(f"a{g}", strategy="mean", indicator=True),
            transforms.derive(**scaled),
            transforms.one_hot(f"s{g}"),
            transforms.target_encode(f"c{g}", smoothing=SMOOTHING),
            transforms.date_parts(f"t{g}", ["hour", "weekday"]),
        ]
    return Recipe(*made).fit(pl.DataFrame(rows).with_columns(y=pl.Series(label)), "y")


def raypipe(rows: list[Row], label: list[float]) -> Any:
    """Whichever way the recipe takes."""
    fitted = recipe(rows, label)
    return lambda asked: fitted.row(asked[0]) if len(asked) == 1 else fitted.rows(asked)


def raypipe_one_by_one(rows: list[Row], label: list[float]) -> Any:
    """Its compiled function for each row."""
    return recipe(rows, label)._rows_scorer().some


def raypipe_through_polars(rows: list[Row], label: list[float]) -> Any:
    """Its way over a frame."""
    return recipe(rows, label)._rows_scorer().through_polars


def polars(rows: list[Row], label: list[float]) -> Any:
    """A frame of the rows, and one select written by hand."""
    import polars as pl

    exprs = []
    for g in range(len(rows[0]) // 6):
        figures = learned(rows, label, g)
        a, c, t = pl.col(f"a{g}"), pl.col(f"c{g}"), pl.col(f"t{g}")
        exprs += [a.fill_null(figures["a"]), a.is_null().alias(f"a{g}_missing")]
        exprs += [
            ((pl.col(f"{name}{g}") - figures[name][0]) / figures[name][1]) for name in ("b", "n")
        ]
        exprs += [(pl.col(f"s{g}") == s).alias(f"s{g}={s}") for s in ("ATL", "JFK", "LGA")]
        means = figures["means"]
        exprs.append(
            c.replace_strict(list(means), list(means.values()), default=figures["prior"]).alias(
                f"c{g}"
            )
        )
        exprs += [t.dt.hour().alias(f"t{g}_hour"), t.dt.weekday().alias(f"t{g}_weekday")]
    exprs = [expr.cast(pl.Float32) for expr in exprs]
    schema = pl.DataFrame(rows).schema
    return lambda asked: pl.DataFrame(asked, schema=schema).select(exprs).to_numpy()


def sklearn(rows: list[Row], label: list[float]) -> Any:
    """A pandas frame of the rows, and a ColumnTransformer."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import (
        FunctionTransformer,
        OneHotEncoder,
        StandardScaler,
        TargetEncoder,
    )

    def parts(frame: Any) -> Any:
        columns = [frame.iloc[:, at].dt for at in range(frame.shape[1])]
        return np.column_stack([x for c in columns for x in (c.hour, c.weekday + 1)])

    groups = range(len(rows[0]) // 6)
    encoder = TargetEncoder(smooth=SMOOTHING, target_type="continuous")
    steps = [
        ("a", SimpleImputer(add_indicator=True), [f"a{g}" for g in groups]),
        ("b", StandardScaler(), [f"{name}{g}" for name in "bn" for g in groups]),
        ("s", OneHotEncoder(sparse_output=False), [f"s{g}" for g in groups]),
        ("c", encoder, [f"c{g}" for g in groups]),
        ("t", FunctionTransformer(parts), [f"t{g}" for g in groups]),
    ]
    made = ColumnTransformer(steps).fit(pd.DataFrame(rows), label)
    return lambda asked: made.transform(pd.DataFrame(asked)).astype(np.float32)


def feast(rows: list[Row], label: list[float]) -> Any:
    """An on-demand feature view in plain Python, asked through a local store."""
    import tempfile

    from feast import FeatureStore, Field, RepoConfig, RequestSource
    from feast.infra.online_stores.sqlite import SqliteOnlineStoreConfig
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Float64, Int64, String, UnixTimestamp

    groups = range(len(rows[0]) // 6)
    # Feast runs the source of a view in a namespace of its own, so the figures are found by module.
    FIGURES[:] = [learned(rows, label, g) for g in groups]
    types = {"a": Float64, "b": Float64, "n": Int64, "s": String, "c": String, "t": UnixTimestamp}
    asked = [Field(name=f"{x}{g}", dtype=kind) for g in groups for x, kind in types.items()]
    titles = ("a", "missing", "b", "n", "atl", "jfk", "lga", "c", "hour", "weekday")
    names = [f"{title}_{g}" for g in groups for title in titles]
    source = RequestSource(name="asked", schema=asked)

    sys.modules["features_row_figures"] = sys.modules[__name__]

    def view(inputs: dict[str, Any]) -> dict[str, Any]:
        import sys

        found = {}
        for g, f in enumerate(sys.modules["features_row_figures"].FIGURES):
            a, s, t = inputs[f"a{g}"], inputs[f"s{g}"], inputs[f"t{g}"]
            found[f"a_{g}"] = [f["a"] if x is None else x for x in a]
            found[f"missing_{g}"] = [1.0 if x is None else 0.0 for x in a]
            for name in ("b", "n"):
                mean, spread = f[name]
                found[f"{name}_{g}"] = [(x - mean) / spread for x in inputs[f"{name}{g}"]]
            for title in ("atl", "jfk", "lga"):
                found[f"{title}_{g}"] = [1.0 if x == title.upper() else 0.0 for x in s]
            found[f"c_{g}"] = [f["means"].get(x, f["prior"]) for x in inputs[f"c{g}"]]
            found[f"hour_{g}"] = [float(x.hour) for x in t]
            found[f"weekday_{g}"] = [float(x.isoweekday()) for x in t]
        return found

    folder = tempfile.mkdtemp(prefix="feast-")
    online = SqliteOnlineStoreConfig(path=f"{folder}/online.db")
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            registry=f"{folder}/registry.db",
            provider="local",
            online_store=online,
            entity_key_serialization_version=3,
        )
    )
    schema = [Field(name=name, dtype=Float64) for name in names]
    made = on_demand_feature_view(sources=[source], schema=schema, mode="python")(view)
    store.apply([made])
    wanted = [f"view:{name}" for name in names]

    def score(asked: list[Row]) -> Any:
        answer = store.get_online_features(features=wanted, entity_rows=asked).to_dict()
        return np.array([answer[name] for name in names], np.float32).T

    return score


WAYS = {f.__name__: f for f in (raypipe, raypipe_one_by_one, raypipe_through_polars, polars,
                                sklearn, feast)}  # fmt: skip
_made: dict[tuple[str, int], tuple[Any, list[Row]]] = {}


def run(request: dict[str, Any]) -> Any:
    """Seconds a call, over as many calls as fill a fifth of a second, and what came out."""
    way, groups = request["way"], request["features"] // 10
    if (way, groups) not in _made:
        rows, label = data(groups)
        _made[way, groups] = (WAYS[way](rows, label), rows)
    score, rows = _made[way, groups]
    count = request["rows"]
    few = [rows[at : at + count] for at in range(0, min(SEEN, 64 * count), count)]
    first = np.asarray(score(few[0]), np.float64)
    calls, begin = 0, time.perf_counter()
    while calls < 3 or time.perf_counter() - begin < BUSY_S:
        score(few[calls % len(few)])
        calls += 1
    seconds = (time.perf_counter() - begin) / calls
    return seconds, {"features": first.size // count, "sum": float(first.sum())}


if __name__ == "__main__":
    common.serve(run)
