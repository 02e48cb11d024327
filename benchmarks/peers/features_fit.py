"""One contender of ``features_fit``: ``python features_fit.py <way>``, fed by ``common.serve``.

Each gives the features of all rows as float32 in memory, and for checking: rows, how many
features, and the sums of some of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))
from common import serve

Run = Callable[[dict[str, Any]], Any]
IMPUTED, SCALED, HOT = ["temp", "wind", "pressure"], ["distance", "speed"], ["origin", "weather"]
SMOOTHING = 20.0


def files_of(request: dict[str, Any]) -> list[str]:
    from deltalake import DeltaTable

    found = DeltaTable(f"{request['root']}/rows").file_uris()
    return sorted(found)[: request["files"]]


def raypipe() -> Run:
    import polars as pl

    import raypipe as rp

    t = rp.transforms

    def run(request: dict[str, Any]) -> Any:
        data: Any = rp.Lake(request["root"]).table("rows").at()
        if request["files"] == 1:
            data = pl.scan_parquet(files_of(request))
        recipe = rp.Recipe(
            t.impute("temp", "wind", strategy="mean"),
            t.impute("pressure", strategy="median"),
            t.scale(*SCALED),
            t.bins("price", count=10),
            t.one_hot(*HOT),
            t.ordinal("carrier"),
            t.target_encode("dest", smoothing=SMOOTHING),
        )
        fitted = recipe.fit(data, "late")
        made = fitted.transform(data)
        return told(made, "dest_target")

    return run


def told(made: Any, dest: str) -> list[float]:
    import polars as pl

    sums = made.select(pl.col("temp", "distance", dest).cast(pl.Float64).sum())
    return [made.height, made.width, *(round(x, 1) for x in sums.row(0))]


def by_polars() -> Run:
    import polars as pl

    col = pl.col

    def run(request: dict[str, Any]) -> Any:
        frame = pl.read_parquet(files_of(request))
        label = col("late").cast(pl.Float64)
        facts = frame.select(
            col("temp", "wind").mean(),
            col("pressure").median(),
            label.mean().alias("prior"),
            *(col(n).mean().alias(f"{n} mean") for n in SCALED),
            *(col(n).std(ddof=0).alias(f"{n} std") for n in SCALED),
            *(col("price").quantile(k / 10).alias(f"edge{k}") for k in range(1, 10)),
        ).row(0, named=True)
        kinds = {n: frame[n].unique().drop_nulls().sort().to_list() for n in HOT}
        ranked = frame["carrier"].value_counts(sort=True)["carrier"].to_list()
        known = frame.drop_nulls("dest").group_by("dest")
        means = known.agg(label.sum().alias("sum"), pl.len().alias("n"))
        smooth = (col("sum") + SMOOTHING * facts["prior"]) / (col("n") + SMOOTHING)
        means = means.select("dest", smooth.alias("value"))
        edges = pl.lit(pl.Series([facts[f"edge{k}"] for k in range(1, 10)]))
        codes = dict(zip(ranked, range(len(ranked)), strict=True))
        made = frame.select(
            *(col(n).fill_null(facts[n]) for n in IMPUTED),
            *((col(n) - facts[f"{n} mean"]) / facts[f"{n} std"] for n in SCALED),
            edges.search_sorted(col("price"), side="right").alias("price_bin"),
            *((col(n) == kind).alias(f"{n}={kind}") for n in HOT for kind in kinds[n]),
            col("carrier").replace_strict(codes, default=-1).alias("carrier_code"),
            col("dest")
            .replace_strict(means["dest"], means["value"], default=facts["prior"])
            .alias("dest_target"),
        ).cast(pl.Float32)
        return told(made, "dest_target")

    return run


def sklearn() -> Run:
    import numpy as np
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import (
        KBinsDiscretizer,
        OneHotEncoder,
        OrdinalEncoder,
        StandardScaler,
        TargetEncoder,
    )

    def run(request: dict[str, Any]) -> Any:
        frame = pd.read_parquet(files_of(request))
        hot = OneHotEncoder(sparse_output=False, dtype=np.float32)
        ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
        steps = ColumnTransformer(
            [
                ("mean", SimpleImputer(strategy="mean"), ["temp", "wind"]),
                ("median", SimpleImputer(strategy="median"), ["pressure"]),
                ("scale", StandardScaler(), SCALED),
                ("bins", KBinsDiscretizer(10, encode="ordinal", subsample=None), ["price"]),
                ("hot", hot, HOT),
                ("ordinal", ordinal, ["carrier"]),
                ("target", TargetEncoder(smooth=SMOOTHING), ["dest"]),
            ]
        )
        made = steps.fit(frame, frame["late"]).transform(frame).astype(np.float32)
        return [*made.shape, round(float(made[:, 0].sum(dtype=float)), 1)]

    return run


def by_ray() -> Run:
    import ray
    import ray.data.preprocessors as p

    ray.init(logging_level="ERROR", log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False

    def run(request: dict[str, Any]) -> Any:
        data = ray.data.read_parquet(files_of(request))
        # It has no median, no quantile bins and no target encoding: they are left out or replaced.
        chain = p.Chain(
            p.SimpleImputer(["temp", "wind", "pressure"], strategy="mean"),
            p.StandardScaler(SCALED),
            p.UniformKBinsDiscretizer(["price"], bins=10),
            p.OneHotEncoder(HOT),
            p.OrdinalEncoder(["carrier"]),
        )
        made = chain.fit_transform(data).materialize()
        return [made.count(), len(made.schema().names)]

    return run


WAYS: dict[str, Callable[[], Run]] = {
    "raypipe": raypipe,
    "polars": by_polars,
    "sklearn": sklearn,
    "ray": by_ray,
}

if __name__ == "__main__":
    serve(WAYS[sys.argv[1]]())
