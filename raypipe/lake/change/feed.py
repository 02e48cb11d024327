"""Files that tell which rows a commit changed, as the Delta protocol's change feed wants them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import quote

import polars as pl

from raypipe.core.uris import join
from raypipe.lake.storage.keys import for_polars
from raypipe.lake.storage.store import locate
from raypipe.lake.write.encode import Place, write_file, write_frame

if TYPE_CHECKING:
    from collections.abc import Iterable

    from raypipe.lake.log.written import WrittenFile
    from raypipe.lake.write.fused import WriteJob

FOLDER = "_change_data"
KIND = "_change_type"
PRE, POST, DELETE, INSERT = "update_preimage", "update_postimage", "delete", "insert"


def write_feed(
    job: WriteJob, told: Iterable[tuple[pl.DataFrame, str]], name: str
) -> tuple[WrittenFile, ...]:
    """Writes changed rows, each with the kind of its change, a file for each partition.

    Args:
        job: how and where files are written.
        told: rows of the table, and what happened to them.
        name: what the names of the files have in common.
    """
    frames = [rows.with_columns(pl.lit(kind).alias(KIND)) for rows, kind in told if rows.height]
    if not frames:
        return ()
    return tuple(map(_below, write_frame(_place(job), pl.concat(frames), f"cdc-{name}")))


def _place(job: WriteJob) -> Place:
    spec = replace(job.spec, properties={})
    return Place.of(join(job.folder, FOLDER), job.storage_options, spec)


def _below(file: WrittenFile) -> WrittenFile:
    return replace(file, path=f"{FOLDER}/{file.path}")


def tell_file(job: WriteJob, file: WrittenFile) -> WrittenFile:
    """Tells the rows of a new file of the table as inserted."""
    rows = pl.read_parquet(
        locate(job.folder, quote(file.path)),
        hive_partitioning=False,
        glob=False,
        storage_options=for_polars(job.storage_options),
    )
    folder, _, name = file.path.rpartition("/")
    path = "/".join(filter(None, (folder, f"cdc-{name}")))
    told = rows.with_columns(pl.lit(INSERT).alias(KIND))
    return _below(write_file(_place(job), told, path, file.partition))
