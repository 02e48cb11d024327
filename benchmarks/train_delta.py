"""From a Delta table to a model: ours, raw XGBoost, Ray's documented way, Dask-XGBoost.

    make bench-train_delta            200,000 rows by 28 features, 20 rounds
    python benchmarks/train_delta.py --scale 1 --rounds 200 --workers 2
    python benchmarks/train_delta.py --growth

Scale 1 is 2,000,000 rows in 8 files, made by seed: like HIGGS, normal features of which products
matter. A way is timed from the table's name to the model, in a process that has imported
everything and has its Ray or its Dask. ``start s`` is what a fit costs there whatever the rows:
the same call on 2,000 rows for one round. ``work`` is the rest. Ours is timed with its label
survey, recipe fit, profile, figures of each round, checkpoint and kept bundle; the others have
none of these. Ray's way is that of its trainer's docstring, with ``RayTrainReportCallback``, which
keeps a checkpoint each round, and once more without it.

``--workers 2`` is two workers of one thread, where there are workers; 1 is one of two threads.
``sketch`` is ours with bins that XGBoost seeks. ``raw, figures`` is raw XGBoost that tells the
loss of the rows it learns from after each round, as ours does. ``each`` tells what a checkpoint
costs: divide the difference by the rounds. ``quarter`` has a budget of a quarter of the features'
float32 bytes, or of 256 MiB where that is more.

``--growth`` times 200,000 rows by 28 features against ten times the rows, and ten times the
columns. The exponent is the logarithm to the base 10 of the ratio of work.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import statistics
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import common

ROWS, FEATURES, FILES, DEPTH = 2_000_000, 28, 8, 6
TINY = 0.001
RAW = "raw XGBoost, Arrow, one process"


def names(features: int) -> list[str]:
    return [f"f{number:02d}" for number in range(features)]


def lake_root(scale: float, features: int) -> str:
    wide = "" if features == FEATURES else f"-{features}"
    return str(common.CACHE / f"train-{int(ROWS * scale)}{wide}")


def files_of(request: dict[str, Any]) -> list[str]:
    from deltalake import DeltaTable

    root = lake_root(request["scale"], request["features"])
    return sorted(DeltaTable(f"{root}/rows").file_uris())


def make(scale: float, features: int = FEATURES) -> None:
    import numpy as np
    import polars as pl

    import raypipe as rp

    table = rp.Lake(lake_root(scale, features)).table("rows")
    rows = int(ROWS * scale) // FILES
    for part in range(FILES):
        rng = np.random.default_rng(part)
        values = rng.normal(size=(rows, features)).astype(np.float32)
        signal = values[:, 0] + values[:, 1] * values[:, 2] - np.abs(values[:, 3])
        label = (signal + rng.normal(size=rows) > 0).astype(np.int8)
        frame = pl.DataFrame(values, schema=names(features))
        table.append(frame.with_columns(label=pl.Series(label)), batch_id=f"part-{part}")


def params(threads: int) -> dict[str, Any]:
    return {
        "objective": "binary:logistic",
        "tree_method": "hist",
        "max_depth": DEPTH,
        "learning_rate": 0.1,
        "nthread": threads,
        "seed": 0,
    }


def ours(request: dict[str, Any]) -> Any:
    import time

    import raypipe as rp

    scale, features = request["scale"], request["features"]
    rows = rp.Lake(lake_root(scale, features)).table("rows").at()
    every = 1 if request.get("each_round") else timedelta(seconds=10)
    raw_bytes = int(ROWS * scale) * features * 4
    trainer = rp.Trainer(
        rp.Recipe(rp.transforms.select(*names(features))),
        label="label",
        learner=rp.XGBoost(
            rounds=request["rounds"], max_depth=DEPTH, sketch=request.get("sketch", "raypipe")
        ),
        num_workers=request["workers"],
        cpus_per_worker=request["threads"],
        checkpoint_every=every,
        memory_budget=max(raw_bytes // 4, 256 * 1024**2) if request.get("quarter") else None,
        run_on=request["run_on"],
    )
    began = time.perf_counter()
    run = trainer.fit(rows, tags={"turn": f"{time.time_ns()}"})
    return time.perf_counter() - began, {"hash": run.bundle.content_hash[:12]}


def raw(request: dict[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xgboost

    table = pa.concat_tables(pq.read_table(file) for file in files_of(request))
    wanted, threads = names(request["features"]), request["all_threads"]
    data = xgboost.QuantileDMatrix(
        table.select(wanted), label=table["label"].to_numpy(), nthread=threads
    )
    told = [(data, "train")] if request.get("figures") else []
    xgboost.train(params(threads), data, request["rounds"], evals=told, verbose_eval=False)
    return {}


def documented(request: dict[str, Any]) -> Any:
    """As ``XGBoostTrainer`` tells: a Ray dataset, ``materialize().to_pandas()`` in each worker."""
    import tempfile

    import ray
    import ray.train
    from ray.train.xgboost import XGBoostTrainer

    if not ray.is_initialized():  # reading needs CPUs beside those that the workers hold
        ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
    settings, rounds = params(request["threads"]), request["rounds"]
    reported = bool(request.get("callback"))

    def loop() -> None:
        import xgboost
        from ray.train.xgboost import RayTrainReportCallback

        frame = ray.train.get_dataset_shard("train").materialize().to_pandas()
        data = xgboost.DMatrix(frame.drop(columns="label"), label=frame["label"])
        callbacks = [RayTrainReportCallback()] if reported else []
        xgboost.train(settings, data, num_boost_round=rounds, callbacks=callbacks)

    XGBoostTrainer(
        loop,
        scaling_config=ray.train.ScalingConfig(
            num_workers=request["workers"], resources_per_worker={"CPU": request["threads"]}
        ),
        run_config=ray.train.RunConfig(storage_path=tempfile.mkdtemp()),
        datasets={"train": ray.data.read_parquet(files_of(request))},
    ).fit()
    return {}


@functools.cache
def dask_client(workers: int, threads: int) -> Any:
    from dask.distributed import Client, LocalCluster

    cluster = LocalCluster(n_workers=workers, threads_per_worker=threads, dashboard_address=None)
    return Client(cluster)


def dask(request: dict[str, Any]) -> Any:
    """XGBoost's guide for Dask: a frame of Parquet files, ``DaskQuantileDMatrix``."""
    import dask.dataframe
    from xgboost import dask as over_dask

    client = dask_client(request["workers"], request["threads"])
    # Held, since features and label that are read apart come in other partitions.
    frame = client.persist(dask.dataframe.read_parquet(files_of(request)))
    data = over_dask.DaskQuantileDMatrix(client, frame[names(request["features"])], frame["label"])
    over_dask.train(client, params(request["threads"]), data, request["rounds"])
    return {}


