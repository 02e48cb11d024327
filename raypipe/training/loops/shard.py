"""What ``ray.train.get_dataset_shard`` gives a loop: one worker's rows, made by the recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import polars as pl

from raypipe.core.errors import ConfigError
from raypipe.features import FittedRecipe
from raypipe.training.rounds import feed_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from raypipe.training.feeding import Batch, Feed
    from raypipe.training.rounds import Job

Format = Literal["numpy", "polars", "pyarrow"]
Columns = dict[str, npt.NDArray[Any]]


class Shard:
    """One worker's rows, in a fixed order; each pass gives the same ones, none dropped.

    A row is its features (float32, missing is NaN) and its label; beside them a weight, a base
    margin and the number of its group where the trainer names such columns.

    Attributes:
        features: names of the features, in order.
        label: the name of the label.
        rows: how many there are.
    """

    def __init__(self, feed: Feed, kept: list[Columns] | None = None) -> None:
        """Made by ``ray.train.get_dataset_shard``."""
        self._feed = feed
        self._kept = kept
        self.features: tuple[str, ...] = tuple(feed.recipe.feature_names)
        self.label: str = feed.recipe.label or "label"
        self.rows = feed.rows

    def iter_batches(
        self,
        *,
        batch_size: int | None = 256,
        batch_format: Format = "numpy",
        drop_last: bool = False,
    ) -> Iterator[Any]:
        """One pass over the rows; each call reads and transforms them anew, or see ``materialize``.

        Args:
            batch_size: rows of a batch; None for what is read at once, about 16 MiB.
            batch_format: ``"numpy"`` for a dict with ``features`` (n by features), ``label`` and,
                where there are, ``weight``, ``margin`` and ``group``; ``"polars"`` for a frame,
                ``"pyarrow"`` for a table, with a column for each feature and the label's own name.
            drop_last: whether rows that do not fill a batch are left out.

        Raises:
            ConfigError: the size is less than 1, the format is unknown, or rows of a group would
                be parted.
        """
        if batch_format not in get_args(Format):
            raise ConfigError(
                "no such batch_format",
                batch_format,
                f"Use one of: {', '.join(get_args(Format))}.",
                "batch_format",
            )
        if batch_size is not None and (not isinstance(batch_size, int) or batch_size < 1):
            raise ConfigError("batch_size must be >= 1", batch_size, field="batch_size")
        if batch_size is not None and self._feed.roles.group:
            raise ConfigError(
                "the rows of a group stay together",
                batch_size,
                "Use batch_size=None.",
                "batch_size",
            )
        found = self._columns()
        made = found if batch_size is None else _resized(found, batch_size, drop_last)
        return (self._in_format(one, batch_format) for one in made)

    def to_numpy(self) -> Columns:
        """All rows at once, as one batch of ``iter_batches``."""
        parts = list(self._columns())
        if not parts:
            return self._none()
        return _joined(parts)

    def to_polars(self) -> pl.DataFrame:
        """All rows at once, as a frame."""
        made: pl.DataFrame = self._in_format(self.to_numpy(), "polars")
        return made

    def materialize(self) -> Shard:
        """The same rows, kept in this worker's memory from now on."""
        return Shard(self._feed, list(self._columns()))

    def count(self) -> int:
        """How many rows there are."""
        return self.rows

    def _none(self) -> Columns:
        """The columns without a row."""
        roles, nothing = self._feed.roles, np.empty(0, dtype=np.float32)
        made: Columns = {"features": nothing.reshape(0, len(self.features)), "label": nothing}
        if roles.weight is not None:
            made["weight"] = nothing
        if roles.margin:
            several = len(roles.margin) > 1
            made["margin"] = nothing.reshape(0, len(roles.margin)) if several else nothing
        if roles.group is not None:
            made["group"] = np.empty(0, dtype=np.uint32)
        return made

    def _columns(self) -> Iterator[Columns]:
        return iter(self._kept) if self._kept is not None else map(_plain, self._feed.batches())

    def _in_format(self, columns: Columns, wanted: Format) -> Any:
        if wanted == "numpy":
            return columns
        frame = pl.from_numpy(columns["features"], schema=list(self.features))
        roles = self._feed.roles
        named: dict[str, Any] = {self.label: columns["label"]}
        if "weight" in columns:
            named[roles.weight or "weight"] = columns["weight"]
        if "group" in columns:
            named[roles.group or "group"] = columns["group"]
        if "margin" in columns:
            margins = columns["margin"].reshape(-1, len(roles.margin))
            named |= {name: margins[:, n] for n, name in enumerate(roles.margin)}
        more = []
        for name, values in named.items():
            while name in self.features:  # a column may be a feature, too
                name = f"{name}_"
            more.append(pl.Series(name, np.ascontiguousarray(values)))
        frame = frame.hstack(more)
        if wanted == "polars":
            return frame
        table: pa.Table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
        return table

    def __repr__(self) -> str:
        return f"Shard({self.rows} rows, {len(self.features)} features, label={self.label!r})"


@dataclass(frozen=True, slots=True)
class ShardProvider:
    """Gives Ray Train the shards of a job; pickles."""

    job: Job
    world: int

    def get_dataset_shard(self, dataset_info: Any) -> Shard:
        """The rows of a name, for the rank that asks.

        Raises:
            ConfigError: the run has no rows of this name.
        """
        surveys = {"train": self.job.train, "valid": self.job.valid}
        name = dataset_info.dataset_name or "train"
        survey = surveys.get(name)
        if survey is None:
            there = [one for one, found in surveys.items() if found is not None]
            raise ConfigError(
                "the run has no such rows", name, f"There are: {', '.join(there)}.", "dataset_name"
            )
        recipe = FittedRecipe.from_json(self.job.recipe)
        rank = dataset_info.world_rank
        return Shard(feed_of(self.job, survey, recipe, rank, self.world, name == "train"))


def _plain(batch: Batch) -> Columns:
    found = {
        "features": np.ascontiguousarray(batch.features),  # rows lie together for small batches
        "label": batch.label,
        "weight": batch.weight_of_rows(),
        "margin": batch.margin,
        "group": batch.group,
    }
    return {name: values for name, values in found.items() if values is not None}


def _resized(batches: Iterator[Columns], size: int, drop_last: bool) -> Iterator[Columns]:
    held: Columns | None = None
    for one in batches:
        whole = one if held is None else _joined([held, one])
        count = len(whole["label"])
        full = count - count % size
        for start in range(0, full, size):
            yield _cut(whole, start, start + size)
        held = _cut(whole, full, count) if full < count else None
    if held is not None and not drop_last:
        yield held


def _cut(columns: Columns, start: int, stop: int) -> Columns:
    return {name: values[start:stop] for name, values in columns.items()}


def _joined(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
