"""Label sums by category and fold, and the encoding of a fold's rows from all other folds."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.features.transforms.base import (
    ROW_HASH,
    Json,
    PlacedFitted,
    Slots,
    check_keys,
    is_number,
    slot,
    tampered,
)
from raypipe.features.transforms.categories import check_keys_fit, check_whole
from raypipe.features.transforms.counts import KEY, Tally
from raypipe.features.transforms.exact import digits_by, rounded
from raypipe.features.transforms.shared import RowsView

if TYPE_CHECKING:
    from collections.abc import Sequence

_KIND = "target_encode"
_COUNT = "n"
_FOLD = "fold"
_INTS = {_FOLD: pl.Int64, _COUNT: pl.Int64}
_Floats = npt.NDArray[np.float64]


def check_folds(folds: Any) -> int:
    """How many folds.

    Raises:
        RecipeError: it is not a whole number from 2 to 100.
    """
    return check_whole(folds, _KIND, "folds", 2, 100)


class FoldSums:
    """Rows and exact label sums: of all rows by fold, and by category and fold."""

    def __init__(self, column: str, smoothing: float, folds: int) -> None:
        self.column = column
        self.smoothing = smoothing
        self.folds = folds
        self.all = Tally(_FOLD)
        self.by_key = Tally(KEY, _FOLD)
        self.parts: dict[int, int] = {}

    def update(self, frame: pl.DataFrame, target: pl.Series | None) -> None:
        """Takes rows whose place is of no matter."""
        self.update_at(frame, target, 0, 0)

    def update_at(
        self, frame: pl.DataFrame, target: pl.Series | None, part: int, first_row: int
    ) -> None:
        """Takes rows that begin at a position of a part."""
        self.take(RowsView.of(frame, target, part, first_row))

    def take(self, view: RowsView) -> None:
        """Takes rows that know their place."""
        rows, coded = view.rows, view.coded(self.column)
        labels = rows.labels
        assert labels is not None
        height, size, folds = rows.frame.height, len(coded.keys), max(1, self.folds)
        self.parts[rows.part] = max(self.parts.get(rows.part, 0), rows.first_row + height)
        cell = np.full(height, size) if coded.rows is not None else coded.codes
        if coded.rows is not None:
            cell[coded.rows] = coded.codes
        if self.folds:
            cell = cell * folds + rows.folds(folds)
        known, values = labels.known, labels.values
        if not labels.whole:  # an infinite label is refused at the end of the pass
            finite = np.isfinite(values)
            known = finite if known is None else known & finite
        if known is not None and not known.all():
            cell, values = cell[known], values[known]
        there, code = _dense(cell, (size + 1) * folds)
        counts = np.bincount(code, minlength=len(there))
        if labels.whole:
            sums = {0: np.bincount(code, values, minlength=len(there)).astype(np.int64)}
        else:  # of which some may be too large for a whole number
            sums = digits_by(values, code, len(there))
        columns = {_COUNT: counts, **{_digit(j): column for j, column in sums.items()}}
        table = pl.DataFrame({_FOLD: there % folds, **columns}, schema_overrides=_INTS)
        keyed, keys = pl.Series(there // folds), pl.concat([coded.keys, coded.keys.clear(1)])
        table = table.with_columns(keys.gather(keyed).alias(KEY))
        table = table.filter(pl.col(_COUNT) > 0)
        self.all.add(table.drop(KEY))
        self.by_key.add_sums(table.drop_nulls(KEY))

    def merge(self, other: FoldSums) -> None:
        """Takes the sums of other rows."""
        self.all.merge(other.all)
        self.by_key.merge(other.by_key)
        for part, rows in other.parts.items():
            self.parts[part] = max(self.parts.get(part, 0), rows)

    def finish(self) -> Json:
        """The prior, and the smoothed mean of each category."""
        (rows,), (total,) = _summed(self.all.table().drop(_FOLD).sum())
        prior = total / rows
        table = self.by_key.table()
        if not table.width:
            return {"prior": prior, "keys": [], "values": []}
        table = table.drop(_FOLD).group_by(KEY, maintain_order=True).sum()
        keys = table[KEY].to_list()
        check_keys_fit(keys, _KIND, self.column)
        counts, sums = _summed(table)
        values = (sums + self.smoothing * prior) / (counts + self.smoothing)
        return {"prior": prior, "keys": keys, "values": values.tolist()}

    def training(self) -> Json:
        """Rows and label sums by fold, and by fold and category in the order of the keys."""
        if not self.folds:
            return None
        rows, totals = self._dense(self.all.table(), 1)
        table = self.by_key.table()
        size = table[KEY].n_unique() if table.width else 0
        counts, sums = self._dense(table, size)
        return {
            "parts": [self.parts.get(part, 0) for part in range(max(self.parts) + 1)],
            "rows": [row[0] for row in rows],
            "totals": [row[0] for row in totals],
            "counts": counts,
            "sums": sums,
        }

    def _dense(self, table: pl.DataFrame, size: int) -> tuple[list[list[int]], list[list[Json]]]:
        counts, sums = np.zeros((self.folds, size)), np.zeros((self.folds, size))
        if table.width:
            code = table[KEY].rle_id().to_numpy() if KEY in table.columns else 0
            fold = table[_FOLD].to_numpy()
            counts[fold, code], sums[fold, code] = _summed(table)
        return counts.astype(np.int64).tolist(), [list(map(_short, row)) for row in sums.tolist()]


def _dense(cell: npt.NDArray[np.int64], size: int) -> tuple[Any, Any]:
    """The cells and the place of each row's among them: all cells, unless they are too many."""
    if size <= 8 * len(cell) + 100_000:
        return np.arange(size), cell
    return np.unique(cell, return_inverse=True)


