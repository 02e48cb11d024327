"""How fast is the reference profile made, against Evidently, whylogs and ydata-profiling?

    make peers-profilers
    python benchmarks/features_profile.py [--rows 1000000] [--rounds 3] [--only raypipe,whylogs]

A Parquet file of 24 columns of numbers, some with nulls, and 6 of categories. Ours is
``Recipe.fit``: rows by the bins between 31 quantiles or by category, nulls, and the label by
each; it fits six ordinal encodings besides.

Against it stands Evidently, once asked for less: three quartiles of each number, the rows of each
category, the missing values of every column. Then, in a second table, asked for the same: 31
quantiles in place of three. It has no label by bin, and its rows by bin follow from the quantiles,
so neither is asked of it. It draws a histogram with each figure, which is most of its time, and is
how it gives a figure. As that takes minutes, nothing is warmed up before the second table.

With ``--all`` also, in one run each, for they take long: Evidently's summary of all, whylogs
logging the frame, and ydata-profiling with ``minimal=True``.

``seconds`` is file to figures in a process that has imported all it needs. Prints tables
and writes ``benchmarks/results/features_profile.json``.
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
LESS = {"Evidently, quartiles": "evidently"}
SAME = {"Evidently, 31 quantiles": "evidently_same"}
MORE = {
    "Evidently, DataSummaryPreset": "evidently_summary",
    "whylogs": "whylogs",
    "ydata-profiling, minimal": "ydata",
}


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
    parser.add_argument("--all", action="store_true", help="the slow peers, too")
    parser.set_defaults(rounds=3)
    asked = parser.parse_args()
    if not Path(PROFILERS).is_file():
        raise SystemExit("The peers are not installed. Run: make peers-profilers")
    path = make(asked.rows)
    ours = common.Contender(BASE, SCRIPT, ("raypipe",))
    request = {"path": path, "numbers": NUMBERS, "categories": CATEGORIES}
    out: dict[str, object] = {"rows": asked.rows}
    races = [("less", LESS, asked.rounds, 1), ("same", SAME, asked.rounds, 0)]
    if asked.all:
        races.append(("more", MORE, 1, 0))
    for name, peers, rounds, warmups in races:
        contenders = [
            common.Contender(peer, SCRIPT, (way,), PROFILERS) for peer, way in peers.items()
        ]
        chosen = common.chosen([ours, *contenders], asked.only)
        runs = common.race(chosen, rounds, lambda *_: request, warmups=warmups)
        out[name] = table = common.rows(runs, BASE)
        title = f"{asked.rows:,} rows by {NUMBERS + CATEGORIES}, {name}"
        print(common.show(title, table, BASE) + "\n", flush=True)
    print(f"written to {common.save('features_profile', out)}")


if __name__ == "__main__":
    main()
