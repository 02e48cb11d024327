"""What polars takes for a frame of a recipe: fits the figures of ``raypipe.features.frame_cost``.

Run: ``python benchmarks/features_frame_cost.py [--rounds 60]`` on a quiet machine. Draws so many
recipes of 1 to 40 columns of every raw type, takes the least time of frames of 8, 512 and 4,096
rows of each, and fits, by least squares of ratios with no share below 0, the shares of inputs,
features, expressions, calls and joins that ``frame_cost`` adds up. Prints the shares and how far
their sum is from what was timed, for these recipes and for those of ``features_choice.py``, which
the fit has not seen.
"""

from __future__ import annotations

import random
import statistics
import time
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import common
import features_choice
import numpy as np
import polars as pl
from scipy.optimize import nnls

from raypipe.features import FittedRecipe, Recipe, transforms
from raypipe.features import frame_cost as cost

if TYPE_CHECKING:
    from collections.abc import Callable

    from raypipe.features.frame_cost import FrameShape

Rows = list[dict[str, Any]]
SIZES, MOST, STRETCH_S = (8, 512, 4096), 4096, 0.12
WORDS = [f"w{k}" for k in range(300)]
t = transforms
VALUES: dict[str, tuple[Any, Callable[[random.Random], Any]]] = {
    "f": (pl.Float64, lambda draw: draw.gauss(0, 5)),
    "g": (pl.Float64, lambda draw: None if draw.random() < 0.1 else draw.gauss(0, 5)),
    "n": (pl.Int64, lambda draw: draw.randrange(1000)),
    "b": (pl.Boolean, lambda draw: draw.random() < 0.5),
    "s": (pl.String, lambda draw: draw.choice("abcde")),
    "w": (pl.String, lambda draw: " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))),
    "t": (pl.Datetime("us"), lambda draw: datetime(2013, 1, 1) + timedelta(draw.random() * 99)),
    "d": (pl.Date, lambda draw: datetime(2013, 1, 1 + draw.randrange(28)).date()),
}
MAKERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "select": ("fnb", t.select),
    "impute": ("g", lambda name: t.impute(name, indicator=True)),
    "scale": ("fn", t.scale),
    "log1p": ("f", t.log1p),
    "bins": ("fn", lambda name: t.bins(name, count=5)),
    "one_hot": ("s", t.one_hot),
    "ordinal": ("s", t.ordinal),
    "target": ("s", t.target_encode),
    "count": ("s", t.count_encode),
    "hash": ("s", lambda name: t.hash_encode(name, width=4)),
    "clock": ("t", lambda name: t.date_parts(name, ["hour", "weekday"])),
    "round": ("td", lambda name: t.date_parts(name, ["weekday"], cyclical=True)),
    "derive": ("fg", lambda name: t.derive(**{f"{name}_twice": pl.col(name) * 2 + 1})),
    "text": ("w", t.text_parts),
    "ngrams": ("w", lambda name: t.ngrams(name, width=8)),
}


def drawn(seed: int) -> tuple[FittedRecipe, Rows]:
    """A recipe of up to five kinds of transforms, and rows for it."""
    draw = random.Random(seed)
    used = draw.sample(sorted(MAKERS), draw.randint(1, 5))
    steps, names = [], []
    for number in range(draw.choice([1, 2, 4, 8, 16, 40])):
        kinds, make = MAKERS[draw.choice(used)]
        names.append(f"{draw.choice(kinds)}{number}")
        steps.append(make(names[-1]))
    rows = [{name: VALUES[name[0]][1](draw) for name in names} for _ in range(MOST)]
    frame = pl.DataFrame(rows, schema={name: VALUES[name[0]][0] for name in names})
    label = pl.Series("y", [draw.random() for _ in rows])
    return Recipe(*steps).fit(frame.with_columns(label), "y"), rows


def timed(fitted: FittedRecipe, rows: Rows) -> tuple[FrameShape, list[float]]:
    """What the recipe asks, and the least seconds of a frame of each size."""
    scorer, found = fitted._rows_scorer(), []
    for size in SIZES:
        few, least = rows[:size], float("inf")
        end = time.perf_counter() + STRETCH_S
        while time.perf_counter() < end:
            begin = time.perf_counter()
            scorer.through_polars(few)
            least = min(least, time.perf_counter() - begin)
        found.append(least)
    return scorer._shape, found


def shares(shape: FrameShape, size: int) -> list[float]:
    """How often each share counts in a frame of so many rows."""
    own, each = shape.own, shape.each
    return [own[n] for n in cost.FRAME_S] + [size * each.get(n, 0.0) for n in cost.ROW_S]


def off(measured: list[tuple[FrameShape, list[float]]], pace: float) -> dict[str, float]:
    """By what factor the sum is off: the median, and that of the worst tenth."""
    ratios = [
        (shape.own_s + shape.row_s * size) * pace / seconds
        for shape, found in measured
        for size, seconds in zip(SIZES, found, strict=True)
    ]
    wrong = sorted(max(one, 1 / one) for one in ratios)
    return {"median": statistics.median(wrong), "nine tenths": wrong[len(wrong) * 9 // 10]}


def main() -> None:
    """Times, fits, prints and writes JSON."""
    parser = common.parser(__doc__)
    parser.set_defaults(rounds=60)
    rounds = parser.parse_args().rounds
    measured = [timed(*drawn(seed)) for seed in range(rounds)]
    known = [timed(*make()) for make in features_choice.RECIPES.values()]
    lines, ones = [], []
    for shape, found in measured:
        for size, seconds in zip(SIZES, found, strict=True):
            lines.append([share / seconds for share in shares(shape, size)])
            ones.append(1.0)
    fitted, _ = nnls(np.array(lines), np.array(ones))
    names = [*cost.FRAME_S, *cost.ROW_S]
    loop_s = min(cost._loop_s() for _ in range(200))
    for at, name in enumerate(names):
        unit, scale = ("µs", 1e6) if at < len(cost.FRAME_S) else ("ns a row", 1e9)
        print(f"| {name} | {fitted[at] * scale:.1f} {unit} |")
    print(f"| loop | {loop_s * 1e6:.1f} µs |")
    was = {"drawn": off(measured, loop_s / cost.LOOP_S), "known": off(known, loop_s / cost.LOOP_S)}
    cost.FRAME_S = dict(zip(cost.FRAME_S, fitted[: len(cost.FRAME_S)], strict=True))
    cost.ROW_S = dict(zip(cost.ROW_S, fitted[len(cost.FRAME_S) :], strict=True))
    now = {"drawn": off(measured, 1.0), "known": off(known, 1.0)}
    print("\n| recipes | figures | off by, median | nine tenths within |\n|---|---|---|---|")
    for told, table in (("as in the code", was), ("as fitted now", now)):
        for which, one in table.items():
            print(f"| {which} | {told} | {one['median']:.2f} | {one['nine tenths']:.2f} |")
    shown = {"frame_s": cost.FRAME_S, "row_s": cost.ROW_S, "loop_s": loop_s}
    print(common.save("features_frame_cost", {"shares": shown, "code": was, "fitted": now}))


if __name__ == "__main__":
    main()
