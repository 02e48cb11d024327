"""The demo's question asked plainly: one process, the same features, retrained every month.

    python benchmarks/flights_monthly.py [--lake raypipe-demo]

Reads the features table of a finished demo, and for each month from April on trains XGBoost on all
flights whose labels were known a week before the month, with the demo's recipe and settings, and
scores the month. Prints ROC AUC by month beside the demo's first version and its loop, with the
number of trainings of each, and writes JSON to ``benchmarks/results/flights_monthly.json``.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import xgboost

import raypipe as rp
from raypipe.demo import flights

RESULTS = Path(__file__).parent / "results" / "flights_monthly.json"
MONTHS = [datetime(2013, month, 1) for month in range(4, 13)]


def train(rows: pl.DataFrame, recipe: rp.Recipe, learner: rp.XGBoost) -> Any:
    """One model in this process; the recipe does the features, nothing else of raypipe is used."""
    known = rows.filter(pl.col("arr_delay").is_not_null())
    fitted = recipe.fit(known, label="late")
    matrix = xgboost.QuantileDMatrix(
        fitted.transform(known).to_numpy(), label=fitted.labels(known).to_numpy()
    )
    params = learner.booster_params(seed=flights.YEAR, threads=2)
    return fitted, xgboost.train(params, matrix, num_boost_round=learner.rounds)


def score(model: Any, rows: pl.DataFrame) -> np.ndarray:
    """Scores of raw rows."""
    fitted, booster = model
    return np.asarray(booster.inplace_predict(fitted.transform(rows).to_numpy()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lake", default="raypipe-demo", help="a lake with a finished demo")
    args = parser.parse_args()
    lake = rp.Lake(args.lake)
    summary = json.loads(lake.files.get("demo/summary.json"))
    rows = lake.table(flights.FEATURES).at().frame()
    trainer = flights.trainer(lake)
    labels, scores, months = [], [], {}
    began = time.perf_counter()
    for month in MONTHS:
        until = month - timedelta(days=7)
        model = train(rows.filter(pl.col("sched_dep") < until), trainer.recipe, trainer.learner)
        local = pl.col("sched_local").dt
        now = rows.filter(
            (local.year() == month.year)
            & (local.month() == month.month)
            & pl.col("arr_delay").is_not_null()
        )
        y = (now["arr_delay"] > 15).to_numpy().astype(float)
        p = score(model, now.drop("arr_delay"))
        labels.append(y)
        scores.append(p)
        months[f"{month:%Y-%m}"] = rp.metrics.roc_auc(y, p)
    seconds = time.perf_counter() - began
    overall = rp.metrics.roc_auc(np.concatenate(labels), np.concatenate(scores))
    loop = summary["auc"]
    promoted = sum(row["promoted"] for row in summary["retrainings"])
    table = {
        "first version": (1, loop["first"], {m: r["first"] for m, r in loop["by_month"].items()}),
        "the loop": (
            1 + len(summary["retrainings"]),
            loop["loop"],
            {m: r["loop"] for m, r in loop["by_month"].items()},
        ),
        "every month, one process": (len(MONTHS), overall, months),
    }
    print(f"{'ROC AUC':<26} trainings    all  " + "  ".join(m[5:] + "    " for m in months))
    for name, (count, value, by_month) in table.items():
        line = "  ".join(f"{by_month[m]:.4f}" for m in months)
        print(f"{name:<26} {count:>9} {value:.4f}  {line}")
    share = (loop["loop"] - loop["first"]) / (overall - loop["first"])
    print(
        f"\nThe loop has {share:.0%} of the gain of monthly retraining, with "
        f"{len(summary['retrainings'])} retrainings ({promoted} promoted) against {len(MONTHS)}. "
        f"The script took {seconds:.1f} s."
    )
    RESULTS.parent.mkdir(exist_ok=True)
    result = {
        "auc": {name: {"all": v, "by_month": by} for name, (_, v, by) in table.items()},
        "trainings": {name: n for name, (n, _, _) in table.items()},
        "share_of_gain": share,
        "seconds": seconds,
    }
    RESULTS.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
