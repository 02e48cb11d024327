"""Drift of one column as a conformal test martingale: exact under exchangeability.

The question: could the live rows and the training rows be one shuffled pack? Each live value is
binned as the training profile bins it. For each live row, in a fixed order, its randomised rank
among all rows so far is

    p = (rows with a lower code + U · rows with the same code) / rows so far

where the counts run over the training rows, the earlier live rows and the row itself. If the rows
are exchangeable and the bins were fixed beforehand, these p are independent and uniform on [0, 1),
whatever the distribution of the column (Vovk, Gammerman and Shafer, Algorithmic Learning in a
Random World, 2022, chapter 8). A bet against uniformity is then a nonnegative martingale that
starts at 1, and by Ville's inequality it ever reaches 1/a with probability at most a. Looking every
second or once a year makes no difference.

The bet: cut [0, 1) into K equal cells and predict the next cell by the Krichevsky-Trofimov rule
(a Dirichlet prior of 1/2 a cell). Its capital after n rows has a closed form in the cells' counts,

    K^n · Γ(K/2)/Γ(n + K/2) · Π Γ(c + 1/2)/Γ(1/2)

so a state is a few whole numbers and no rounding can build up. The capital is averaged over K = 2,
4, 8 and 16: 2 sees a shift of location soonest, 4 a change of spread, 16 one category; not choosing
costs log 4. ``restarts`` spreads the capital over the windows at which a change may begin.

The order of codes: numeric bins in their order, categories **by name**, then all other
categories, then nulls. An order by training frequency (or a score of -log frequency) would put rare
categories side by side and see their sum sooner, but it is learnt from the very counts that live
rows are compared with: categories that were frequent by luck stand together, fall
back together in the live rows, and p is no longer uniform. A name knows nothing of the counts, so
the guarantee stays exact.

What is not exact: the profile takes its bin edges and its list of categories from the same
training rows that it counts. With k bins over N training rows this moves the law of p by about
k/N, far below what a bet can find; ``benchmarks/drift_false_alarms.py`` measures it.

U comes from a hash of a key and the row's number, so running again gives the same bits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from raypipe.monitoring.restarts import Ledger

CELLS = 16
_RESOLUTIONS = (2, 4, 8, 16)
_TABLE = 1 << 16  # counts below this are looked up, larger ones computed
_CHUNK_VALUES = 1 << 22  # bounds the memory of the running counts

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ColumnState:
    """What the martingale of one column remembers; whole numbers only.

    Args:
        live: live rows so far by ordered code.
        cells: counts of p by cell, now and at each start point.
    """

    live: tuple[int, ...]
    cells: Ledger

    @classmethod
    def empty(cls, codes: int) -> ColumnState:
        """The state before the first live row of a column with so many codes."""
        return cls((0,) * codes, Ledger.empty(CELLS))

    @property
    def rows(self) -> int:
        """Live rows seen."""
        return sum(self.live)

    @property
    def log_e(self) -> float:
        """The natural logarithm of the evidence against exchangeability; 0 at the start."""
        return self.cells.log_e(log_capital(self.cells.since()))

    def update(self, codes: IntArray, reference: IntArray, key: int) -> ColumnState:
        """The state after live rows, in order; any split of the same rows gives the same state.

        Args:
            codes: ordered codes, from 0 to ``len(reference) - 1``.
            reference: training rows by ordered code; the same in every call.
            key: the key of the uniforms; the same in every call.
        """
        live = np.asarray(self.live, dtype=np.int64)
        p = online_p_values(codes, reference + live, uniforms(key, self.rows, len(codes)))
        counts = np.bincount(cells_of(p), minlength=CELLS)
        live += np.bincount(codes, minlength=len(live))
        return ColumnState(tuple(live.tolist()), self.cells.add(counts.tolist()))

    def close(self) -> ColumnState:
        """The state with its window closed: from here on a change may begin anew."""
        return ColumnState(self.live, self.cells.close())

    def to_json(self) -> dict[str, Any]:
        """JSON values that ``from_json`` takes back."""
        return {"live": list(self.live), "cells": self.cells.to_json()}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ColumnState:
        """The state that ``to_json`` wrote."""
        return cls(tuple(value["live"]), Ledger.from_json(value["cells"]))


def uniforms(key: int, first: int, count: int) -> FloatArray:
    """Uniforms on [0, 1) for rows ``first`` to ``first + count - 1`` (SplitMix64 of key and row).

    Written out rather than taken from a library's generator: the bits are part of the state's
    meaning and must not change with a version.
    """
    rows = np.arange(first + 1, first + count + 1, dtype=np.uint64)
    z = rows * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key % (1 << 64))
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def online_p_values(codes: IntArray, counts: IntArray, u: FloatArray) -> FloatArray:
    """The randomised rank of each row among the counted rows, the earlier rows and itself.

    Args:
        codes: ordered codes of the new rows, in order.
        counts: rows before them, by code.
        u: one uniform a row.
    """
    p = np.empty(len(codes), dtype=np.float64)
    before = np.cumsum(counts)
    step = max(1, _CHUNK_VALUES // len(counts))
    for begin in range(0, len(codes), step):
        part = codes[begin : begin + step]
        up_to = (part[:, None] <= np.arange(len(counts))).cumsum(axis=0, dtype=np.int64) + before
        rows = np.arange(len(part))
        not_above = up_to[rows, part]
        below = np.where(part > 0, up_to[rows, part - 1], 0)
        p[begin : begin + step] = (below + u[begin : begin + step] * (not_above - below)) / up_to[
            :, -1
        ]
        before = up_to[-1]
    return p


def cells_of(p: FloatArray) -> IntArray:
    """The cell of each p; a p that rounding lifted to 1 belongs to the last."""
    return np.minimum((p * CELLS).astype(np.int64), CELLS - 1)


def log_capital(cells: npt.NDArray[Any]) -> FloatArray:
    """Log of the capital for counts of p by cell (last axis), averaged over resolutions."""
    cells = cells.astype(np.int64)
    rows = cells.sum(axis=-1)
    logs = []
    for k in _RESOLUTIONS:
        merged = cells.reshape(*cells.shape[:-1], k, CELLS // k).sum(axis=-1)
        fitted = _log_gamma(merged, 0.5).sum(axis=-1) - k * math.lgamma(0.5)
        total = math.lgamma(k / 2) - _log_gamma(rows + (k // 2 - 1), 1.0)
        logs.append(rows * math.log(k) + total + fitted)
    result: FloatArray = np.logaddexp.reduce(logs, axis=0) - math.log(len(_RESOLUTIONS))
    return result


@cache
def _gamma_table(offset: float) -> FloatArray:
    return np.array([math.lgamma(n + offset) for n in range(_TABLE)])


def _log_gamma(counts: IntArray, offset: float) -> FloatArray:
    """The log gamma function of counts plus an offset; from a table, or Stirling's series."""
    result = _gamma_table(offset)[np.minimum(counts, _TABLE - 1)]
    large = counts >= _TABLE
    if large.any():
        x = counts[large] + offset
        series = 1 / (12 * x) - 1 / (360 * x**3)
        result[large] = (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi) + series
    return result
