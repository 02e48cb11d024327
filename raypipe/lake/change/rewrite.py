"""The part functions of a change: one file of the table is read, changed and written anew."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from raypipe.lake.change.feed import DELETE, POST, PRE, write_feed
from raypipe.lake.change.plan import new_name
from raypipe.lake.change.source import GONE
from raypipe.lake.schema.contract import filled
from raypipe.lake.schema.rules import generated, obey
from raypipe.lake.write.encode import Place, write_file
from raypipe.lake.write.fused import part_name, write_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from raypipe.lake.change.ask import MergeAsk
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.read.part import LakePart
    from raypipe.lake.schema.spec import TableSpec
    from raypipe.lake.write.fused import WriteJob

_ROW, _SRC = "_raypipe_row", "_raypipe_src"
Partition = tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A file of the table.

    Attributes:
        path: relative to the table's folder, as it is on disk.
        part: reads it.
        partition: its values in Delta's text form.
        stamp: what orders it among the table's files.
        number: its own among those that a change looked at.
    """

    path: str
    part: LakePart
    partition: Partition
    stamp: int
    number: int


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What came of one file.

    Attributes:
        path: the file's.
        touched: whether any of its rows change; otherwise the file stays.
        files: what takes its place.
        feed: what tells its changed rows.
        met: numbers of the source rows whose keys it has.
        updated: rows that changed.
        deleted: rows that went.
    """

    path: str
    touched: bool = False
    files: tuple[WrittenFile, ...] = ()
    feed: tuple[WrittenFile, ...] = ()
    met: pl.Series | None = None
    updated: int = 0
    deleted: int = 0


@dataclass(frozen=True, slots=True)
class RewriteJob:
    """What every rewrite of one change needs to know.

    Attributes:
        write: how and where files are written.
        feed: whether the changed rows are told in files of their own.
    """

    write: WriteJob
    feed: bool


@dataclass(frozen=True, slots=True)
class Meeting:
    """Rows of a file that change, by their numbers in it, and the source rows that they meet.

    Attributes:
        met: source rows whose keys the file has, whatever becomes of them.
        rows: rows that take values of the source.
        by: for each of these the source row.
        gone: rows that are deleted.
    """

    met: pl.Series
    rows: pl.Series
    by: pl.Series
    gone: pl.Series


def meet(
    keys: pl.DataFrame, source: pl.DataFrame, ask: MergeAsk, *, updates: bool = True
) -> Meeting:
    """Which rows of a file meet which source rows, and what is to become of them.

    Args:
        keys: key columns and, if there is one, the sequence column of the file.
        source: the same columns and ``GONE`` of the prepared source.
        ask: what the merge asks for.
        updates: False when an update would set no column, as all of them are keys.
    """
    pairs = (
        keys.with_row_index(_ROW)
        .join(_near(keys, source.with_row_index(_SRC), ask.on[0]), on=list(ask.on), suffix="_new")
        .sort(_ROW)
    )
    met = pairs[_SRC].unique()
    if ask.newer_by is not None:
        old, new = pl.col(ask.newer_by), pl.col(f"{ask.newer_by}_new")
        pairs = pairs.filter(old.is_null() | (new > old))
    gone = pl.lit(True) if ask.when_matched == "delete" else pl.col(GONE)
    lost = pairs.filter(gone)[_ROW]
    sets = ask.when_matched == "update" and updates
    kept = pairs.filter(~gone) if sets else pairs.clear()
    return Meeting(met, kept[_ROW], kept[_SRC], lost)


@dataclass(frozen=True, slots=True)
class Edit:
    """What becomes of a file's rows.

    Attributes:
        rows: numbers of rows that change.
        after: what they change into, in that order.
        gone: numbers of rows that go.
        columns: columns that the change sets.
    """

    rows: pl.Series
    after: pl.DataFrame
    gone: pl.Series
    columns: tuple[str, ...]


def _near(keys: pl.DataFrame, source: pl.DataFrame, name: str) -> pl.DataFrame:
    """The source rows between the ends of a file's keys: often far fewer than all."""
    column = keys[name]
    if not (column.dtype.is_numeric() or column.dtype.is_temporal() or column.dtype == pl.String):
        return source
    low, high = column.min(), column.max()
    if low is None:
        return source.clear()
    ends = pl.lit(pl.Series([low, high], dtype=column.dtype))
    return source.filter(pl.col(name).is_between(ends.first(), ends.last()))


