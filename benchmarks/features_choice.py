"""Whether rows are scored the faster of the two ways, whatever the recipe and the number of rows.

Run: ``python benchmarks/features_choice.py [--rounds 12] [--rows 1,8,64,256,1024,4096]``. For each
recipe and number of rows one process takes in turn: every row through the compiled function, a
frame through polars, and ``FittedRecipe.rows``, which chooses; each as often as fills a
millisecond, in all orders. Medians are shown; ways are compared by the least times of each, since
what else the machine does only adds. The last table asks a recipe that has scored nothing yet for
300 numbers of rows from 1 to 4,096, each number as likely as its double, and sets the time of all
its calls, those that are timed included, against the better way of each call: once where nothing is
known in the process, and once more for the same recipe fitted again, which shares what was learned.
"""

from __future__ import annotations

import importlib.util
import itertools
import random
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))
import common
import polars as pl

from raypipe.features import FittedRecipe, Recipe, transforms
from raypipe.features.crossing import forget

if TYPE_CHECKING:
    from collections.abc import Callable

Rows = list[dict[str, Any]]
NEAR, CALLS, MOST, STRETCH_S = 1.15, 300, 4096, 0.001
_SPEC = importlib.util.spec_from_file_location(
    "features_row_peers", common.HERE / "peers" / "features_row.py"
)
assert _SPEC is not None
assert _SPEC.loader is not None
peers = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(peers)


def _as_peers(name: str, tens: int) -> tuple[FittedRecipe, Rows]:
    rows, label = peers.data(name, tens)
    return peers.recipe(rows, label), rows


def _text() -> tuple[FittedRecipe, Rows]:
    draw = random.Random(0)
    words = [f"w{k}" for k in range(300)]
    rows = [{"text": " ".join(draw.choices(words, k=draw.randint(1, 12)))} for _ in range(MOST)]
    recipe = Recipe(transforms.text_parts("text"), transforms.ngrams("text", width=16))
    return recipe.fit(pl.DataFrame(rows)), rows


def _left_to_polars() -> tuple[FittedRecipe, Rows]:
    draw = random.Random(0)
    rows = [{"x": draw.gauss(0, 9), "z": draw.gauss(0, 9)} for _ in range(MOST)]
    recipe = Recipe(transforms.derive(a=pl.col("x").round(2), b=pl.col("x") * pl.col("z")))
    return recipe.fit(pl.DataFrame(rows)), rows


RECIPES: dict[str, Callable[[], tuple[FittedRecipe, Rows]]] = {
    "mixed, 10 features": lambda: _as_peers("mixed", 1),
    "mixed, 100 features": lambda: _as_peers("mixed", 10),
    "numeric, 10 features": lambda: _as_peers("numeric", 1),
    "numeric, 100 features": lambda: _as_peers("numeric", 10),
    "text, length and 16 hashed n-grams": _text,
    "a step that only polars computes": _left_to_polars,
}


def _seconds(call: Callable[[Rows], object], rows: Rows) -> float:
    begin = time.perf_counter()
    call(rows)
    return time.perf_counter() - begin


def sizes(name: str, counts: list[int], rounds: int) -> list[dict[str, Any]]:
    """One line a number of rows: each way, the chosen one, and how much longer it took."""
    fitted, rows = RECIPES[name]()
    scorer = fitted._rows_scorer()
    ways = (scorer.some, scorer.through_polars, fitted.rows)
    orders = list(itertools.permutations(range(3)))
    found = []
    for count in counts:
        few = rows[:count]
        for _ in range(3):
            fitted.rows(few)
        often = [max(1, int(STRETCH_S / _seconds(way, few))) for way in ways]
        taken = []
        for number in range(rounds):
            times = [0.0] * 3
            for way in orders[number % len(orders)]:
                begin = time.perf_counter()
                for _ in range(often[way]):
                    ways[way](few)
                times[way] = (time.perf_counter() - begin) / often[way]
            taken.append(times)
        us = [statistics.median(times) * 1e6 for times in zip(*taken, strict=True)]
        least = [min(times) * 1e6 for times in zip(*taken, strict=True)]
        way = 0 if count <= scorer._crossing.until else 1
        regret, whole = (one / min(least[:2]) for one in (least[way], least[2]))
        print(
            f"| {name} | {count} | {us[0]:.1f} | {us[1]:.1f} | {us[2]:.1f} "
            f"| {('one by one', 'a frame')[way]} | {regret:.2f} | {whole:.2f} |",
            flush=True,
        )
        one_by_one, frame, chosen = zip(*taken, strict=True)
        found.append({"rows": count, "way": way, "regret": regret, "one_by_one_s": one_by_one,
                      "frame_s": frame, "rows_s": chosen})  # fmt: skip
    return found


def varied(name: str, known: str) -> dict[str, Any]:
    """A recipe that has scored nothing is asked for numbers of rows that vary."""
    if known == "nothing":
        forget()
    fitted, rows = RECIPES[name]()
    fitted.row(rows[0])  # compiled
    scorer, draw = fitted._rows_scorer(), random.Random(1)
    asked = timed = 0
    crossing = scorer._crossing
    chosen_s = better_s = 0.0
    for _ in range(CALLS):
        few = rows[: int(2 ** draw.uniform(0, 12))]
        before = crossing.until, crossing.since
        chosen_s += _seconds(fitted.rows, few)
        timed += before != (crossing.until, crossing.since)
        asked += len(few)
        better_s += min(_seconds(scorer.some, few), _seconds(scorer.through_polars, few))
    print(
        f"| {name} | {known} | {asked} | {timed} | {crossing.until:.0f} to {crossing.since:.0f} "
        f"| {chosen_s * 1e3:.0f} | {better_s * 1e3:.0f} | {chosen_s / better_s:.2f} |",
        flush=True,
    )
    return {"timed": timed, "ratio": chosen_s / better_s, "until": crossing.until}


def main() -> None:
    """Measures and prints both tables, and writes them as JSON."""
    parser = common.parser(__doc__)
    parser.set_defaults(rounds=12)
    parser.add_argument("--rows", default="1,8,64,256,1024,4096", help="rows a call, by comma")
    given = parser.parse_args()
    words = [word for word in given.only.split(",") if word]
    names = [name for name in RECIPES if not words or any(word in name for word in words)]
    counts = [int(count) for count in given.rows.split(",")]
    print("| recipe | rows | µs one by one | µs a frame | µs chosen | of the faster | near |")
    print("|---|---|---|---|---|---|---|")
    tables: dict[str, Any] = {name: {"sizes": sizes(name, counts, given.rounds)} for name in names}
    print("\n| recipe | known | rows in 300 calls | timed | crossing | ms | better way | of it |")
    print("|---|---|---|---|---|---|---|---|")
    for name in names:
        tables[name]["varied"] = varied(name, "nothing")
        tables[name]["refitted"] = varied(name, "its kind")
    print(common.save("features_choice", {"tables": tables}))


if __name__ == "__main__":
    main()
