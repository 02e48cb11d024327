"""A search over trials: ours against Optuna with raw XGBoost by hand, and Ray's documented way.

    make bench-tune_trials                                            20 trials
    python benchmarks/tune_trials.py --trials 200 --rows 20000 --repeats 1
    python benchmarks/tune_trials.py --even --rows 8000               what a trial costs by itself

Rows by 20 features, half of them to learn from, 60 rounds a trial, TPE, two trials at once of one
thread each, nothing stopped early, so that all do the same work. ``seconds`` is the whole search,
with the reading of the table, in a process that has imported everything, and has its Ray where it
needs one. ``ours, ASHA`` stops trials early as a user would.

With ``--even`` only what hardly changes the work of a trial varies, and ``raw`` joins: as many
trainings of the same rows and rounds by two threads, with nothing around them. What a way takes
beyond that, over the number of trials, is its overhead: ``beyond raw, s a trial``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import common

FEATURES, ROUNDS, AT_ONCE = 20, 60, 2
NAMES = [f"f{number:02d}" for number in range(FEATURES)]


def lake_root(rows: int) -> str:
    return str(common.CACHE / f"tune-{rows}")


def make(rows: int) -> None:
    import numpy as np
    import polars as pl

    import raypipe as rp

    rng = np.random.default_rng(0)
    values = rng.normal(size=(rows, FEATURES)).astype(np.float32)
    signal = values[:, 0] + values[:, 1] * values[:, 2] - np.abs(values[:, 3])
    label = (signal + rng.normal(size=rows) > 0).astype(np.int8)
    frame = pl.DataFrame(values, schema=NAMES).with_columns(
        label=pl.Series(label), valid=np.arange(rows) % 2
    )
    rp.Lake(lake_root(rows)).table("rows").append(frame, batch_id="rows")


def matrices(rows: int) -> Any:
    import pyarrow.parquet as pq
    import xgboost
    from deltalake import DeltaTable

    table = pq.read_table(DeltaTable(f"{lake_root(rows)}/rows").file_uris()[0])
    valid = table["valid"].to_numpy() == 1
    train, other = table.filter(~valid), table.filter(valid)
    data = xgboost.QuantileDMatrix(train.select(NAMES), label=train["label"].to_numpy())
    judged = xgboost.QuantileDMatrix(other.select(NAMES), label=other["label"].to_numpy(), ref=data)
    return data, judged


def best(config: dict[str, Any], data: Any, judged: Any) -> float:
    import xgboost

    params = {"objective": "binary:logistic", "tree_method": "hist", "nthread": 1, **config}
    told: dict[str, Any] = {}
    xgboost.train(
        params, data, ROUNDS, evals=[(judged, "valid")], evals_result=told, verbose_eval=False
    )
    return float(min(told["valid"]["logloss"]))


def space_of(request: dict[str, Any]) -> dict[str, Any]:
    from ray import tune

    even = {
        "learning_rate": tune.loguniform(0.02, 0.5),
        "reg_lambda": tune.loguniform(0.1, 10.0),
    }
    uneven = {"max_depth": tune.randint(3, 9), "subsample": tune.uniform(0.5, 1.0)}
    return even if request["even"] else {**uneven, **even}


def ours(request: dict[str, Any]) -> Any:
    import polars as pl

    import raypipe as rp

    rows = rp.Lake(lake_root(request["rows"])).table("rows").at()
    trainer = rp.Trainer(
        rp.Recipe(rp.transforms.select(*NAMES)),
        label="label",
        learner=rp.XGBoost(rounds=ROUNDS),
        seed=time.time_ns() % 2**31,  # else the search would be known, and nothing would run
    )
    space = space_of(request)
    tuner = rp.Tuner(
        trainer,
        space,
        num_samples=request["trials"],
        scheduler=request["scheduler"],
        workers=AT_ONCE,
        run_on=request["run_on"],
        seed=0,
    )
    if request["run_on"] == "ray":
        from raypipe.engine.cluster import ensure_ray

        ensure_ray()
    began = time.perf_counter()
    found = tuner.fit(rows.where(pl.col("valid") == 0), rows.where(pl.col("valid") == 1))
    return time.perf_counter() - began, {"best": round(found.best.value, 5)}


def raw(request: dict[str, Any]) -> Any:
    """As many trainings by two threads, of settings that are drawn before."""
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    rng = np.random.default_rng(0)
    settings = [
        {"learning_rate": float(a), "reg_lambda": float(b)}
        for a, b in zip(
            np.exp(rng.uniform(np.log(0.02), np.log(0.5), request["trials"])),
            np.exp(rng.uniform(np.log(0.1), np.log(10.0), request["trials"])),
            strict=True,
        )
    ]
    began = time.perf_counter()
    data, judged = matrices(request["rows"])
    with ThreadPoolExecutor(AT_ONCE) as pool:
        value = min(pool.map(lambda one: best(one, data, judged), settings))
    return time.perf_counter() - began, {"best": round(value, 5)}


def optuna_by_hand(request: dict[str, Any]) -> Any:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    began = time.perf_counter()
    data, judged = matrices(request["rows"])

    def objective(trial: Any) -> float:
        config = {
            "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.5, log=True),
            "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 10.0, log=True),
        }
        if not request["even"]:
            config["max_depth"] = trial.suggest_int("max_depth", 3, 8)
            config["subsample"] = trial.suggest_float("subsample", 0.5, 1.0)
        return best(config, data, judged)

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=0))
    study.optimize(objective, n_trials=request["trials"], n_jobs=AT_ONCE)
    return time.perf_counter() - began, {"best": round(study.best_value, 5)}


def documented(request: dict[str, Any]) -> Any:
    """Ray's user guide: a function, ``OptunaSearch``, data by ``with_parameters``."""
    import pyarrow.parquet as pq
    import xgboost
    from deltalake import DeltaTable
    from ray import tune
    from ray.tune.search import ConcurrencyLimiter
    from ray.tune.search.optuna import OptunaSearch

    from raypipe.engine.cluster import ensure_ray

    ensure_ray()

    def trial(config: dict[str, Any], table: Any) -> None:
        valid = table["valid"].to_numpy() == 1
        train, other = table.filter(~valid), table.filter(valid)
        data = xgboost.DMatrix(train.select(NAMES), label=train["label"].to_numpy())
        judged = xgboost.DMatrix(other.select(NAMES), label=other["label"].to_numpy())
        tune.report({"logloss": best(config, data, judged)})

    began = time.perf_counter()
    table = pq.read_table(DeltaTable(f"{lake_root(request['rows'])}/rows").file_uris()[0])
    space = space_of(request)
    found = tune.Tuner(
        tune.with_parameters(trial, table=table),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="logloss",
            mode="min",
            search_alg=ConcurrencyLimiter(OptunaSearch(seed=0), AT_ONCE),
            num_samples=request["trials"],
        ),
        run_config=tune.RunConfig(storage_path=tempfile.mkdtemp(), verbose=0),
    ).fit()
    value = found.get_best_result().metrics["logloss"]
    return time.perf_counter() - began, {"best": round(value, 5)}


