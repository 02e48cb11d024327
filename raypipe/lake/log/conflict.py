"""What a change may take for granted of the table that it meets, and what ends it. Pure.

Two changes that remove different files both go through. An append meets no one, but for changes
that were decided on rows like the ones it brings.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, LakeError, SchemaError
from raypipe.lake.log.change import ALL, FilesMoved
from raypipe.lake.log.entry import disk_path, log_path
from raypipe.lake.log.prune import may_match

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from raypipe.lake.log.change import Change, ReadSet
    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.schema.spec import TableSpec


def removed(active: pl.DataFrame, change: Change) -> pl.DataFrame:
    """The rows of the table's files that a change takes out.

    Args:
        active: the table's files, with ``path`` as the log spells it.
        change: what is asked.

    Raises:
        FilesMoved: a file that the change names is not in the table any more.
    """
    if change.remove == ALL:
        return active
    if change.remove is not None:
        return active.filter(_on_disk(active).str.starts_with(change.remove))
    wanted = set(change.remove_paths)
    found = active.filter(pl.col("path").is_in([log_path(path) for path in wanted]))
    if found.height < len(wanted):  # another engine may spell paths otherwise
        found = active.filter(_on_disk(active).is_in(list(wanted)))
    if found.height < len(wanted):
        raise FilesMoved
    return found


def _on_disk(active: pl.DataFrame) -> pl.Series:
    return pl.Series([disk_path(path) for path in active["path"]], dtype=pl.String)


def check_read(
    read: ReadSet, added: Collection[str] | None, active: pl.DataFrame, types: Mapping[str, Any]
) -> None:
    """Nothing came that the decision did not know.

    Args:
        read: the rows that were met.
        added: the paths (as the log spells them) of the files that brought rows since then; None
            if that cannot be told any more.
        active: the table's files with their flattened statistics.
        types: the table's columns.

    Raises:
        FilesMoved: such a file may hold a row that the decision would have had to meet.
    """
    if added is None:
        raise FilesMoved
    if not added:
        return
    if read.where is None:
        raise FilesMoved
    here = active.filter(pl.col("path").is_in(list(added)))
    if here.height < len(added):  # merged with others meanwhile: what it held is not known
        raise FilesMoved
    if here.filter(may_match(read.where, here, types)).height:
        raise FilesMoved


def check_files(change: Change, sizes: Mapping[str, int], name: str) -> None:
    """The files are there, whole, with statistics, and belong to the table's partitions.

    Args:
        change: what is asked.
        sizes: the sizes in bytes of those of its files that are there.
        name: the table's name, for messages.

    Raises:
        LakeError: a file is missing or has another size, or its statistics are none.
        SchemaError: its partitions are not the table's, or it holds nulls where none may be.
    """
    for file in (*change.files, *change.change_files):
        found = sizes.get(file.path)
        if found != file.size_bytes:
            raise LakeError(
                f"a file for table {name!r} is not there as it was written",
                f"{file.path}: {'no file' if found is None else f'{found} bytes'}, not the "
                f"{file.size_bytes} bytes that were written",
                "Nothing was committed. Write it again.",
            )
        if [column for column, _ in file.partition] != list(change.wrote.partition_by):
            raise SchemaError(
                f"a file for table {name!r} does not belong to its partitions",
                f"{file.path} with {dict(file.partition)}",
                f"The table is partitioned by {list(change.wrote.partition_by)}.",
            )
    for file in change.files:
        _check_stats(file, change.wrote, name)
    strange = [f.path for f in change.change_files if not f.path.startswith("_change_data/")]
    if strange:
        raise ConfigError("a change file lies below _change_data/", strange[0])


def _check_stats(file: WrittenFile, spec: TableSpec, name: str) -> None:
    try:
        stats = json.loads(file.stats)
        rows, nulls = int(stats["numRecords"]), dict(stats.get("nullCount") or {})
    except (ValueError, KeyError, TypeError):
        raise LakeError(f"a file for table {name!r} has no statistics", file.path) from None
    if rows < 0:
        raise LakeError(f"a file for table {name!r} has wrong statistics", f"{rows} rows")
    values = dict(file.partition)
    for column, one in spec.columns.items():
        missing = rows and column in values and values[column] is None
        if not one.nullable and (missing or nulls.get(column)):
            raise SchemaError(
                f"column {column!r} of table {name!r} takes no null",
                f"{rows if missing else nulls[column]} of them in {file.path}",
                "Nothing was committed. Fill them in before writing.",
                column,
            )
