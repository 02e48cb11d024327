"""How fast is a recipe fitted and applied, against polars, scikit-learn and Ray by hand?

    python benchmarks/features_fit.py [--rows 6000000] [--rounds 5] [--only raypipe,polars]

Ten columns of a table of flights: three imputed, two scaled, one binned, two one-hot, one
ordinal, one target-encoded; 19 float32 features. ``seconds`` is fit and transform of all rows,
files to features in memory. Ours also makes the profile, the label sums by fold that training
needs, and looks at the label. ``ray.data.preprocessors`` gets one round, and has no median, no
quantile bins and no target encoding; with ``--ray-files 1`` it reads one file of the eight, and
ours runs on that file once more. ``--sklearn-files 1`` is the same for scikit-learn, where memory
is short. Prints a table for each and writes ``benchmarks/results/features_fit.json``.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import common
import numpy as np
import polars as pl

FILES = 8
SCRIPT = Path(__file__).parent / "peers" / "features_fit.py"
OURS, POLARS = "raypipe", "polars by hand"
SKLEARN, RAY = "scikit-learn ColumnTransformer", "ray.data.preprocessors"
WAYS = {
    OURS: ("raypipe", common.OURS),
    POLARS: ("polars", common.OURS),
    SKLEARN: ("sklearn", common.PEERS),
    RAY: ("ray", common.PEERS),
}


def rows(count: int, seed: int) -> pl.DataFrame:
    """Flights, made by seed."""
    rng = np.random.default_rng(seed)
    names = lambda kind, n: np.array([f"{kind}{k:03}" for k in range(n)])  # noqa: E731
    dest = rng.zipf(1.3, count) % 300
    temp = rng.normal(12, 9, count)
    frame = pl.DataFrame(
        {
            "temp": temp,
            "wind": rng.exponential(10, count),
            "pressure": rng.normal(1013, 8, count).round(1),
            "distance": rng.integers(80, 5_000, count),
            "speed": rng.normal(800, 60, count),
            "price": rng.exponential(120, count),
            "origin": names("O", 3)[rng.integers(0, 3, count)],
            "weather": names("W", 8)[rng.integers(0, 8, count)],
            "carrier": names("C", 16)[rng.integers(0, 16, count)],
            "dest": names("airport ", 300)[dest],
            "late": rng.random(count) < 0.2 + 0.1 * (dest % 3) + 0.1 * (temp < 0),
        }
    )
    gone = {name: rng.random(count) < 0.05 for name in ("temp", "wind", "pressure", "dest")}
    return frame.with_columns(
        pl.when(pl.Series(where)).then(None).otherwise(pl.col(name)).alias(name)
        for name, where in gone.items()
    )


def make(count: int) -> str:
    """The table, made once into the cache; the lake's root."""
    import raypipe as rp

    root = common.CACHE / f"fit-{count}"
    if not (root / "done").is_file():
        shutil.rmtree(root, ignore_errors=True)
        table = rp.Lake(str(root)).table("rows")
        for number in range(FILES):
            table.append(rows(count // FILES, number), batch_id=str(number))
        (root / "done").touch()
    return str(root)


def race(names: list[str], root: str, files: int, rounds: int, only: str) -> list[common.Runs]:
    """The ways of these names on the first files, in turn."""
    contenders = [common.Contender(n, SCRIPT, WAYS[n][:1], WAYS[n][1]) for n in names]
    sums: dict[str, list[float]] = {}

    def check(name: str, _: int, answer: Any) -> None:
        sums[name] = answer

    chosen = common.chosen(contenders, only)
    runs = common.race(chosen, rounds, lambda *_: {"root": root, "files": files}, after=check)
    for name, found in sums.items():
        print(f"{name}: {found}")
    return runs


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--rows", type=int, default=6_000_000)
    parser.add_argument("--sklearn-files", type=int, default=FILES)
    parser.add_argument("--ray-files", type=int, default=FILES)
    asked = parser.parse_args()
    common.need_peers()
    root, told = make(asked.rows), {}
    sets = [([OURS, POLARS], FILES, asked.rounds)]
    if asked.sklearn_files == FILES:
        sets[0][0].append(SKLEARN)
    else:
        sets.append(([OURS, SKLEARN], asked.sklearn_files, asked.rounds))
    sets.append(([OURS, RAY], asked.ray_files, 1))
    for names, count, rounds in sets:
        if POLARS not in names and not any(word in names[-1] for word in asked.only.split(",")):
            continue
        runs = race(names, root, count, rounds, asked.only)
        for base in names[:2] if POLARS in names else names[:1]:
            table = common.rows(runs, base)
            title = f"{asked.rows // FILES * count:,} rows"
            print(common.show(title, table, base), flush=True)
            told[f"{names[-1]}, of {base}"] = table
    print(f"\nwritten to {common.save('features_fit', {'rows': asked.rows, **told})}")


if __name__ == "__main__":
    main()
