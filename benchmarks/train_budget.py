"""What a rank needs at the least memory budget that is taken, against what it takes.

    make bench-train_budget       in one process, and on Ray with one and two ranks; slopes
    python benchmarks/train_budget.py --only slopes

A row is a fit in a process of its own, at the least budget that ``raypipe.training.budget`` names
for its rows and features, so everything goes to disk that can. ``took`` is the most that a
process's own pages (anonymous, ``RssAnon``) grew while it held the rank, ``at most`` the least
budget; ``without`` is the same fit without a budget. Here the process also fits the recipe. On Ray
it is the process of Train's worker, from the moment it has imported everything; ``pss`` is what it
grew by in proportional set size, mapped files and shared memory counted by their share. Each
process looks at itself every 5 ms, by /proc.

``slopes`` measures the constants of ``budget.py``, each as the difference of two fits that differ
in one thing: a value of a batch (one batch of half and of all its rows), a row (few features, so
that neither batches nor sketches count), and what is left.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import raypipe as rp
from benchmarks import common

if TYPE_CHECKING:
    from raypipe.training.feeding import Feed
    from raypipe.training.learner import Build, Session

MIB = 1024**2
FILES, ROUNDS, LOOK_S = 4, 3, 0.005
GRID = [(1_280_000, 32), (2_560_000, 8), (320_000, 128), (4_000_000, 2)]
RAY = [(1_280_000, 32, 1), (1_280_000, 32, 2)]


def now() -> dict[str, int]:
    """Bytes of this process: anonymous, and in proportion."""
    own = {"own": "", "pss": ""}
    for name, file, key in (("own", "status", "RssAnon:"), ("pss", "smaps_rollup", "Pss:")):
        lines = Path(f"/proc/self/{file}").read_text().splitlines()
        own[name] = next(line for line in lines if line.startswith(key))
    return {name: int(line.split()[1]) * 1024 for name, line in own.items()}


class Look:
    """The most memory of this process until it is asked; of the proportional one, every 0.1 s."""

    def __init__(self) -> None:
        self.before = now()
        self.most = dict(self.before)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        turn = 0
        while not self._over.wait(LOOK_S):
            turn += 1
            if turn % 20 == 0:
                self.most = {name: max(self.most[name], value) for name, value in now().items()}
                continue
            lines = Path("/proc/self/status").read_text().splitlines()
            line = next(line for line in lines if line.startswith("RssAnon:"))
            self.most["own"] = max(self.most["own"], int(line.split()[1]) * 1024)

    def grew(self) -> dict[str, int]:
        """Bytes beyond those at the start."""
        self._over.set()
        self._thread.join()
        return {name: value - self.before[name] for name, value in self.most.items()}


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched(rp.XGBoost):
    """XGBoost, whose ranks write down what memory their process took."""

    folder: str = ""

    def build(self, train: Feed, valid: Feed | None, build: Build) -> Session:
        """A session that writes when it is cut, which is once, at the end."""
        from raypipe.training import tree_session  # noqa: F401 - imported before the start

        look = Look()
        session = rp.XGBoost.build(self, train, valid, build)
        cut = session.cut

        def told(rounds: int) -> bytes:
            model = cut(rounds)
            Path(self.folder, f"{build.rank}").write_text(json.dumps(look.grew()))
            return model

        session.cut = told  # type: ignore[method-assign]
        return session


def root(rows: int, features: int) -> str:
    return str(common.CACHE / f"budget-{rows}-{features}")


def make(rows: int, features: int) -> None:
    import numpy as np
    import polars as pl

    table = rp.Lake(root(rows, features)).table("rows")
    for part in range(FILES):
        rng = np.random.default_rng(part)
        values = rng.standard_normal(size=(rows // FILES, features), dtype=np.float32)
        label = (values[:, 0] + rng.normal(size=len(values)) > 0).astype(np.int8)
        frame = pl.DataFrame(values, schema=[f"f{number}" for number in range(features)])
        table.append(frame.with_columns(label=pl.Series(label)), batch_id=f"part-{part}")


def fit(asked: dict[str, Any]) -> dict[str, Any]:
    """One fit in this process, or on a Ray that it starts."""
    import tempfile

    from benchmarks.train_budget import Watched  # not __main__'s: workers import it
    from raypipe.training import local, tree_session  # noqa: F401 - imported before the start

    rows = rp.Lake(root(asked["rows"], asked["features"])).table("rows").at()
    names = [name for name in rows.schema if name != "label"]
    on_ray = asked["run_on"] == "ray"
    with tempfile.TemporaryDirectory() as folder:
        plain = rp.XGBoost(rounds=ROUNDS)
        trainer = rp.Trainer(
            rp.Recipe(rp.transforms.select(*names)),
            label="label",
            learner=Watched(rounds=ROUNDS, folder=folder) if on_ray else plain,
            num_workers=asked["ranks"],
            memory_budget=asked["budget"],
            run_on=asked["run_on"],
        )
        look, began = Look(), time.perf_counter()
        run = trainer.fit(rows, tags={"turn": time.time_ns()})
        seconds, here = time.perf_counter() - began, look.grew()
        ranks = [json.loads(one.read_text()) for one in sorted(Path(folder).iterdir())]
    model = hash(bytes(run.model.booster.save_raw("ubj")))
    return {"seconds": round(seconds, 2), "grew": ranks if on_ray else [here], "model": model}


def one(rows: int, features: int, ranks: int, run_on: str, *, bounded: bool) -> dict[str, Any]:
    from raypipe.training.budget import least_bytes

    make(rows, features)
    least = max(64 * MIB, least_bytes(rp.XGBoost(rounds=ROUNDS), -(-rows // ranks), features))
    asked = {"rows": rows, "features": features, "ranks": ranks, "run_on": run_on}
    asked["budget"] = least if bounded else None
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, __file__, "--one", json.dumps(asked)],
        capture_output=True, text=True, check=False, env=env,
    )  # fmt: skip
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    told = json.loads(done.stdout.splitlines()[-1])
    print(f"{asked}: {told}", file=sys.stderr, flush=True)
    return {**asked, **told, "least": least}


def mib(found: dict[str, Any], what: str = "own") -> float:
    return max(float(one[what]) for one in found["grew"]) / MIB


def table(cases: list[tuple[int, int, int, str]]) -> list[dict[str, Any]]:
    print("| rows | features | ranks | place | at most MiB | took | of it | pss | without |")
    print("|---|---|---|---|---|---|---|---|---|")
    out = []
    for rows, features, ranks, place in cases:
        found = one(rows, features, ranks, place, bounded=True)
        free = one(rows, features, ranks, place, bounded=False)
        if found["model"] != free["model"]:
            raise SystemExit("the models differ")
        least, took = found["least"] / MIB, mib(found)
        print(
            f"| {rows:,} | {features} | {ranks} | {place} | {least:.0f} | {took:.0f} "
            f"| {took / least:.2f} | {mib(found, 'pss'):.0f} | {mib(free):.0f} |",
            flush=True,
        )
        out.append({**found, "took_mib": round(took, 1), "without_mib": round(mib(free), 1)})
    return out


def slopes() -> dict[str, float]:
    """The constants of ``budget.py``, in bytes, as measured."""

    def took(rows: int, features: int) -> float:
        return mib(one(rows, features, 1, "local", bounded=True)) * MIB

    batch = 4 * MIB // 32  # rows of one batch
    half, whole = took(batch // 2, 32), took(batch, 32)
    few, many = took(4_000_000, 1), took(8_000_000, 1)
    found = {
        "a value of a batch": (whole - half) / (batch // 2 * 32),
        "a row": (many - few) / 4_000_000,
        "beside": took(10_000, 1),
    }
    for name, value in found.items():
        print(f"{name}: {value:,.1f} bytes")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--only", default="grid,ray,slopes", help="by comma")
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(fit(json.loads(asked.one))))
        return
    only, told = asked.only.split(","), {}
    cases = [(rows, features, 1, "local") for rows, features in GRID] if "grid" in only else []
    cases += [(*case, "ray") for case in RAY] if "ray" in only else []
    if cases:
        told["table"] = table(cases)
    if "slopes" in only:
        told["slopes"] = slopes()
    print(f"written to {common.save('train_budget', told)}")


if __name__ == "__main__":
    main()
