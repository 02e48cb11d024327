"""Ways to make features of one row or of some rows that come as dicts: a float32 matrix of them.

Every ten features of a mixed recipe are: a number imputed by its mean and whether it was missing, a
number and a whole number scaled, three categories as one-hot, a category of 50 as its smoothed mean
label, and hour and weekday of a time. Those of a numeric recipe are two numbers imputed, with
whether they were missing, and four numbers and two whole numbers scaled. All ways learn from the
same rows, and their sums are compared.
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
SEEN, SMOOTHING, BUSY_S, STRETCH_S = 4096, 20.0, 0.2, 0.0005
FIGURES: dict[str, Any] = {}


# Fields of each kind for ten features.
RECIPES = {
    "mixed": {"a": 1, "b": 1, "n": 1, "s": 1, "c": 1, "t": 1},
    "numeric": {"a": 2, "b": 4, "n": 2},
}


def data(name: str, tens: int) -> tuple[list[Row], list[float]]:
    """Rows with the fields of a recipe of so many tens of features, and a label of each."""
    draw = random.Random(0)
    values: dict[str, Any] = {
        "a": lambda: None if draw.random() < 0.1 else draw.gauss(0, 1),
        "b": lambda: draw.gauss(5, 2),
        "n": lambda: draw.randrange(1000),
        "s": lambda: draw.choice(["ATL", "JFK", "LGA"]),
        "c": lambda: f"c{draw.randrange(50)}",
        "t": lambda: datetime(2013, 1, 1) + timedelta(seconds=draw.randrange(10**7)),
    }
    names = [f"{kind}{k}" for kind, n in RECIPES[name].items() for k in range(n * tens)]
    rows = [{name: values[name[0]]() for name in names} for _ in range(SEEN)]
    return rows, [draw.random() for _ in rows]


def fields(rows: list[Row]) -> dict[str, list[str]]:
    """The fields by kind, which is the first letter."""
    found: dict[str, list[str]] = {kind: [] for kind in "abnsct"}
    for name in rows[0]:
        found[name[0]].append(name)
    return found


def learned(rows: list[Row], label: list[float]) -> dict[str, Any]:
    """The figures of each field, for those who write their features by hand."""
    found: dict[str, Any] = {}
    of, prior = fields(rows), statistics.fmean(label)
    for name in of["c"]:
        sums: dict[str, tuple[float, int]] = {}
        for row, y in zip(rows, label, strict=True):
            total, count = sums.get(row[name], (0.0, 0))
            sums[row[name]] = (total + y, count + 1)
        means = {k: (t + SMOOTHING * prior) / (n + SMOOTHING) for k, (t, n) in sums.items()}
        found[name] = (means, prior)
    for name in of["b"] + of["n"]:
        values = [row[name] for row in rows]
        found[name] = (statistics.fmean(values), statistics.pstdev(values))
    for name in of["a"]:
        found[name] = statistics.fmean(row[name] for row in rows if row[name] is not None)
    return found


def recipe(rows: list[Row], label: list[float]) -> Any:
    """The same as a fitted recipe."""
    import polars as pl

    from raypipe.features import Recipe, transforms

    of, figures = fields(rows), learned(rows, label)
    scaled = {
        f"{name}_scaled": (pl.col(name) - figures[name][0]) * (1 / figures[name][1])
        for name in of["b"] + of["n"]
    }
    made: list[Any] = [
        transforms.impute(*of["a"], strategy="mean", indicator=True),
        transforms.derive(**scaled),
        transforms.one_hot(*of["s"]),
        transforms.target_encode(*of["c"], smoothing=SMOOTHING),
        *(transforms.date_parts(name, ["hour", "weekday"]) for name in of["t"]),
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

    of, figures = fields(rows), learned(rows, label)
    exprs = []
    for name in of["a"]:
        exprs += [pl.col(name).fill_null(figures[name]), pl.col(name).is_null().alias(f"{name}?")]
    for name in of["b"] + of["n"]:
        mean, spread = figures[name]
        exprs.append((pl.col(name) - mean) / spread)
    for name in of["s"]:
        exprs += [(pl.col(name) == s).alias(f"{name}={s}") for s in ("ATL", "JFK", "LGA")]
    for name in of["c"]:
        means, prior = figures[name]
        mapped = pl.col(name).replace_strict(list(means), list(means.values()), default=prior)
        exprs.append(mapped.alias(name))
    for name in of["t"]:
        time_of = pl.col(name).dt
        exprs += [time_of.hour().alias(f"{name}_hour"), time_of.weekday().alias(f"{name}_weekday")]
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

    of = fields(rows)
    encoder = TargetEncoder(smooth=SMOOTHING, target_type="continuous")
    steps = [
        ("a", SimpleImputer(add_indicator=True), of["a"]),
        ("b", StandardScaler(), of["b"] + of["n"]),
        ("s", OneHotEncoder(sparse_output=False), of["s"]),
        ("c", encoder, of["c"]),
        ("t", FunctionTransformer(parts), of["t"]),
    ]
    steps = [step for step in steps if step[2]]
    made = ColumnTransformer(steps).fit(pd.DataFrame(rows), label)
    return lambda asked: made.transform(pd.DataFrame(asked)).astype(np.float32)


def feast(rows: list[Row], label: list[float]) -> Any:
    """An on-demand feature view in plain Python, asked through a local store."""
    import tempfile

    from feast import FeatureStore, Field, RepoConfig, RequestSource
    from feast.infra.online_stores.sqlite import SqliteOnlineStoreConfig
    from feast.on_demand_feature_view import on_demand_feature_view
    from feast.types import Float64, Int64, String, UnixTimestamp

    of = fields(rows)
    # Feast runs the source of a view in a namespace of its own, so the figures are found by module.
    FIGURES.update(learned(rows, label), of=of)
    types = {"a": Float64, "b": Float64, "n": Int64, "s": String, "c": String, "t": UnixTimestamp}
    asked = [Field(name=name, dtype=types[name[0]]) for name in rows[0]]
    ends = {"a": ["", "_missing"], "s": ["_ATL", "_JFK", "_LGA"], "t": ["_hour", "_weekday"]}
    names = [f"{name}{end}_out" for name in rows[0] for end in ends.get(name[0], [""])]
    source = RequestSource(name="asked", schema=asked)

    sys.modules["features_row_figures"] = sys.modules[__name__]

    def view(inputs: dict[str, Any]) -> dict[str, Any]:
        import sys

        figures = sys.modules["features_row_figures"].FIGURES
        found, of = {}, figures["of"]
        for name in of["a"]:
            mean = figures[name]
            found[f"{name}_out"] = [mean if x is None else x for x in inputs[name]]
            found[f"{name}_missing_out"] = [1.0 if x is None else 0.0 for x in inputs[name]]
        for name in of["b"] + of["n"]:
            mean, spread = figures[name]
            found[f"{name}_out"] = [(x - mean) / spread for x in inputs[name]]
        for name in of["s"]:
            for s in ("ATL", "JFK", "LGA"):
                found[f"{name}_{s}_out"] = [1.0 if x == s else 0.0 for x in inputs[name]]
        for name in of["c"]:
            means, prior = figures[name]
            found[f"{name}_out"] = [means.get(x, prior) for x in inputs[name]]
        for name in of["t"]:
            found[f"{name}_hour_out"] = [float(x.hour) for x in inputs[name]]
            found[f"{name}_weekday_out"] = [float(x.isoweekday()) for x in inputs[name]]
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
_made: dict[tuple[str, str, int], tuple[Any, list[Row]]] = {}


def run(request: dict[str, Any]) -> Any:
    """Seconds a call, the median over stretches of half a millisecond, and what came out."""
    asked = request["way"], request["recipe"], request["features"] // 10
    if asked not in _made:
        rows, label = data(*asked[1:])
        _made[asked] = (WAYS[asked[0]](rows, label), rows)
    score, rows = _made[asked]
    count = request["rows"]
    few = [rows[at : at + count] for at in range(0, min(SEEN, 64 * count), count)]
    first = np.asarray(score(few[0]), np.float64)
    begin = time.perf_counter()
    score(few[0])
    stretch = max(1, int(STRETCH_S / (time.perf_counter() - begin)))
    seconds: list[float] = []
    calls, end = 0, time.perf_counter() + BUSY_S
    while len(seconds) < 3 or time.perf_counter() < end:
        begin = time.perf_counter()
        for _ in range(stretch):
            score(few[calls % len(few)])
            calls += 1
        seconds.append((time.perf_counter() - begin) / stretch)
    return statistics.median(seconds), {"features": first.size // count, "sum": float(first.sum())}


if __name__ == "__main__":
    common.serve(run)