def _short(value: float) -> float | int:
    """A whole number without its point: counts of positives are most of what is written."""
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _digit(place: int) -> str:
    return f"d{place}"


def _summed(table: pl.DataFrame) -> tuple[_Floats, _Floats]:
    found = {
        int(name[1:]): table[name].fill_null(0).to_numpy()
        for name in table.columns
        if name not in (KEY, _FOLD, _COUNT)
    }
    return table[_COUNT].to_numpy().astype(np.float64), rounded(found)


@dataclass(frozen=True, slots=True, eq=False)
class Folds:
    """Rows read by part; rows and label sums by fold, and by fold and category (folds, keys)."""

    parts: Sequence[int]
    rows: _Floats
    totals: _Floats
    counts: _Floats
    sums: _Floats


def read_folds(data: Json, folds: int, keys: int, column: str) -> Folds:
    """What ``FoldSums.training`` gave, checked.

    Raises:
        RecipeError: it is not what a fit of so many folds and categories gives.
    """
    check_keys(data, {"parts", "rows", "totals", "counts", "sums"}, _KIND)
    parts = data["parts"]
    if not isinstance(parts, list) or not all(type(n) is int and 0 <= n < 2**53 for n in parts):
        raise tampered(_KIND, "the rows of its parts are not whole numbers", column)
    found = []
    for name, width in (("rows", None), ("totals", None), ("counts", keys), ("sums", keys)):
        lists = data[name] if width is not None else [data[name]]
        outer, inner = (folds, width) if width is not None else (1, folds)
        if not isinstance(lists, list) or len(lists) != outer:
            raise tampered(_KIND, f"not a list of {name} for each fold", column)
        if not all(isinstance(one, list) and len(one) == inner for one in lists):
            raise tampered(_KIND, f"{name} are not of the right number", column)
        whole = name in ("rows", "counts")
        for one in lists:
            if not all(is_number(n) and math.isfinite(n) for n in one) or (
                whole and not all(type(n) is int and 0 <= n < 2**53 for n in one)
            ):
                raise tampered(_KIND, f"{name} hold what is no such number", column)
        made = np.array(lists, np.float64).reshape(outer, inner)
        found.append(made if width is not None else made[0])
    return Folds(parts, *found)


@dataclass(frozen=True, slots=True, eq=False)
class OutOfFold(PlacedFitted):
    """Each row's category as the rows of the other folds know it; their prior for null."""

    column: str
    keys: pl.Series
    folds: Folds
    smoothing: float

    def check_place(self, part: int, first_row: int, rows: int) -> None:
        """Refuses rows that the fit cannot have read there."""
        parts = self.folds.parts
        if not 0 <= part < len(parts) or first_row < 0 or first_row + rows > parts[part]:
            raise RecipeError(
                "these are not rows of the fit",
                f"rows {first_row} to {first_row + rows} of part {part}",
                "Give the parts that the recipe was fitted on, or use transform.",
                "part",
            )

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        """Joins the value by category and fold."""
        count = len(self.folds.rows)
        counts, sums = _others(self.folds.counts), _others(self.folds.sums)
        rows, totals = _others(self.folds.rows), _others(self.folds.totals)
        # With all labelled rows in one fold, nothing is known from outside it but a mean of 0.
        priors = np.divide(totals, rows, out=np.zeros(count), where=rows > 0)
        values = (sums + self.smoothing * priors[:, None]) / (counts + self.smoothing)
        fold, name = "#fold", slot(target[self.outputs[0]])
        numbers = pl.Series(np.repeat(np.arange(count, dtype=np.uint64), len(self.keys)))
        table = pl.DataFrame(
            {
                "#key": pl.concat([self.keys] * count),
                fold: numbers,
                name: values.reshape(-1),
            }
        )
        prior = pl.col(fold).replace_strict(
            pl.Series(range(count), dtype=pl.UInt64), pl.Series(priors), return_dtype=pl.Float64
        )
        joined = frame.with_columns((pl.col(ROW_HASH) % count).alias(fold)).join(
            table.lazy(),
            left_on=[slot(source[self.column]), fold],
            right_on=["#key", fold],
            how="left",
            coalesce=True,
            maintain_order="left",
        )
        return joined.with_columns(pl.col(name).fill_null(prior)).drop(fold)


def _others(by_fold: _Floats) -> _Floats:
    """The sum over all other folds, added up fold by fold and without subtraction."""
    found = np.zeros_like(by_fold)
    for fold in range(len(by_fold)):
        for other in range(len(by_fold)):
            if other != fold:
                found[fold] += by_fold[other]
    return found
