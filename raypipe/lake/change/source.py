"""The source of a merge, once: judged, masked, one row a key, tombstones marked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import polars as pl

from raypipe.core.errors import ExpectationError, SchemaError
from raypipe.engine.parts import run_parts
from raypipe.lake.quality.tags import guarded
from raypipe.lake.schema.contract import filled
from raypipe.lake.write.fused import PartResult, WriteJob, judge, write_refused
from raypipe.lake.write.job import Tally, settle
from raypipe.lake.write.sources import frame_part

if TYPE_CHECKING:
    from raypipe.engine.parts import RunOn
    from raypipe.lake.change.ask import MergeAsk
    from raypipe.lake.write.sources import Source, SourcePart

GONE = "_raypipe_gone"
"""In a prepared source: true for tombstones."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """The rows that a merge brings.

    Attributes:
        rows: the table's columns as far as needed, and ``GONE``; no key twice, none null.
        tally: what the parts came to.
        read: rows of tombstones, and of keys that have a newer row in the source.
    """

    rows: pl.DataFrame
    tally: Tally
    tombstones: int
    outdated: int


@dataclass(frozen=True, slots=True)
class _Piece:
    rows: pl.DataFrame
    gone: int
    result: PartResult


def prepare(source: Source, job: WriteJob, ask: MergeAsk, run_on: RunOn) -> Prepared:
    """Reads and judges every part of a source, and keeps one row of each key.

    The rows are held in memory here.

    Raises:
        ExpectationError: rows broke an expectation with ``on_fail="fail"``, have no value in a key
            column, or are several of one key.
        SchemaError, SourceError: a part cannot be read or does not fit.
    """
    pieces = run_parts(
        partial(_piece, job, ask),
        list(enumerate(source.parts)),
        run_on="ray" if source.on_ray else run_on,
        bytes_hint=source.nbytes,
    )
    tally = settle(tuple(piece.result for piece in pieces), job)
    rows = pl.concat([piece.rows for piece in pieces], rechunk=False)
    _refuse_nulls(rows, ask)
    single = _one_a_key(rows, ask)
    gone = sum(piece.gone for piece in pieces)
    return Prepared(single, tally, gone, rows.height - single.height)


def joining(job: WriteJob, ask: MergeAsk) -> WriteJob:
    """The job with only those columns joining the table that rows of the merge will have."""
    if job.before is None:
        return job
    known, told = job.before.columns, set[str]()
    if ask.delete_when is not None:
        told = set(ask.delete_when.meta.root_names())
    used = set(ask.needed(job.spec)) - told
    columns = {n: one for n, one in job.spec.columns.items() if n in known or n in used}
    if len(columns) == len(known):
        return replace(job, spec=job.before, before=None)
    return replace(job, spec=replace(job.spec, columns=columns))


def _piece(job: WriteJob, ask: MergeAsk, numbered: tuple[int, SourcePart]) -> _Piece:
    number, part = numbered
    live, dead = guarded(job.masks, part.label, lambda: _live(job, ask, part))
    if job.evolve == "add":
        job = replace(job, evolve="fail")
    judged = judge(_narrow(job, ask.needed(job.spec)), frame_part(live, part.label))
    result = write_refused(job, number, part.label, judged)
    rows = judged.kept.with_columns(pl.lit(False).alias(GONE))
    if dead is not None and dead.height:
        keys = [*ask.on, *((ask.newer_by,) if ask.newer_by else ())]
        blind = replace(_narrow(job, keys), expect=())
        marks = judge(blind, frame_part(dead.select(keys), part.label)).kept
        rows = pl.concat([rows, marks.with_columns(pl.lit(True).alias(GONE))], how="diagonal")
    gone = 0 if dead is None else dead.height
    return _Piece(rows, gone, replace(result, rows_in=result.rows_in + gone))


def _live(
    job: WriteJob, ask: MergeAsk, part: SourcePart
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """The part's rows to be written, and its tombstones."""
    frame = part.read(job.schema)
    if job.evolve == "add":
        # What a source lacks of the table's own columns is no null that a row is to take.
        new = {} if job.before is None else job.schema
        known = job.schema if job.before is None else job.before.columns
        frame = filled(frame, {n: t for n, t in new.items() if n not in known})
    return _split(frame, job, ask, part.label)


