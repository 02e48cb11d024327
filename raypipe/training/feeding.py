"""From a rank's slices to batches of features: each rank reads its own rows, through the recipe."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.training.infinite import refuse_infinite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from concurrent.futures import Future

    from raypipe.features import FittedRecipe
    from raypipe.training.plan import Slice
    from raypipe.training.survey import Piece, Roles

Floats = npt.NDArray[np.float32]
_BATCH_VALUES = 4 * 1024**2
"""Features of one batch: 16 MiB of float32."""

_TURNED = 2048
_VALUE_BYTES = 8  # of a value that was read, about


def batch_rows(features: int) -> int:
    """Rows of one batch."""
    return max(1024, _BATCH_VALUES // max(1, features))


def batch_values(features: int) -> int:
    """Features of all rows of one batch, at most; it never falls as there are more."""
    return max(1024 * features, _BATCH_VALUES)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows ready to be learned from.

    Attributes:
        features: float32, rows by features, laid out by row; missing is NaN.
        label: one for each row.
        weight: one for each row, or for each group.
        margin: where the booster begins.
        group: a number for each row that rises by group.
    """

    features: Floats
    label: Floats
    weight: Floats | None = None
    margin: Floats | None = None
    group: npt.NDArray[np.uint32] | None = None

    def small(self) -> dict[str, Any]:
        """All but the features, as xgboost's ``DataIter`` names it."""
        found = {
            "label": self.label,
            "weight": self.weight,
            "base_margin": self.margin,
            "qid": self.group,
        }
        return {name: value for name, value in found.items() if value is not None}

    def group_sizes(self) -> npt.NDArray[np.int64] | None:
        """Rows of each group, in order; None where rows stand alone."""
        if self.group is None:
            return None
        return np.unique(self.group, return_counts=True)[1].astype(np.int64)

    def weight_of_rows(self) -> Floats | None:
        """A weight for each row; that of a group is that of each of its rows."""
        sizes = self.group_sizes()
        return self.weight if self.weight is None or sizes is None else self.weight.repeat(sizes)


