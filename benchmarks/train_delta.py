"""From a Delta table to a model: ours against raw XGBoost fed by Arrow, and Ray's documented way.

    make bench-train_delta            200,000 rows by 28 features, 20 rounds
    python benchmarks/train_delta.py --scale 1 --rounds 200 --workers 2

Scale 1 is 2,000,000 rows in 8 files, made by seed: like HIGGS, normal features of which products
matter. ``seconds`` is work: from the table's name to the model, in a process that has imported
everything (and has its Ray); what a first run costs beyond that is the column ``first s``. Ours is
timed with its label survey, recipe fit, checkpoint and kept bundle; raw XGBoost without any.

``ours, checkpoint each round`` tells what a checkpoint costs: divide the difference by the rounds.
``ours, a quarter of its memory`` has a budget of a quarter of the features' float32 bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import common

ROWS, FEATURES, FILES, DEPTH = 2_000_000, 28, 8, 6
NAMES = [f"f{number:02d}" for number in range(FEATURES)]


def lake_root(scale: float) -> str:
    return str(common.CACHE / f"train-{int(ROWS * scale)}")


def make(scale: float) -> str:
    import numpy as np
    import polars as pl

    import raypipe as rp

    root = lake_root(scale)
    table = rp.Lake(root).table("rows")
    rows = int(ROWS * scale) // FILES
    for part in range(FILES):
        rng = np.random.default_rng(part)
        values = rng.normal(size=(rows, FEATURES)).astype(np.float32)
        signal = values[:, 0] + values[:, 1] * values[:, 2] - np.abs(values[:, 3])
        label = (signal + rng.normal(size=rows) > 0).astype(np.int8)
        frame = pl.DataFrame(values, schema=NAMES).with_columns(label=pl.Series(label))
        table.append(frame, batch_id=f"part-{part}")
    return root


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

    rows = rp.Lake(lake_root(request["scale"])).table("rows").at()
    every = 1 if request.get("each_round") else timedelta(seconds=10)
    raw = int(ROWS * request["scale"]) * FEATURES * 4
    trainer = rp.Trainer(
        rp.Recipe(rp.transforms.select(*NAMES)),
        label="label",
        learner=rp.XGBoost(rounds=request["rounds"], max_depth=DEPTH),
        num_workers=request["workers"],
        cpus_per_worker=request["threads"],
        checkpoint_every=every,
        memory_budget=max(raw // 4, 64 * 1024**2) if request.get("quarter") else None,
        run_on=request["run_on"],
    )
    began = time.perf_counter()
    run = trainer.fit(rows, tags={"turn": f"{time.time_ns()}"})
    return time.perf_counter() - began, {"hash": run.bundle.content_hash[:12]}


def raw(request: dict[str, Any]) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xgboost
    from deltalake import DeltaTable

    files = DeltaTable(f"{lake_root(request['scale'])}/rows").file_uris()
    table = pa.concat_tables(pq.read_table(file) for file in sorted(files))
    data = xgboost.QuantileDMatrix(
        table.select(NAMES), label=table["label"].to_numpy(), nthread=request["all_threads"]
    )
    xgboost.train(params(request["all_threads"]), data, num_boost_round=request["rounds"])
    return {}


def documented(request: dict[str, Any]) -> Any:
    """Ray's user guide: a Ray dataset, ``materialize().to_pandas()`` in each worker."""
    import tempfile

    import ray
    import ray.train
    from deltalake import DeltaTable
    from ray.train.xgboost import XGBoostTrainer

    from raypipe.engine.cluster import ensure_ray

    ensure_ray()
    files = DeltaTable(f"{lake_root(request['scale'])}/rows").file_uris()
    settings, rounds = params(request["threads"]), request["rounds"]

    def loop() -> None:
        import xgboost

        frame = ray.train.get_dataset_shard("train").materialize().to_pandas()
        data = xgboost.DMatrix(frame.drop(columns="label"), label=frame["label"])
        xgboost.train(settings, data, num_boost_round=rounds)

    XGBoostTrainer(
        loop,
        scaling_config=ray.train.ScalingConfig(
            num_workers=request["workers"], resources_per_worker={"CPU": request["threads"]}
        ),
        run_config=ray.train.RunConfig(storage_path=tempfile.mkdtemp()),
        datasets={"train": ray.data.read_parquet(files)},
    ).fit()
    return {}


WAYS = {"ours": ours, "raw": raw, "documented": documented}


def contenders(wanted: str) -> list[common.Contender]:
    here = Path(__file__)

    def way(name: str, kind: str, **more: Any) -> common.Contender:
        return common.Contender(name, here, ("--serve", kind, "--more", json.dumps(more)))

    every = {
        "raw": way("raw XGBoost, Arrow, one process", "raw"),
        "local": way("ours, in this process", "ours", run_on="local"),
        "each": way("ours, checkpoint each round", "ours", run_on="local", each_round=True),
        "quarter": way("ours, a quarter of its memory", "ours", run_on="local", quarter=True),
        "ray": way("ours, Ray Train", "ours", run_on="ray"),
        "documented": way("Ray's documented way", "documented"),
    }
    return [every[name] for name in wanted.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve")
    parser.add_argument("--more", default="{}")
    parser.add_argument("--scale", type=float, default=0.1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", default="raw,local,each,quarter,ray,documented")
    asked = parser.parse_args()
    if asked.serve:
        more = json.loads(asked.more)
        common.serve(lambda request: WAYS[asked.serve]({**request, **more}))
        return
    make(asked.scale)
    request = {
        "scale": asked.scale,
        "rounds": asked.rounds,
        "workers": asked.workers,
        "threads": max(1, 2 // asked.workers),
        "all_threads": 2,
    }
    found = contenders(asked.ways)
    runs = common.race(found, asked.repeats, lambda *_: request)
    base = "raw XGBoost, Arrow, one process"
    table = common.rows(runs, base)
    rows = int(ROWS * asked.scale)
    title = f"{rows:,} rows, {asked.rounds} rounds, {asked.workers} ranks"
    print(common.show(title, table, "raw"))
    told = {"rows": rows, "rounds": asked.rounds, "workers": asked.workers, "table": table}
    name = f"train_delta_{rows}_{asked.rounds}_{asked.workers}"
    print(f"written to {common.save(name, told)}")


if __name__ == "__main__":
    main()
