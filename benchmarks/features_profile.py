"""How fast is the reference profile made, against Evidently, whylogs and ydata-profiling?

    make peers-profilers
    python benchmarks/features_profile.py [--rows 1000000] [--rounds 3] [--only raypipe,whylogs]

A Parquet file of 24 columns of numbers, some with nulls, and 6 of categories. Ours is
``Recipe.fit``: rows by the bins between 31 quantiles or by category, nulls, and the label by
each; it fits six ordinal encodings besides. Evidently gives three quartiles and the missing values
of each number, and the distinct and missing values of each category; and its summary of all.
whylogs logs the frame; ydata-profiling describes it with ``minimal=True``. ``seconds`` is file to
figures. Prints a table and writes ``benchmarks/results/features_profile.json``.
"""

from __future__ import annotations

from pathlib import Path

import common
import numpy as np
import polars as pl

SCRIPT = Path(__file__).parent / "peers" / "features_profile.py"
PROFILERS = str(common.HERE.parent / ".venvs" / "profilers" / "bin" / "python")
NUMBERS, CATEGORIES = 24, 6
BASE = "raypipe"


def make(count: int) -> str:
    """The file, made once into the cache."""
    path = common.CACHE / f"profile-{count}.parquet"
    if path.is_file():
        return str(path)
    rng = np.random.default_rng(0)
    made = {}
    for number in range(NUMBERS):
        kind = number % 4
        values = (rng.normal(size=count), rng.exponential(50, count).round(2),
                  rng.integers(0, 5_000, count).astype(float), rng.random(count))[kind]  # fmt: skip
        column = pl.Series(values)
        if number % 3 == 0:
            column = pl.select(
                pl.when(pl.Series(rng.random(count) > 0.05)).then(column)
            ).to_series()
        made[f"x{number:02}"] = column
    for number in range(CATEGORIES):
        names = np.array([f"kind {k}" for k in range(4 * 3**number)])
        made[f"c{number}"] = pl.Series(names[rng.integers(0, len(names), count)])
    made["label"] = pl.Series(rng.random(count) < 0.3)
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame(made).write_parquet(path.with_suffix(".part"))
    path.with_suffix(".part").rename(path)
    return str(path)


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.set_defaults(rounds=3)
    asked = parser.parse_args()
    if not Path(PROFILERS).is_file():
        raise SystemExit("The peers are not installed. Run: make peers-profilers")
    path = make(asked.rows)
    peers = {
        "Evidently, quartiles and missing": "evidently",
        "Evidently, DataSummaryPreset": "evidently_summary",
        "whylogs": "whylogs",
        "ydata-profiling, minimal": "ydata",
    }
    contenders = [
        common.Contender(BASE, SCRIPT, ("raypipe",)),
        *(common.Contender(name, SCRIPT, (way,), PROFILERS) for name, way in peers.items()),
    ]
    request = {"path": path, "numbers": NUMBERS, "categories": CATEGORIES}
    chosen = common.chosen(contenders, asked.only)
    runs = common.race(chosen, asked.rounds, lambda *_: request)
    table = common.rows(runs, BASE)
    print(common.show(f"{asked.rows:,} rows by {NUMBERS + CATEGORIES}", table, BASE))
    print(f"\nwritten to {common.save('features_profile', {'rows': asked.rows, 'table': table})}")


if __name__ == "__main__":
    main()
