"""Training on features four times the memory budget: does it finish within the budget?

    make bench-train_out_of_core                           2 GiB of features, 512 MiB, 10 rounds
    python benchmarks/train_out_of_core.py --mib 4096      4 GiB, 1 GiB

The features are 100 float32 columns made by seed, in files of a Delta table, a row group each.
Each fit runs in a process of its own that has imported everything. ``above start`` is the most
memory that it had beyond what it had before the fit: its own pages (anonymous), and with the pages
of files that it has mapped (RSS), which the system takes back where memory is short. Another
process looks every 10 ms.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks import common

MIB = 1024**2
TIMES, FEATURES, DEPTH = 4, 100, 6
NAMES = [f"f{number:02d}" for number in range(FEATURES)]
WAYS = {
    "budget": "ours, a budget of a quarter of the features",
    "memory": "ours, without a budget",
    "raw": "raw XGBoost, Arrow, in memory",
}
_LOOK_S = 0.01
_SAMPLED = {"RssAnon": "own_mib", "VmRSS": "all_mib"}


def root(mib: int, file_mib: int) -> str:
    return str(common.CACHE / f"out-of-core-{mib}-{file_mib}")


def make(mib: int, file_mib: int) -> None:
    import numpy as np
    import polars as pl

    import raypipe as rp

    table, rows = rp.Lake(root(mib, file_mib)).table("rows"), file_mib * MIB // (4 * FEATURES)
    for part in range(mib // file_mib):
        rng = np.random.default_rng(part)
        values = rng.standard_normal(size=(rows, FEATURES), dtype=np.float32)
        signal = values[:, 0] + values[:, 1] * values[:, 2] - np.abs(values[:, 3])
        label = (signal + rng.normal(size=rows) > 0).astype(np.int8)
        frame = pl.DataFrame(values, schema=NAMES).with_columns(label=pl.Series(label))
        table.append(frame, batch_id=f"part-{part}")


def memory(pid: int) -> dict[str, int]:
    """Bytes of a process: anonymous, and all that are resident."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pairs = (line.partition(":") for line in lines)
    return {k: int(v.split()[0]) * 1024 for k, _, v in pairs if k in _SAMPLED}


def sample(pid: int) -> None:
    """Prints the most memory that a process had when the standard input ends."""
    most = memory(pid)
    while not select.select([sys.stdin], [], [], _LOOK_S)[0]:
        most = {name: max(most[name], value) for name, value in memory(pid).items()}
    print(json.dumps(most), flush=True)


def fit(mib: int, file_mib: int, rounds: int, way: str) -> None:
    """One fit in this process; prints what it took."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import xgboost
    from deltalake import DeltaTable

    import raypipe as rp
    from raypipe.training import local, tree_session  # noqa: F401 - imported before the start

    place = root(mib, file_mib)
    rows = rp.Lake(place).table("rows").at()
    trainer = rp.Trainer(
        rp.Recipe(rp.transforms.select(*NAMES)),
        label="label",
        learner=rp.XGBoost(rounds=rounds, max_depth=DEPTH),
        memory_budget=mib // TIMES * MIB if way == "budget" else None,
        run_on="local",
    )

    def raw() -> bytes:
        files = sorted(DeltaTable(f"{place}/rows").file_uris())
        table = pa.concat_tables(pq.read_table(file) for file in files)
        data = xgboost.QuantileDMatrix(table.select(NAMES), label=table["label"].to_numpy())
        params = {"objective": "binary:logistic", "max_depth": DEPTH, "learning_rate": 0.1}
        return bytes(xgboost.train(params, data, rounds).save_raw("ubj"))

    def ours() -> bytes:
        return bytes(trainer.fit(rows, tags={"turn": time.time_ns()}).model.booster.save_raw("ubj"))

    before = memory(os.getpid())
    command = [sys.executable, __file__, "--sample", str(os.getpid())]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True) as looking:
        began = time.perf_counter()
        model = raw() if way == "raw" else ours()
        seconds = time.perf_counter() - began
        most = json.loads(looking.communicate()[0])
    told = {key: round((most[name] - before[name]) / MIB) for name, key in _SAMPLED.items()}
    digest = hashlib.sha256(model).hexdigest()[:12] if way != "raw" else None
    print(json.dumps({"seconds": seconds, **told, "hash": digest}))


def row(way: str, found: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = [one["seconds"] for one in found]
    return {
        "name": WAYS[way],
        "s": round(statistics.median(seconds), 2),
        "s_min": round(min(seconds), 2),
        "s_max": round(max(seconds), 2),
        **{key: max(one[key] for one in found) for key in _SAMPLED.values()},
        "runs": found,
    }


def show(title: str, table: list[dict[str, Any]]) -> str:
    lines = [f"| {title} | s (min to max) | most MiB above start, own pages | with mapped files |"]
    lines += ["|---|---|---|---|"]
    lines += [
        f"| {one['name']} | {one['s']:.1f} ({one['s_min']:.1f} to {one['s_max']:.1f}) "
        f"| {one['own_mib']} | {one['all_mib']} |"
        for one in table
    ]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--sample", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--fit", help=argparse.SUPPRESS)
    parser.add_argument("--mib", type=int, default=2048, help="of features (default 2048)")
    parser.add_argument("--file-mib", type=int, default=128, help="of a row group (default 128)")
    parser.add_argument("--rounds", type=int, default=10, help="to grow (default 10)")
    parser.add_argument("--repeats", type=int, default=2, help="fits of each way (default 2)")
    parser.add_argument("--ways", default="budget,memory,raw", help="by comma")
    asked = parser.parse_args()
    if asked.sample:
        sample(asked.sample)
        return
    if asked.fit:
        fit(asked.mib, asked.file_mib, asked.rounds, asked.fit)
        return
    make(asked.mib, asked.file_mib)
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in asked.ways.split(",")}
    for number in range(asked.repeats):
        for way in list(runs)[:: 1 if number % 2 == 0 else -1]:
            command = [sys.executable, __file__, "--fit", way]
            command += ["--mib", str(asked.mib), "--file-mib", str(asked.file_mib)]
            command += ["--rounds", str(asked.rounds)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            runs[way].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{way}: {runs[way][-1]}", file=sys.stderr, flush=True)
    table, budget = [row(way, found) for way, found in runs.items()], asked.mib // TIMES
    print(show(f"{asked.mib} MiB of features, {asked.rounds} rounds", table))
    told = {"mib": asked.mib, "budget_mib": budget, "rounds": asked.rounds, "table": table}
    print(f"written to {common.save(f'train_out_of_core_{asked.mib}', told)}")
    hashes = {one["hash"] for found in runs.values() for one in found} - {None}
    if len(hashes) > 1:
        raise SystemExit(f"the models differ: {hashes}")
    if "budget" in runs:
        most = max(one["own_mib"] for one in runs["budget"])
        word = "within" if most <= budget else "BEYOND"
        print(f"budget {budget} MiB, most above start {most} MiB: {word} it")


if __name__ == "__main__":
    main()
