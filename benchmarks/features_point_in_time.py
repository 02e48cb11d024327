"""How fast are rows joined with what was known at their times, against polars, DuckDB and Feast?

    make peers && python benchmarks/features_point_in_time.py [--rounds 5] [--scale 1] [--events 4]

At scale 1, 1,000,000 rows of 1,000,000 users ask three tables with 10,000,000 events in all, one
to three features each; one user has 5 % of all rows. The tables are Delta tables of a lake, in the
order of time, and every way reads their files; the answer is one frame in the order of the rows.
With ``--events 4`` the tables have four times the events, in files of the same size.
``--memory`` runs raypipe alone, once with the events and once with four times as many, and prints
the peak of each: what is held grows with the rows that ask, not with the events.

All must agree, but Feast: its file store gives fewer rows. It also multiplies each row with all
events of its user, so it runs on a hundredth of the rows (``--feast-scale``), with raypipe beside
it. It needs a venv of its own in ``.venvs/feast`` with ``feast`` in it, and is left out without.
Prints two tables and writes ``benchmarks/results/features_point_in_time.json``.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path
from typing import Any

import common
import numpy as np
import polars as pl
from peers.point_in_time import TABLES

SCRIPT = Path(__file__).parent / "peers" / "point_in_time.py"
FEAST = Path(common.PEERS).parents[2] / "feast" / "bin" / "python"
BASE = "polars join_asof"
ROWS = {"rows": 1_000_000, "clicks": 5_000_000, "balances": 3_000_000, "profiles": 2_000_000}
YEAR_US = 365 * 86_400 * 10**6
FILES = 4


def main() -> None:
    parser = common.parser(__doc__)
    parser.add_argument("--feast-scale", type=float, default=0.01, help="of Feast's run (0.01)")
    parser.add_argument("--events", type=int, default=1, help="times the events (1)")
    parser.add_argument("--memory", action="store_true", help="raypipe's peaks alone")
    args = parser.parse_args()
    if args.memory:
        peaks(args)
        return
    common.need_peers()
    ours = common.Contender("raypipe", SCRIPT, ("raypipe",))
    large = [
        ours,
        common.Contender(BASE, SCRIPT, ("polars",)),
        common.Contender("DuckDB ASOF", SCRIPT, ("duckdb",), common.PEERS),
    ]
    out = {"large": race(args, large, args.scale, BASE)}
    if FEAST.is_file():
        small = [ours, common.Contender("Feast file store", SCRIPT, ("feast",), str(FEAST))]
        out["small"] = race(args, small, args.feast_scale, "Feast file store")
    else:
        print(f"Feast is left out: there is no {FEAST}")
    print(common.save("features_point_in_time", out))


def peaks(args: Any) -> None:
    """Peak memory of the join by the number of events."""
    out = []
    for times in (1, 4):
        args.events = times
        ours = common.Contender(f"raypipe, {times} times the events", SCRIPT, ("raypipe",))
        out += race(args, [ours], args.scale, ours.name)
    print(common.save("features_point_in_time_memory", {"table": out}))


def race(args: Any, ways: list[common.Contender], scale: float, base: str) -> list[dict[str, Any]]:
    folder = Path(tempfile.mkdtemp(prefix="raypipe-bench-"))
    try:
        counts = {n: int(c * scale * (1 if n == "rows" else args.events)) for n, c in ROWS.items()}
        request = tables(folder, counts, int(1_000_000 * scale))
        answers: list[dict[str, Any]] = []

        def same(name: str, _number: int, answer: Any) -> None:
            if name.startswith("Feast"):
                print(f"{name} gives {answer['rows']:,} rows")
                return
            answers.append(answer)
            first = answers[0]
            alike = all(
                math.isclose(a, b, rel_tol=1e-9, abs_tol=0.01)
                for a, b in zip(answer["sums"], first["sums"], strict=True)
            )
            if not alike or answer["nulls"] != first["nulls"] or answer["rows"] != first["rows"]:
                raise SystemExit(f"{name} gives another join: {answer} and {first}")

        runs = common.race(
            common.chosen(ways, args.only), args.rounds, lambda *_: request, after=same
        )
        table = common.rows(runs, base)
        events = sum(count for name, count in counts.items() if name != "rows")
        title = f"{counts['rows']:,} rows, {events:,} events"
        print(common.show(title, table, base) + "\n", flush=True)
        return table
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def tables(folder: Path, counts: dict[str, int], users: int) -> dict[str, Any]:
    """Writes the tables into a lake; where it is, and the files of each."""
    from raypipe.lake import Lake

    lake = Lake(str(folder))
    rng = np.random.default_rng(7)
    files = {}
    for name, count in counts.items():
        user = np.where(rng.random(count) < 0.05, 7, rng.integers(0, users, count))
        seen = np.sort(rng.integers(0, YEAR_US, count)) + 1_735_689_600 * 10**6
        columns = TABLES.get(name, ["amount"])
        when = "at" if name == "rows" else "seen"
        frame = pl.DataFrame(
            {"user": user, when: seen, **{c: rng.normal(size=count) for c in columns}}
        ).with_columns(pl.col(when).cast(pl.Datetime("us")))
        if name == "rows":
            frame = frame.sample(fraction=1, shuffle=True, seed=7)
        table = lake.table(name)
        for piece in frame.iter_slices(min(-(-count // FILES), -(-ROWS[name] // FILES))):
            table.append(piece)
        files[name] = [part.uri for part in table.at().parts()]
    return {"lake": str(folder), "files": files}


if __name__ == "__main__":
    main()
