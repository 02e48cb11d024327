"""Lags and windows of tables that memory does not hold: by buckets of keys, through files.

All rows of a key fall into one bucket, whatever part they stand in. Each part is read once and
written as one batch for each bucket; then each bucket is filled in memory as a small table would
be, and written as one batch for each part of the rows. Figures depend on a key's own events in
their order alone, so they have the bits that they would have in memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.engine.cluster import cores
from raypipe.engine.parts import here
from raypipe.features.held import check_held, most_rows
from raypipe.features.history.places import Places

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from raypipe.core.scan import ScanPart
    from raypipe.features.history.spill import Spill
    from raypipe.features.transforms.earlier import Earlier

    Ints = NDArray[np.int64]

ROWS = 1 << 20
"""Rows of a bucket, about, where no key has more."""

MOST = 4_096
"""Buckets: each part is a batch for each of them."""

ROW = "\x00row"
_WORK_BYTES = 200  # of a row while its bucket is filled: codes, orders, digits of sums


@dataclass(frozen=True, slots=True)
class Group:
    """Transforms of one key and time.

    Attributes:
        number: of the group.
        by: the key.
        time: the column of times.
        asked: the transforms.
    """

    number: int
    by: tuple[str, ...]
    time: str
    asked: tuple[Earlier, ...]

    @property
    def columns(self) -> list[str]:
        """What is read of the events."""
        return list(dict.fromkeys([*self.own, *(one.column for one in self.asked)]))

    @property
    def names(self) -> list[str]:
        """The columns that are filled."""
        return [name for one in self.asked for name in one.reads]

    @property
    def own(self) -> list[str]:
        """Key and time."""
        return list(dict.fromkeys((*self.by, self.time)))

    def file(self, kind: str, number: int) -> str:
        """The file of a part (``rows`` or ``events``) or of a bucket (``filled``)."""
        return f"{kind}-{self.number}-{number}"


def groups_of(asked: Sequence[Earlier]) -> list[Group]:
    """The transforms by key and time."""
    order = sorted(asked, key=lambda one: (one.by, one.time))
    found = groupby(order, lambda one: (one.by, one.time))
    return [Group(at, by, time, tuple(some)) for at, ((by, time), some) in enumerate(found)]


@dataclass(frozen=True, slots=True)
class Filled:
    """What was written.

    Attributes:
        groups: the transforms.
        buckets: how many files of each group there are.
        heights: rows of each part.
    """

    groups: tuple[Group, ...]
    buckets: int
    heights: tuple[int, ...]


def fill(
    asked: Sequence[Earlier],
    rows: Sequence[ScanPart],
    events: Sequence[ScanPart] | None,
    spill: Spill,
) -> Filled:
    """Writes the columns for all rows: batch ``p`` of each bucket's file holds those of part ``p``.

    Args:
        asked: the transforms.
        rows: parts of the rows.
        events: parts of the events; those of the rows if None.
        spill: where to write.

    Raises:
        RecipeError: a bucket does not fit in memory, since one key has too many rows, or the disk
            is full.
    """
    groups = groups_of(asked)
    total = sum(part.rows for part in (*rows, *(events or ())))
    buckets = max(1, min(MOST, -(-total // ROWS)))
    heights, sizes = _split_all(groups, rows, "rows", spill, buckets, values=events is None)
    if events is not None:
        sizes = sizes + _split_all(groups, events, "events", spill, buckets, values=True)[1]
    for group in groups:
        _fill_group(group, len(rows), None if events is None else len(events), spill, sizes)
    return Filled(tuple(groups), buckets, tuple(heights))


def _split_all(
    groups: Sequence[Group],
    parts: Sequence[ScanPart],
    kind: str,
    spill: Spill,
    buckets: int,
    *,
    values: bool,
) -> tuple[list[int], Ints]:
    """Writes each part by buckets; gives its rows, and the rows of each group and bucket."""
    wanted = {n for one in groups for n in (one.columns if values else one.own)}
    heights = [0] * len(parts)
    sizes = np.zeros((len(parts), len(groups), buckets), np.int64)

    def split(work: tuple[int, ScanPart]) -> None:
        number, part = work
        frame = part.read(sorted(wanted))
        heights[number] = frame.height
        frame = frame.with_row_index(ROW)
        for at, group in enumerate(groups):
            some = _needed(frame, group, values=values)
            bucket = (some.select(group.by).hash_rows(seed=0) % buckets).to_numpy()
            order = np.argsort(bucket, kind="stable")
            counts = np.bincount(bucket.astype(np.int64), minlength=buckets)
            sizes[number, at] = counts
            some, ends = some[order], np.cumsum(counts)
            cut = [some.slice(end - count, count) for end, count in zip(ends, counts, strict=True)]
            spill.save(group.file(kind, number), cut)

    here(split, list(enumerate(parts)), lambda _at, _none: None)
    return heights, sizes.sum(axis=0)


def _needed(frame: pl.DataFrame, group: Group, *, values: bool) -> pl.DataFrame:
    """Keys, times and values of rows that have a key and a time."""
    columns = [_key(frame, name) for name in group.own]
    if values:
        more = group.columns[len(group.own) :]
        columns += [pl.col(name).cast(pl.Float64) for name in more]
    return frame.drop_nulls(group.own).select(ROW, *columns)


def _key(frame: pl.DataFrame, name: str) -> pl.Expr:
    # Categories have other codes in another part; their texts are the same.
    texts = isinstance(frame.schema[name], pl.Categorical | pl.Enum)
    return pl.col(name).cast(pl.String) if texts else pl.col(name)


def _fill_group(group: Group, rows: int, events: int | None, spill: Spill, sizes: Ints) -> None:
    dtypes = [pl.Float64() for _ in (*group.columns, *group.names)]
    most, held = most_rows(dtypes, _WORK_BYTES), sizes[group.number]
    largest = int(held.max(initial=0))
    check_held(
        largest,
        most,
        f"the rows of one key of {', '.join(group.by)}, and of those that share its bucket,",
        "Give a key of which no value has so many rows, or leave out the rows of that one.",
        group.by[0],
    )

    def work(bucket: int) -> None:
        titles = [ROW, *(group.columns if events is None else group.own)]
        files = [group.file("rows", number) for number in range(rows)]
        mine = [spill.load(file, bucket, titles) for file in files]
        frame = theirs = pl.concat(mine)
        if events is not None:
            titles = [ROW, *group.columns]
            files = [group.file("events", number) for number in range(events)]
            theirs = pl.concat([spill.load(file, bucket, titles) for file in files])
        places = Places(frame, theirs, group.by, group.time)
        made = [column for one in group.asked for column in places.columns(one)]
        whole = frame.select(ROW).hstack([one.fill_null(np.nan) for one in made])
        ends = np.cumsum([one.height for one in mine]).tolist()
        cut = [
            whole.slice(end - one.height, one.height) for end, one in zip(ends, mine, strict=True)
        ]
        spill.save(group.file("filled", bucket), cut)

    threads = max(1, min(cores(), most // max(1, largest)))
    here(work, list(range(len(held))), lambda _at, _none: None, threads)
    for kind, count in (("rows", rows), ("events", events or 0)):
        for number in range(count):
            spill.drop(group.file(kind, number))
