"""How often does a drift monitor cry wolf, and how soon does it find a change?

    python benchmarks/drift_false_alarms.py [--runs 100] [--seed 0]

Simulated monitors look at 10 numeric columns 100 times, 200 rows a look, against 5,000 training
rows. raypipe's evidence (false_alarm = 0.01, with and without the PSI floor of 0.1) is compared
with three common rules applied at every look: Kolmogorov-Smirnov at 0.05 a column, the same with
Bonferroni over the columns, and PSI > 0.1 over ten quantile bins. Prints a table and writes
benchmarks/results/drift_false_alarms.json.

"early" is the share of runs with an alarm before the change (without a change: in all looks), that
is, of false alarms; "found" the share of runs in which the first alarm came at or after the change;
"rows" the median rows from the change to the alarm in those runs. Where the change is there from
the first look, an alarm in a column that did not change counts as found, which flatters the rules
with many false alarms. The last scenario has no lasting change, but its rows depend on each other
(one AR(1) level a look): no bound is promised there.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raypipe.monitoring.drift import population_stability_index, psi_noise
from raypipe.monitoring.martingale import (
    CELLS,
    ColumnState,
    cells_of,
    log_capital,
    online_p_values,
    uniforms,
)
from raypipe.monitoring.restarts import is_kept, mix_starts

LOOKS, COLUMNS, ROWS, TRAINING, BINS = 100, 10, 200, 5000, 10
FALSE_ALARM, FLOOR = 0.01, 0.1
METHODS = ("raypipe", "raypipe, no floor", "KS at 0.05", "KS, Bonferroni", "PSI > 0.1")


@dataclass(frozen=True)
class Scenario:
    """A change of one column from a look on."""

    name: str
    change: int = LOOKS
    shift: float = 0.0
    spread: float = 1.0
    level: float = 0.0  # standard deviation of an AR(1) level common to the rows of a look


SCENARIOS = (
    Scenario("no change"),
    Scenario("shift 0.5 sd, look 0", 0, shift=0.5),
    Scenario("shift 0.5 sd, look 50", 50, shift=0.5),
    Scenario("spread 1.6x, look 50", 50, spread=1.6),
    Scenario("shift 0.2 sd, look 50", 50, shift=0.2),
    Scenario("no change, dependent rows", level=0.2),
)


def draw(scenario: Scenario, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Training rows (TRAINING, COLUMNS) and live rows (LOOKS, ROWS, COLUMNS)."""
    live = rng.normal(size=(LOOKS, ROWS, COLUMNS))
    live[scenario.change :, :, 0] *= scenario.spread
    live[scenario.change :, :, 0] += scenario.shift
    if scenario.level:
        level = np.zeros(COLUMNS)
        for look in range(LOOKS):
            level = 0.8 * level + 0.6 * rng.normal(size=COLUMNS) * scenario.level
            live[look] += level
    return rng.normal(size=(TRAINING, COLUMNS)), live


def ks_p_values(training: np.ndarray, live: np.ndarray) -> np.ndarray:
    """Asymptotic two-sample p-values of one column, one a look."""
    training, live = np.sort(training), np.sort(live, axis=1)
    left = np.searchsorted(training, live, side="left") / TRAINING
    right = np.searchsorted(training, live, side="right") / TRAINING
    step = np.arange(ROWS + 1) / ROWS
    distance = np.maximum(np.abs(step[1:] - right), np.abs(step[:-1] - left)).max(axis=1)
    x = distance * math.sqrt(TRAINING * ROWS / (TRAINING + ROWS))
    k = np.arange(1, 101)[:, None]
    series = 2 * ((-1.0) ** (k - 1) * np.exp(-2 * k**2 * x**2)).sum(axis=0)
    return np.where(x < 0.2, 1.0, np.clip(series, 0, 1))


