"""What features cost at serving: one row, 256 and 4,096 rows, 10 and 100 features, from dicts.

Run: ``python benchmarks/features_row.py [--rounds 5] [--only raypipe,polars] [--recipes mixed]``.
A mixed recipe holds several kinds of transforms, a numeric one numbers alone. Peers are one
polars ``select`` written by hand, a scikit-learn ``ColumnTransformer`` (``make peers``) and a Feast
on-demand feature view (``make peers-feast``). All start from a list of dicts and end with a float32
matrix. raypipe is shown three times: the way it chooses, its compiled function row by row, and its
way through polars; the choice has to be as fast as the better of the two.

Goals: one row within 2 µs for 10 features and 20 µs for 100.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parent))
import common
from common import Contender

if TYPE_CHECKING:
    from argparse import Namespace

SCRIPT = common.HERE / "peers" / "features_row.py"
FEAST = common.HERE.parent / ".venvs" / "feast" / "bin" / "python"
GOAL_US = {(10, 1): 2.0, (100, 1): 20.0}
NEAR = 1.15  # two ways within this are as fast as each other on a machine that does other things


def contenders() -> list[Contender]:
    """Those that are installed; who is not is named."""
    found = [
        Contender(name, SCRIPT)
        for name in ("raypipe", "raypipe_one_by_one", "raypipe_through_polars", "polars")
    ]
    for name, python, target in (
        ("sklearn", common.PEERS, "peers"),
        ("feast", FEAST, "peers-feast"),
    ):
        if Path(python).is_file():
            found.append(Contender(name, SCRIPT, python=str(python)))
        else:
            print(f"{name} is not installed: make {target}", file=sys.stderr)
    return found


def measure(recipe: str, features: int, rows: int, given: Namespace) -> dict[str, object]:
    """One table: microseconds a call of each way."""
    request = {"recipe": recipe, "features": features, "rows": rows}
    chosen = common.chosen(contenders(), given.only)
    runs = common.race(chosen, given.rounds, lambda name, _: {**request, "way": name}, warmups=1)
    print(
        f"\n| {recipe}, {features} features, {rows} rows | µs a call (min to max) | µs a row "
        "| of raypipe |"
    )
    print("|---|---|---|---|")
    base = next((r for r in runs if r.name == "raypipe" and r.seconds), None)
    table, sums = [], {}
    for one in runs:
        if one.error is not None:
            print(f"| {one.name} | failed: {one.error[:80]} | | |")
            table.append({"name": one.name, "error": one.error})
            continue
        us = [s * 1e6 for s in one.seconds]
        middle = statistics.median(us)
        ratio = ""
        if base is not None:
            pairs = [a / b for a, b in zip(one.seconds, base.seconds, strict=False)]
            ratio = f"{statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"
        print(
            f"| {one.name} | {middle:.2f} ({min(us):.2f} to {max(us):.2f}) "
            f"| {middle / rows:.2f} | {ratio} |"
        )
        sums[one.name] = one.answers[0]
        table.append({"name": one.name, "us": us, "peak_mb": max(one.peak_mb)})
    _same(sums)
    found = {row["name"]: statistics.median(row["us"]) for row in table if "us" in row}
    return {**request, "table": table, "verdicts": verdicts(features, rows, found)}


def verdicts(features: int, rows: int, us: dict[str, float]) -> list[str]:
    """What the goals say of the medians."""
    said = []
    goal = GOAL_US.get((features, rows))
    if goal is not None and "raypipe" in us:
        said.append(f"goal {goal:g} µs: {'met' if us['raypipe'] <= goal else 'missed'}")
    ways = [us[name] for name in ("raypipe_one_by_one", "raypipe_through_polars") if name in us]
    if rows > 1 and len(ways) == 2 and "raypipe" in us:
        fine = us["raypipe"] <= NEAR * min(ways)
        said.append(f"the faster way is chosen: {'yes' if fine else 'no'}")
    for line in said:
        print(line)
    return said


def _same(sums: dict[str, dict[str, float]]) -> None:
    if not sums:
        return
    first = next(iter(sums.values()))
    for name, found in sums.items():
        close = abs(found["sum"] - first["sum"]) <= 1e-4 * max(1.0, abs(first["sum"]))
        if found["features"] != first["features"] or not close:
            raise SystemExit(f"{name} computes something else: {found}, not {first}")


def main() -> None:
    """Measures and prints all tables, and writes them as JSON."""
    parser = common.parser(__doc__)
    parser.add_argument("--recipes", default="mixed,numeric", help="of mixed and numeric, by comma")
    parser.add_argument("--features", default="10,100", help="of 10 and 100, by comma")
    parser.add_argument("--rows", default="1,256,4096", help="rows a call, by comma")
    given = parser.parse_args()
    tables = [
        measure(recipe, features, rows, given)
        for recipe in given.recipes.split(",")
        for features in map(int, given.features.split(","))
        for rows in map(int, given.rows.split(","))
    ]
    print(common.save("features_row", {"tables": tables}))


if __name__ == "__main__":
    main()
