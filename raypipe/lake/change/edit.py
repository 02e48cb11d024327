"""Delete and update: the rows of a filter go or change, in one commit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, ExpectationError, RecipeError, SchemaError
from raypipe.engine.parts import run_parts
from raypipe.expressions import encode
from raypipe.lake.change.feed import DELETE, write_feed
from raypipe.lake.change.plan import candidates
from raypipe.lake.change.rewrite import (
    Edit,
    RewriteJob,
    Rewritten,
    Target,
    generate,
    replace_rows,
)
from raypipe.lake.log.certain import all_match
from raypipe.lake.schema.dtypes import conform
from raypipe.lake.write.fused import part_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.lake.change.unit import Unit, View

_ROW = "_raypipe_row"


@dataclass(frozen=True, slots=True)
class Filtered:
    """Rows of a filter, and what becomes of them.

    Attributes:
        where: the filter.
        node: the same in its stored form.
        sets: what the columns become; None: the rows are deleted.
    """

    where: pl.Expr
    node: Mapping[str, Any]
    sets: Mapping[str, pl.Expr] | None = None


def edit_file(job: RewriteJob, what: Filtered, target: Target) -> Rewritten:
    """One file of a delete or an update. The filter's columns alone tell whether it is written."""
    roots = sorted(set(what.where.meta.root_names()))
    schema = job.write.schema
    looked = target.part.read(roots or [next(iter(schema))])
    hit = looked.with_columns(what.where.fill_null(False).alias(_ROW))[_ROW]
    rows = hit.arg_true()
    if not len(rows):
        return Rewritten(target.path)
    none = rows.clear()
    if what.sets is None and len(rows) == hit.len() and not job.feed:
        return Rewritten(target.path, touched=True, deleted=hit.len())
    frame = target.part.read()
    if what.sets is None:
        return replace_rows(job, target, frame, Edit(none, frame.clear(), rows, ()))
    after, sets = _set(job, frame[rows], what.sets)
    return replace_rows(job, target, frame, Edit(rows, after, none, sets))


def _set(
    job: RewriteJob, before: pl.DataFrame, sets: Mapping[str, pl.Expr]
) -> tuple[pl.DataFrame, tuple[str, ...]]:
    """The rows after an update, judged by the table's expectations; and the columns that it set."""
    try:
        after = before.with_columns(expr.alias(name) for name, expr in sets.items())
    except pl.exceptions.PolarsError as error:
        reason = str(error).split("\n", 1)[0]
        raise SchemaError("an update does not fit the table", reason, None, "set") from error
    after = conform(after, job.write.schema, "the update")
    after, columns = generate(after, job.write.spec, tuple(sets))
    for one in job.write.expect:
        count = int(after.select(one.broken())[one.name].sum())
        if count and one.on_fail != "warn":
            raise ExpectationError(
                f"expectation {one.name!r} does not hold after the update",
                f"{count} rows that break it",
                "Nothing was committed. Update other rows, or to other values.",
                one.columns[0] if one.columns else None,
            )
    return after, columns


def drop_file(job: RewriteJob, target: Target) -> Rewritten:
    """One file all of whose rows go, told in the change feed."""
    rows = target.part.read()
    name = part_name(job.write, target.number)
    feed = write_feed(job.write, [(rows, DELETE)], name)
    return Rewritten(target.path, touched=True, feed=feed, deleted=rows.height)


@dataclass(frozen=True, slots=True)
class Edited:
    """What a delete or an update makes of the table's files."""

    touched: tuple[Rewritten, ...]

    @property
    def change(self) -> dict[str, Any]:
        """As arguments of a change."""
        return {
            "files": tuple(f for one in self.touched for f in one.files),
            "change_files": tuple(f for one in self.touched for f in one.feed),
            "remove_paths": tuple(one.path for one in self.touched),
        }

    def count(self, name: str) -> int:
        """Rows ``updated`` or ``deleted``."""
        return sum(getattr(one, name) for one in self.touched)


def look(unit: Unit, view: View, what: Filtered) -> Edited:
    """What becomes of each file that can hold a row of the filter.

    A file all of whose rows go by what the log says is not read, unless other files of the same
    change tell their rows in the change feed: then its rows must be told there too.
    """
    schema, spec = unit.job.schema, unit.job.spec
    files = candidates(what.node, view.pinned.files, schema)
    whole = files.clear()
    if what.sets is None:
        whole = files.filter(all_match(what.node, files, schema))
        files = files.join(whole, on="path", how="anti", maintain_order="left")
    seen = _run(unit, view, files, partial(edit_file, RewriteJob(unit.job, spec.change_feed), what))
    if any(one.feed for one in seen):
        seen += _run(unit, view, whole, partial(drop_file, RewriteJob(unit.job, feed=True)))
    else:
        seen += [
            Rewritten(target.path, touched=True, deleted=target.part.rows)
            for target in view.targets(whole, 0)
        ]
    return Edited(tuple(one for one in seen if one.touched))


def _run(unit: Unit, view: View, files: pl.DataFrame, work: Any) -> list[Rewritten]:
    targets = view.targets(files, unit.number(files.height))
    fresh = [target for target in targets if target.path not in unit.done]
    size = sum(target.part.nbytes for target in fresh)
    results: list[Rewritten] = run_parts(work, fresh, run_on=unit.ask.run_on, bytes_hint=size)
    unit.done.update({one.path: one for one in results})
    return [unit.done[target.path] for target in targets]


def checked_set(
    values: object, schema: Mapping[str, pl.DataType], table: str
) -> dict[str, pl.Expr]:
    """What an update sets: an expression or a plain value for each column.

    Raises:
        ConfigError: it is no such mapping, or an expression is not row-wise.
        SchemaError: a column is not there, or a value cannot be of its type.
    """
    if not isinstance(values, dict) or not values or not all(isinstance(n, str) for n in values):
        raise ConfigError("set maps columns to expressions or values", values, None, "set")
    return {name: _expression(name, value, schema, table) for name, value in values.items()}


def _expression(name: str, value: object, schema: Mapping[str, pl.DataType], table: str) -> pl.Expr:
    if name not in schema:
        raise SchemaError(
            f"table {table!r} has no column {name!r}", f"columns {list(schema)}", None, name
        )
    if not isinstance(value, pl.Expr):
        try:
            return pl.lit(pl.Series([value], dtype=schema[name], strict=True)).first()
        except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError) as error:
            raise SchemaError(
                f"column {name!r} of table {table!r} cannot have this value",
                f"a {type(value).__name__} for {schema[name]}",
                None,
                name,
            ) from error
    try:
        encode(value)
    except RecipeError as error:
        raise ConfigError(
            f"what column {name!r} is set to cannot be used: {error.what}",
            error.got,
            error.act,
            "set",
        ) from None
    unknown = [root for root in value.meta.root_names() if root not in schema]
    if unknown:
        raise SchemaError(
            f"table {table!r} has no column {unknown[0]!r}",
            f"columns {list(schema)}",
            None,
            unknown[0],
        )
    return value