WAYS = {"ours": ours, "raw": raw, "documented": documented, "dask": dask}


def contenders(wanted: str) -> list[common.Contender]:
    here = Path(__file__)

    def way(name: str, kind: str, **more: Any) -> common.Contender:
        python = common.PEERS if kind == "dask" else common.OURS
        args = ("--serve", kind, "--more", json.dumps(more))
        return common.Contender(name, here, args, python)

    every = {
        "raw": way(RAW, "raw"),
        "figures": way("raw, figures of each round", "raw", figures=True),
        "local": way("ours, in this process", "ours", run_on="local"),
        "sketch": way("ours, XGBoost's sketch", "ours", run_on="local", sketch="xgboost"),
        "each": way("ours, checkpoint each round", "ours", run_on="local", each_round=True),
        "quarter": way("ours, a quarter of its memory", "ours", run_on="local", quarter=True),
        "ray": way("ours, Ray Train", "ours", run_on="ray"),
        "documented": way("Ray's documented way", "documented", callback=True),
        "bare": way("Ray's documented way, no callback", "documented"),
        "dask": way("Dask-XGBoost", "dask"),
    }
    return [every[name] for name in wanted.split(",")]


def race(asked: argparse.Namespace, scale: float, features: int = FEATURES) -> list[dict[str, Any]]:
    """A row for each way, with what a fit costs on hardly any rows, and the rest as work."""
    for one in (TINY, scale):
        make(one, features)

    def requests(size: float, rounds: int) -> Any:
        def request(_: str, number: int) -> dict[str, Any]:
            tiny = number < 0  # a warm-up: a process that has its Ray or its Dask
            return {
                "scale": TINY if tiny else size,
                "features": features,
                "rounds": 1 if tiny else rounds,
                "workers": asked.workers,
                "threads": max(1, 2 // asked.workers),
                "all_threads": 2,
            }

        return request

    found = contenders(asked.ways)
    tiny = common.race(found, asked.repeats, requests(TINY, 1))
    runs = common.race(found, asked.repeats, requests(scale, asked.rounds))
    table = common.rows(runs, RAW)
    starts = {one.name: statistics.median(one.seconds) for one in tiny if one.seconds}
    base = next((one for one in runs if one.name == RAW and one.seconds), None)
    for row, run, small in zip(table, runs, tiny, strict=True):
        if "s" not in row or run.name not in starts:
            continue
        row["start_s"], row["first_start_s"] = round(starts[run.name], 3), small.first_s
        work = [seconds - starts[run.name] for seconds in run.seconds]
        row["work_s"] = round(statistics.median(work), 3)
        if base is None or RAW not in starts:
            continue
        ratios = [
            mine / (theirs - starts[RAW]) for mine, theirs in zip(work, base.seconds, strict=False)
        ]
        row["work_ratio"] = round(statistics.median(ratios), 3)
        row["work_ratio_min"], row["work_ratio_max"] = round(min(ratios), 3), round(max(ratios), 3)
        row["peak_ratio"] = round(row["peak_mb"] / max(base.peak_mb), 3)
    return table


def show(title: str, table: list[dict[str, Any]]) -> str:
    head = (
        f"| {title} | s (min to max) | start s | work s | work of raw (min to max) | CPU s "
        "| CPU of raw | peak MB | peak of raw |"
    )
    lines = [head, "|---|---|---|---|---|---|---|---|---|"]
    for row in table:
        if "work_s" not in row or "work_ratio" not in row:
            lines.append(f"| {row['name']} | {str(row.get('error', 'no peer'))[:90]} |" + " |" * 7)
            continue
        lines.append(
            f"| {row['name']} | {row['s']:.2f} ({row['s_min']:.2f} to {row['s_max']:.2f}) "
            f"| {row['start_s']:.2f} | {row['work_s']:.2f} "
            f"| {row['work_ratio']:.2f} ({row['work_ratio_min']:.2f} to "
            f"{row['work_ratio_max']:.2f}) | {row['cpu_s']:.1f} | {row['cpu_ratio']:.2f} "
            f"| {row['peak_mb']} | {row['peak_ratio']:.2f} |"
        )
    return "\n".join(lines)


def growth(asked: argparse.Namespace) -> None:
    small = race(asked, 0.1)
    told: dict[str, Any] = {"small": small}
    for name, scale, features in (("rows", 1.0, FEATURES), ("columns", 0.1, 10 * FEATURES)):
        large = race(asked, scale, features)
        for row, before in zip(large, small, strict=True):
            if "work_s" in row and "work_s" in before:
                row["exponent"] = round(math.log10(row["work_s"] / before["work_s"]), 3)
                print(
                    f"| {row['name']} | {name} x 10 | {before['work_s']:.2f} -> "
                    f"{row['work_s']:.2f} s | exponent {row['exponent']:.2f} |"
                )
        told[name] = large
    print(f"written to {common.save('train_delta_growth', told)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve")
    parser.add_argument("--more", default="{}")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--ways")
    asked = parser.parse_args()
    if asked.serve:
        more = json.loads(asked.more)
        common.serve(lambda request: WAYS[asked.serve]({**request, **more}))
        return
    kept = "" if asked.ways is None else "_" + asked.ways.replace(",", "_")
    if asked.ways is None:
        asked.ways = "raw,local" if asked.growth else "raw,figures,local,ray,documented,bare,dask"
    if "dask" in asked.ways:
        common.need_peers()
    if asked.growth:
        growth(asked)
        return
    table = race(asked, asked.scale)
    rows = int(ROWS * asked.scale)
    title = f"{rows:,} rows, {asked.rounds} rounds, {asked.workers} ranks"
    print(show(title, table))
    told = {"rows": rows, "rounds": asked.rounds, "workers": asked.workers, "table": table}
    name = f"train_delta_{rows}_{asked.rounds}_{asked.workers}{kept}"
    print(f"written to {common.save(name, told)}")


if __name__ == "__main__":
    main()
