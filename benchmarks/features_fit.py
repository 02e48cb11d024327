"""How fast is a recipe fitted and applied, against polars, scikit-learn and Ray by hand?

    python benchmarks/features_fit.py [--rows 6000000] [--rounds 5] [--only raypipe,polars]

Ten columns of a table of flights: three imputed, two scaled, one binned, two one-hot, one
ordinal, one target-encoded; 19 float32 features. ``seconds`` is fit and transform of all rows,
files to features in memory. Ours also makes the profile and looks at the label. scikit-learn and
``ray.data.preprocessors`` get one file of the eight, and ours runs on that file once more, so that
each ratio is of the same rows. Prints a table for each and writes
``benchmarks/results/features_fit.json``.
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
BASE, SMALL_BASE = "polars by hand", "raypipe, one file"


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


def race(names: list[tuple[str, str, str]], root: str, files: int, asked: Any, base: str) -> Any:
    """One table: each way on the first files."""
    contenders = [common.Contender(n, SCRIPT, (way,), python) for n, way, python in names]
    sums: dict[str, list[float]] = {}

    def check(name: str, _: int, answer: Any) -> None:
        sums[name] = answer

    chosen = common.chosen(contenders, asked.only)
    runs = common.race(chosen, asked.rounds, lambda *_: {"root": root, "files": files}, after=check)
    for name, found in sums.items():
        print(f"{name}: {found}")
    return common.rows(runs, base)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--rows", type=int, default=6_000_000)
    asked = parser.parse_args()
    common.need_peers()
    root = make(asked.rows)
    ways = [("raypipe", "raypipe", common.OURS), (BASE, "polars", common.OURS)]
    whole = race(ways, root, FILES, asked, BASE)
    print(common.show(f"{asked.rows:,} rows", whole, BASE), flush=True)
    ours, found = (SMALL_BASE, "raypipe", common.OURS), {}
    for name, way, most in (
        ("scikit-learn ColumnTransformer", "sklearn", asked.rounds),
        ("ray.data.preprocessors", "ray", 2),
    ):
        asked.rounds = min(asked.rounds, most)
        found[way] = race([ours, (name, way, common.PEERS)], root, 1, asked, SMALL_BASE)
        title = f"{asked.rows // FILES:,} rows, one file"
        print(common.show(title, found[way], SMALL_BASE), flush=True)
    told = {"rows": asked.rows, "whole": whole, **found}
    print(f"\nwritten to {common.save('features_fit', told)}")


if __name__ == "__main__":
    main()