WAYS = {"ours": ours, "raw": raw, "optuna": optuna_by_hand, "documented": documented}


def contenders(wanted: str) -> list[common.Contender]:
    here = Path(__file__)

    def way(name: str, kind: str, **more: Any) -> common.Contender:
        return common.Contender(name, here, ("--serve", kind, "--more", json.dumps(more)))

    every = {
        "raw": way("raw, nothing around it", "raw"),
        "optuna": way("Optuna by hand, n_jobs=2", "optuna"),
        "local": way("ours, in this process", "ours", run_on="local", scheduler="none"),
        "asha": way("ours, ASHA", "ours", run_on="local", scheduler="asha"),
        "ray": way("ours, Ray Tune", "ours", run_on="ray", scheduler="none"),
        "documented": way("Ray's documented way", "documented"),
    }
    return [every[name] for name in wanted.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve")
    parser.add_argument("--more", default="{}")
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--even", action="store_true", help="trials of equal work, and raw ones")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", default="optuna,local,asha,ray,documented")
    asked = parser.parse_args()
    if asked.serve:
        more = json.loads(asked.more)
        common.serve(lambda request: WAYS[asked.serve]({**request, **more}))
        return
    make(asked.rows)
    wanted = asked.ways.replace("asha", "raw") if asked.even else asked.ways
    found = contenders(wanted)
    warmups = 1 if asked.trials <= 20 else 0
    told = {"trials": asked.trials, "rows": asked.rows, "even": asked.even}
    runs = common.race(found, asked.repeats, lambda *_: told, warmups=warmups)
    table = common.rows(runs, found[0].name)
    print(common.show(f"{asked.trials} trials", table, "Optuna"))
    beyond = beyond_raw(runs, asked.trials)
    if beyond:
        print("\n| | beyond raw, s a trial (min to max) |\n|---|---|")
        for name, values in beyond.items():
            low, high = min(values), max(values)
            print(f"| {name} | {statistics.median(values):.3f} ({low:.3f} to {high:.3f}) |")
    name = f"tune_trials_{asked.trials}_{asked.rows}" + ("_even" if asked.even else "")
    print(f"written to {common.save(name, {**told, 'table': table, 'beyond_raw_s': beyond})}")


def beyond_raw(runs: list[common.Runs], trials: int) -> dict[str, list[float]]:
    """Seconds a trial beyond those of trainings alone, by round; nothing where none ran."""
    base = next((one for one in runs if one.name.startswith("raw") and one.seconds), None)
    if base is None:
        return {}
    return {
        one.name: [
            round((a - b) / trials, 4) for a, b in zip(one.seconds, base.seconds, strict=False)
        ]
        for one in runs
        if one is not base
    }


if __name__ == "__main__":
    main()