def joined_rest(batches: Sequence[Batch]) -> Batch:
    """All but the features of batches, one after the other; features are those of the first."""

    def joined(name: str) -> Any:
        values = [getattr(one, name) for one in batches]
        return None if not values or values[0] is None else np.concatenate(values)

    none = np.empty(0, dtype=np.float32)
    return Batch(
        batches[0].features if batches else none,
        none if not batches else joined("label"),
        joined("weight"),
        joined("margin"),
        joined("group"),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Feed:
    """The rows of one rank.

    Attributes:
        pieces: what there is to read, in order.
        shard: what of it is this rank's.
        recipe: makes the features.
        roles: columns beside features and label.
        fitted_on: whether the recipe was fitted on these rows, so that what it learned from a
            row's own label must not come back to that row.
        at_once: bytes of rows that are read at once, about; None for whole pieces. The batches
            are the same.
    """

    pieces: Sequence[Piece]
    shard: Sequence[Slice]
    recipe: FittedRecipe
    roles: Roles
    fitted_on: bool
    at_once: int | None = None

    @property
    def rows(self) -> int:
        """Rows that it gives."""
        return sum(piece.stop - piece.start for piece in self.shard)

    @property
    def held(self) -> bool:
        """Whether its batches are kept anyway, so that keeping them once more gains nothing."""
        return False

    def batches(self, threads: int = 1) -> Iterator[Batch]:
        """The rows in their order, some at a time; each time it is called they are read anew.

        Args:
            threads: how many pieces of files are read and transformed at once, and held.

        Raises:
            RecipeError: a feature is infinite in a row, which is so for every learner.
        """
        made = self._frames(threads)
        return _whole_groups(made) if self.roles.group else (batch for batch, _ in made)

    def whole(self, threads: int = 1) -> Batch:
        """All rows at once, laid out by row; features are held once.

        Args:
            threads: as for ``batches``.
        """
        features = np.empty((self.rows, len(self.recipe.feature_names)), dtype=np.float32)
        rest: list[Batch] = []
        at = 0
        for batch in self.batches(threads):
            features[at : at + len(batch.label)] = batch.features
            at += len(batch.label)
            rest.append(replace(batch, features=features[:0]))
        return replace(joined_rest(rest), features=features)

    def _frames(self, threads: int) -> Iterator[tuple[Batch, pl.Series | None]]:
        mine = list(self._pieces())
        if threads < 2:
            for one in mine:
                yield from self._read(*one)
            return
        with ThreadPoolExecutor(threads, thread_name_prefix="raypipe-feed") as pool:
            ahead: deque[Future[list[tuple[Batch, pl.Series | None]]]] = deque()
            try:
                for one in mine:
                    ahead.append(pool.submit(lambda given: list(self._read(*given)), one))
                    if len(ahead) == threads:
                        yield from ahead.popleft().result()
                while ahead:
                    yield from ahead.popleft().result()
            finally:  # nobody may want the rest
                pool.shutdown(cancel_futures=True)

    def _pieces(self) -> Iterator[tuple[Piece, int, int]]:
        """What of each piece is this rank's, in its rows with a label."""
        wanted = {one.part: one for one in self.shard}
        for piece in self.pieces:
            mine = wanted.get(piece.part)
            if mine is None or not piece.known:
                continue
            start = max(mine.start - piece.first_known, 0)
            stop = min(mine.stop - piece.first_known, piece.known)
            if start < stop:
                yield piece, start, stop

    def _read(
        self, piece: Piece, start: int, stop: int
    ) -> Iterator[tuple[Batch, pl.Series | None]]:
        step = batch_rows(len(self.recipe.feature_names))
        columns = tuple(dict.fromkeys((*self.recipe.source_columns, *self.roles.columns)))
        frame, first_row, known = pl.DataFrame(), piece.first_row, 0
        scans = self._scans(piece, step, len(columns))
        while scans and known < stop:
            more = scans.pop(0).read(columns)
            frame = pl.concat([frame, more]) if frame.width else more
            labels = self.recipe.labels(frame)
            at = labels.is_not_null().arg_true().to_numpy()
            last = not scans or known + len(at) >= stop
            mine = at[max(start - known, 0) : stop - known]
            done = len(mine) if last else len(mine) // step * step
            for low in range(0, done, step):
                yield self._batch(
                    frame, labels, mine[low : min(low + step, done)], piece, first_row
                )
            # What is left begins a batch with the rows that are read next.
            gone = int(mine[done - 1]) + 1 if done else 0
            if done < len(mine) and not done:
                gone = int(mine[0])
            elif done == len(mine):
                gone = frame.height
            known += int(np.searchsorted(at, gone))
            frame, first_row = frame[gone:], first_row + gone

    def _scans(self, piece: Piece, step: int, columns: int) -> list[Any]:
        """What is read one after the other of a piece."""
        sliced = getattr(piece.scan, "sliced", None)
        if self.at_once is None or sliced is None:
            return [piece.scan]
        return list(sliced(max(step, self.at_once // (_VALUE_BYTES * columns))))

    def _batch(
        self,
        frame: pl.DataFrame,
        labels: pl.Series,
        at: npt.NDArray[Any],
        piece: Piece,
        first_row: int,
    ) -> tuple[Batch, pl.Series | None]:
        first, stop = int(at[0]), int(at[-1]) + 1
        rows, keep = frame.slice(first, stop - first), at - first
        features = self._made(rows, keep, piece.part, first_row + first)
        if len(keep) < rows.height:
            rows = rows[keep]
        roles = self.roles
        weight = None if roles.weight is None else _floats(rows[roles.weight])
        margin = None
        if roles.margin:
            margin = np.column_stack([_floats(rows[name]) for name in roles.margin])
            margin = margin[:, 0] if len(roles.margin) == 1 else margin
        batch = Batch(features, _floats(labels[at]), weight, margin)
        return batch, None if roles.group is None else rows[roles.group]

    def _made(
        self, rows: pl.DataFrame, keep: npt.NDArray[Any], part: int, first_row: int
    ) -> Floats:
        """The features of those rows that are kept, laid out by row.

        They are made of a quarter of a batch at a time, since they are 64-bit floats on the way.
        """
        names = self.recipe.feature_names
        features, step = np.empty((len(keep), len(names)), np.float32), batch_rows(len(names)) // 4
        done = 0
        for low in range(0, rows.height, step):
            some = rows.slice(low, step)
            values = self._features(some, part, first_row + low).to_numpy()
            assert values.dtype == np.float32
            stop = int(np.searchsorted(keep, low + some.height))
            if stop - done < some.height:
                values = values[keep[done:stop] - low]
            for at in range(0, len(values), _TURNED):  # as many as a core's cache holds
                turned = features[done + at : min(done + at + _TURNED, stop)]
                turned[:] = values[at : at + _TURNED]
                refuse_infinite(turned, names)
            done = stop
        return features

    def _features(self, rows: pl.DataFrame, part: int, first_row: int) -> pl.DataFrame:
        placed = getattr(self.recipe, "training_features", None)
        if self.fitted_on and placed is not None:
            made: pl.DataFrame = placed(rows, part, first_row)
            return made
        return self.recipe.transform(rows)


def _floats(values: pl.Series) -> Floats:
    return values.cast(pl.Float32).to_numpy()


def _whole_groups(made: Iterator[tuple[Batch, pl.Series | None]]) -> Iterator[Batch]:
    """Batches that end where a group ends, with a rising number for each group."""
    held: list[tuple[Batch, pl.Series]] = []
    number = 0
    for batch, group in made:
        if group is None or not len(group):
            continue
        held.append((batch, group))
        ids = pl.concat([one for _, one in held]).rle_id().to_numpy()
        if ids[-1] == 0:
            continue
        done = int(np.searchsorted(ids, ids[-1]))
        whole, values = _joined(held)
        yield _numbered(whole, ids, slice(0, done), number)
        number += int(ids[-1])
        held = [(_part(whole, slice(done, None)), values[done:])]
    if held:
        whole, values = _joined(held)
        yield _numbered(whole, values.rle_id().to_numpy(), slice(0, None), number)


def _joined(held: list[tuple[Batch, pl.Series]]) -> tuple[Batch, pl.Series]:
    batches = [batch for batch, _ in held]
    several = {
        name: np.concatenate([getattr(b, name) for b in batches])
        for name in ("features", "label", "weight", "margin")
        if getattr(batches[0], name) is not None
    }
    return Batch(**several), pl.concat([values for _, values in held])


def _part(batch: Batch, rows: slice) -> Batch:
    def cut(values: Any) -> Any:
        return None if values is None else values[rows]

    return Batch(batch.features[rows], batch.label[rows], cut(batch.weight), cut(batch.margin))


def _numbered(batch: Batch, ids: npt.NDArray[Any], rows: slice, first: int) -> Batch:
    """Rows with their groups' numbers; a weight counts for the group, so its first row's is it."""
    cut = _part(batch, rows)
    group = (ids[rows] + first).astype(np.uint32)
    weight = None
    if cut.weight is not None:
        weight = cut.weight[np.flatnonzero(np.diff(group, prepend=np.uint32(2**32 - 1)))]
    return Batch(cut.features, cut.label, weight, cut.margin, group)