def merge_file(job: RewriteJob, ask: MergeAsk, source: pl.DataFrame, target: Target) -> Rewritten:
    """One file of a merge. The key columns alone tell whether the rest is read at all."""
    looked = [*ask.on, *((ask.newer_by,) if ask.newer_by else ())]
    keys = target.part.read(looked)
    updated = ask.updated(job.write.spec)
    meeting = meet(keys, source.select(*looked, GONE), ask, updates=bool(updated))
    if not len(meeting.rows) and not len(meeting.gone):
        return Rewritten(target.path, met=meeting.met)
    frame = filled(target.part.read(), job.write.schema)
    before = frame[meeting.rows]
    after = before
    if len(meeting.rows):
        after = before.with_columns(source.select(updated)[meeting.by].get_columns())
    after, sets = generate(after, job.write.spec, updated)
    edit = Edit(meeting.rows, after, meeting.gone, sets)
    return replace_rows(job, target, frame, edit, meeting.met)


def generate(
    after: pl.DataFrame, spec: TableSpec, sets: Sequence[str]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """Changed rows with what the log generates of the columns that were set, and all that is set;
    pure.
    """
    more = {
        name: expr
        for name, expr in generated(spec).items()
        if name not in sets and set(expr.meta.root_names()) & set(sets)
    }
    return (after.with_columns(**more) if more else after), (*sets, *more)


def replace_rows(
    job: RewriteJob,
    target: Target,
    frame: pl.DataFrame,
    edit: Edit,
    met: pl.Series | None = None,
) -> Rewritten:
    """Writes the file that takes another's place, and what tells the change.

    The rows keep their order, unless the table is sorted by a column that changes.
    """
    write = job.write
    if edit.after.height:
        obey(edit.after, job.write.spec, target.path)
    stays = _stays(edit, target, write)
    here, moved = edit, edit.after.clear()
    if stays is not None:
        moved = edit.after.filter(~stays)
        gone = pl.concat([edit.gone, edit.rows.filter(~stays)])
        here = Edit(edit.rows.filter(stays), edit.after.filter(stays), gone, edit.columns)
    rows = changed(frame, here.rows, here.after, here.gone, here.columns)
    files: list[WrittenFile] = []
    if rows.height:
        if set(write.spec.sort_by) & set(edit.columns):
            rows = rows.sort(write.spec.sort_by, maintain_order=True)
        path = new_name(target.path, write.attempt, target.number)
        stored = rows.drop(write.partition_by)
        place = Place.of(write.folder, write.storage_options, write.spec)
        files.append(write_file(place, stored, path, target.partition))
    if moved.height:
        files += write_rows(write, moved, part_name(write, target.number))
    feed: tuple[WrittenFile, ...] = ()
    if job.feed:
        told = [(frame[edit.rows], PRE), (edit.after, POST), (frame[edit.gone], DELETE)]
        feed = write_feed(write, told, f"{write.attempt}-{target.number:08d}")
    done = tuple(replace(file, stamp=target.stamp) for file in files)
    return Rewritten(target.path, True, done, feed, met, len(edit.rows), len(edit.gone))


def changed(
    frame: pl.DataFrame,
    rows: pl.Series,
    after: pl.DataFrame,
    gone: pl.Series,
    columns: Sequence[str],
) -> pl.DataFrame:
    """The frame with rows put in the place of others, and without those that go; pure.

    Args:
        frame: the rows as they are.
        rows: numbers of those that change.
        after: what they change into.
        gone: numbers of those that go.
        columns: those that may differ in ``after``; the others are not touched if no row goes.
    """
    order = np.arange(frame.height, dtype=np.uint32)
    order[rows.to_numpy()] = np.arange(frame.height, frame.height + after.height, dtype=np.uint32)
    if len(gone):
        order = np.delete(order, gone.to_numpy())
        return pl.concat([frame, after]).select(pl.all().gather(pl.Series(order)))
    if not after.height:
        return frame
    names = list(columns)
    both = pl.concat([frame.select(names), after.select(names)])
    return frame.with_columns(both.select(pl.all().gather(pl.Series(order))).get_columns())


def _stays(edit: Edit, target: Target, write: WriteJob) -> pl.Series | None:
    """Which changed rows stay in the file's partition; None when all do."""
    if not set(write.partition_by) & set(edit.columns) or not edit.after.height:
        return None
    values = target.part.partition
    same = [
        pl.col(name).eq_missing(pl.lit(values[name], dtype=write.schema[name]))
        for name in write.partition_by
    ]
    return edit.after.select(pl.all_horizontal(same).alias("stays"))["stays"]