def one_run(scenario: Scenario, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cells, PSI and KS p-values of a run: (COLUMNS, LOOKS + 1, CELLS) and (COLUMNS, LOOKS)."""
    training, live = draw(scenario, np.random.default_rng([seed, LOOKS]))
    cells = np.zeros((COLUMNS, LOOKS + 1, CELLS), dtype=np.int64)
    psi, ks = np.empty((COLUMNS, LOOKS)), np.empty((COLUMNS, LOOKS))
    of_look = np.repeat(np.arange(1, LOOKS + 1), ROWS)
    for column in range(COLUMNS):
        edges = np.quantile(training[:, column], np.arange(1, BINS) / BINS)
        counts = np.bincount(np.searchsorted(edges, training[:, column], "right"), minlength=BINS)
        codes = np.searchsorted(edges, live[:, :, column].ravel(), "right")
        u = uniforms(seed * COLUMNS + column, 0, len(codes))
        np.add.at(cells[column], (of_look, cells_of(online_p_values(codes, counts, u))), 1)
        by_look = np.zeros((LOOKS, BINS), dtype=np.int64)
        np.add.at(by_look, (of_look - 1, codes), 1)
        psi[column] = [population_stability_index(counts, row) for row in by_look]
        ks[column] = ks_p_values(training[:, column], live[:, :, column])
    return cells.cumsum(axis=1), psi, ks


def evidence(cells: np.ndarray) -> np.ndarray:
    """Log evidence (runs, COLUMNS, LOOKS) from running counts (runs, COLUMNS, LOOKS + 1, CELLS)."""
    result = np.empty((*cells.shape[:2], LOOKS))
    for now in range(1, LOOKS + 1):
        starts = np.array([s for s in range(now + 1) if is_kept(s, now)])
        capital = log_capital(cells[:, :, now, None] - cells[:, :, starts])
        result[:, :, now - 1] = mix_starts(starts, capital, now)
    return result


def alarms(scenario: Scenario, runs: int, seed: int) -> dict[str, np.ndarray]:
    """By method, whether each run's monitor is over its threshold at each look: (runs, LOOKS)."""
    cells, psi, ks = (
        np.stack(parts)
        for parts in zip(*(one_run(scenario, seed + run) for run in range(runs)), strict=True)
    )
    log_e = evidence(cells)
    threshold = math.log(COLUMNS / FALSE_ALARM)
    noise = psi_noise(np.full(BINS, TRAINING // BINS), np.full(BINS, ROWS // BINS))
    floored = np.where(psi - noise >= FLOOR, log_e, -math.inf)
    every = (
        np.logaddexp.reduce(floored, axis=1) >= threshold,
        np.logaddexp.reduce(log_e, axis=1) >= threshold,
        (ks < 0.05).any(axis=1),
        (ks < 0.05 / COLUMNS).any(axis=1),
        (psi > FLOOR).any(axis=1),
    )
    return dict(zip(METHODS, every, strict=True))


def summarise(scenario: Scenario, over: np.ndarray) -> dict[str, float | None]:
    """Shares of false alarms and of finds, and the median delay in rows."""
    first = np.where(over.any(axis=1), over.argmax(axis=1), LOOKS)
    found = first[(first >= scenario.change) & (first < LOOKS)]
    changes = scenario.change < LOOKS
    return {
        "early": float(np.mean(first < scenario.change)),
        "found": len(found) / len(first) if changes else None,
        "rows": float(np.median(found - scenario.change + 1) * ROWS) if len(found) else None,
    }


def week_ms(rows: int = 7000, columns: int = 20) -> float:
    """Milliseconds for the evidence of one week, best of five."""
    rng = np.random.default_rng(0)
    codes = rng.integers(0, BINS, rows)
    reference = np.full(BINS, 9000)
    best = math.inf
    for _ in range(5):
        begin = time.perf_counter()
        for key in range(columns):
            _ = ColumnState.empty(BINS).update(codes, reference, key).close().log_e
        best = min(best, time.perf_counter() - begin)
    return best * 1000


def shown(value: float | None, pattern: str) -> str:
    return "-" if value is None else format(value, pattern)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=100, help="simulated monitors a scenario")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    begin = time.perf_counter()
    table: dict[str, dict[str, dict[str, float | None]]] = {}
    for scenario in SCENARIOS:
        over = alarms(scenario, options.runs, options.seed)
        table[scenario.name] = {method: summarise(scenario, over[method]) for method in METHODS}
        print(f"\n{scenario.name:<26}{'early':>8}{'found':>8}{'rows':>8}")
        for method, row in table[scenario.name].items():
            early, found = shown(row["early"], ".3f"), shown(row["found"], ".3f")
            print(f"  {method:<24}{early:>8}{found:>8}{shown(row['rows'], '.0f'):>8}")
    week, seconds = week_ms(), time.perf_counter() - begin
    print(f"\n7,000 rows x 20 columns: {week:.0f} ms; {options.runs} runs in {seconds:.0f} s")
    path = Path(__file__).parent / "results" / "drift_false_alarms.json"
    path.parent.mkdir(exist_ok=True)
    result = {
        "runs": options.runs,
        "seed": options.seed,
        "looks": LOOKS,
        "columns": COLUMNS,
        "rows_a_look": ROWS,
        "training_rows": TRAINING,
        "false_alarm": FALSE_ALARM,
        "scenarios": table,
        "week_ms": week,
        "seconds": seconds,
        "python": platform.python_version(),
        "numpy": np.__version__,
    }
    path.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