def _narrow(job: WriteJob, columns: object) -> WriteJob:
    """The job for a source with these columns only: rules over others cannot be broken by it."""
    names = set(columns)  # type: ignore[call-overload]
    if names >= set(job.spec.columns):
        return job
    spec = replace(
        job.spec,
        columns={n: c for n, c in job.spec.columns.items() if n in names},
        partition_by=(),
    )
    # An expectation keeps its place in the report, so one that cannot be judged always holds.
    some = pl.col(next(iter(spec.columns)))
    always = some.is_null() | some.is_not_null()
    expect = tuple(
        e if names.issuperset(e.columns) else replace(e, holds=always, columns=(), values=())
        for e in job.expect
    )
    masks = {n: mask for n, mask in job.masks.items() if n in names}
    return replace(job, spec=spec, expect=expect, masks=masks)


def _split(
    frame: pl.DataFrame, job: WriteJob, ask: MergeAsk, label: str
) -> tuple[pl.DataFrame, pl.DataFrame | None]:
    """Rows to be written, and tombstones; a column that only tells these apart is left out."""
    needed = ask.needed(job.spec)
    if ask.delete_when is None:
        extra = [name for name in job.spec.columns if name in frame.columns and name not in needed]
        return frame.drop(extra) if extra else frame, None
    roots = set(ask.delete_when.meta.root_names())
    for name in (*roots, *ask.on, *((ask.newer_by,) if ask.newer_by else ())):
        if name not in frame.columns:
            raise SchemaError(
                f"column {name!r} is missing in {label}", f"columns {frame.columns}", None, name
            )
    try:
        gone = frame.select(ask.delete_when.alias(GONE))[GONE]
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise SchemaError(
            f"delete_when does not fit {label}", reason, None, "delete_when"
        ) from error
    if gone.dtype != pl.Boolean:
        raise SchemaError("delete_when must be boolean", str(gone.dtype), None, "delete_when")
    gone = gone.fill_null(False)
    extra = [
        name
        for name in frame.columns
        if name not in needed and (name in roots or name in job.spec.columns)
    ]
    return frame.filter(~gone).drop(extra), frame.filter(gone)


def _refuse_nulls(rows: pl.DataFrame, ask: MergeAsk) -> None:
    wanted = [(name, "key") for name in ask.on]
    wanted += [(ask.newer_by, "sequence")] if ask.newer_by else []
    for name, kind in wanted:
        count = rows[name].null_count()
        if count:
            dead = rows.filter(pl.col(name).is_null() & pl.col(GONE)).height
            live = f", or expect not_null({name!r}, on_fail='quarantine')"
            told = f", {dead} of them tombstones, of which no expectation is asked" if dead else ""
            raise ExpectationError(
                f"source rows of the merge have no value in {kind} column {name!r}",
                f"{count} of {rows.height} rows{told}",
                "Nothing was committed. A null equals nothing: leave these rows out"
                f"{'' if dead else live}.",
                name,
            )


def _one_a_key(rows: pl.DataFrame, ask: MergeAsk) -> pl.DataFrame:
    keys = list(ask.on)
    if rows.select(keys).n_unique() == rows.height:
        return rows
    if ask.newer_by is not None:
        newest = pl.col(ask.newer_by) == pl.col(ask.newer_by).max().over(keys)
        rows = rows.filter(newest)
        # The same row may have come twice; two different ones of one sequence are no answer.
        rows = rows.unique(maintain_order=True) if rows.select(keys).is_duplicated().any() else rows
    double = rows.select(keys).is_duplicated()
    if double.any():
        count = rows.filter(double).select(keys).n_unique()
        raise ExpectationError(
            "the source of the merge has several rows of one key"
            + ("" if ask.newer_by is None else f" and the same newest {ask.newer_by!r}"),
            f"{count} such keys",
            "Nothing was committed. Leave one row a key, or name a sequence column in newer_by.",
            keys[0],
        )
    return rows
