"""A table at one version: fixed rows in a fixed order, read lazily, in parts, or on Ray."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.core.markup import html_table
from raypipe.expressions import decode, encode
from raypipe.lake.log.prune import DELETED, may_match
from raypipe.lake.read import measure
from raypipe.lake.read.broken import reading
from raypipe.lake.read.explain import Explanation, columns_of, explain
from raypipe.lake.read.facts import ColumnFacts, Description
from raypipe.lake.read.feed import cut, dataset, to_arrow
from raypipe.lake.read.part import LakePart, place, refuse_unknown, scan, shape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import ray

    from raypipe.lake.lake import Lake
    from raypipe.lake.log.table_log import TableLog
    from raypipe.lake.read.pin import Pinned
    from raypipe.lake.schema.spec import Column


class Snapshot:
    """A table at one version, with a filter and a choice of columns.

    Reading it twice gives the same rows in the same order, whatever is written meanwhile. It is
    immutable (``where`` and ``select`` give new ones), cheap, and it pickles.
    """

    def __init__(
        self,
        lake: Lake,
        log: TableLog,
        pinned: Pinned,
        where: pl.Expr | None = None,
        columns: tuple[tuple[str, pl.Expr | None], ...] | None = None,
    ) -> None:
        """Made by ``Table.at``."""
        self._lake = lake
        self._log = log
        self._pinned = pinned
        self._where = where
        self._columns = columns

    @property
    def lake(self) -> Lake:
        """The lake that the table lies in."""
        return self._lake

    @property
    def table_name(self) -> str:
        """The table's name."""
        return self._log.name

    @property
    def version(self) -> int:
        """The table's version."""
        return self._pinned.version

    @cached_property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Columns and their polars types, in order."""
        if self._columns is None:
            return dict(self._pinned.schema)
        empty = pl.LazyFrame(schema=dict(self._pinned.schema))
        return dict(shape(empty, None, self._columns).collect_schema())

    @property
    def stored(self) -> Mapping[str, Column]:
        """The columns that are those of the table, and not computed, with what it says of them."""
        spec = self._pinned.spec.columns
        return (
            spec if self._columns is None else {n: spec[n] for n, e in self._columns if e is None}
        )

    def where(self, expr: pl.Expr) -> Snapshot:
        """Only the rows for which a row-wise expression is true; filters add up.

        Files whose statistics rule a match out are never opened.

        Raises:
            RecipeError: the expression is not row-wise, or holds a Python function.
            SchemaError: it names a column that is not there, or does not fit a type.
        """
        encode(expr)
        plain = {n for n, e in self._columns if e is None} if self._columns is not None else None
        self._check(expr, self._pinned.schema if plain is None else plain)
        both = expr if self._where is None else self._where & expr
        return Snapshot(self._lake, self._log, self._pinned, both, self._columns)

    def select(self, *columns: str, **computed: pl.Expr) -> Snapshot:
        """Only these columns, in this order, then computed ones.

        Raises:
            RecipeError: an expression is not row-wise, or holds a Python function.
            SchemaError: a column is not there.
            ConfigError: nothing is selected, or a name twice.
        """
        now = (
            dict(self._columns)
            if self._columns is not None
            else dict.fromkeys(self._pinned.schema, None)
        )
        names = [*columns, *computed]
        if not names or len(set(names)) < len(names):
            raise ConfigError("select needs columns, each once", names, None, "columns")
        refuse_unknown(columns, list(now))
        for expr in computed.values():
            encode(expr)
            self._check(expr, [n for n, e in now.items() if e is None])
        chosen = tuple((name, now[name]) for name in columns) + tuple(computed.items())
        return Snapshot(self._lake, self._log, self._pinned, self._where, chosen)

    def _check(self, expr: pl.Expr, known: Sequence[str] | set[str] | Mapping[str, object]) -> None:
        refuse_unknown(expr.meta.root_names(), list(known))
        try:
            pl.DataFrame(schema=dict(self._pinned.schema)).select(expr)  # types meet only in a run
        except pl.exceptions.PolarsError as error:
            reason = str(error).split("\n", 1)[0]
            raise SchemaError("an expression does not fit the table", reason) from error

    def parts(self) -> tuple[LakePart, ...]:
        """One part for each file that can hold a row of the filter, in a fixed order.

        The order is that of the commits that added the files, then that of their paths, which is
        the order of the data that was written.
        """
        return self._parts

    def pieces(self, target_bytes: int) -> tuple[LakePart, ...]:
        """The parts in their order, where a large file is several: ranges of whole row groups.

        Args:
            target_bytes: bytes on disk; a file of up to half as many again stays one piece, and so
                does one whose footer is not at hand.
        """
        found: list[LakePart] = []
        for part in self.parts():
            if part.nbytes <= target_bytes * 3 // 2 or not part.rows:
                found.append(part)
                continue
            share = part.nbytes / part.rows
            pieces = cut(part, target_bytes)
            found += [replace(one, nbytes=int(share * one.rows)) for one in pieces]
        return tuple(found)

    @cached_property
    def _told(self) -> dict[str, Any] | None:
        """The filter as data."""
        return None if self._where is None else encode(self._where)

    @cached_property
    def _kept(self) -> pl.DataFrame:
        """The log's files that can hold a row of the filter, in the order of the parts."""
        files = self._pinned.files
        if self._told is None:
            return files
        return files.filter(may_match(self._told, files, self._pinned.schema))

    @cached_property
    def _parts(self) -> tuple[LakePart, ...]:
        schema = self._pinned.schema
        return tuple(self._part(row, schema) for row in self._kept.iter_rows(named=True))

    def _part(self, row: Mapping[str, Any], schema: Mapping[str, pl.DataType]) -> LakePart:
        return LakePart(
            uri=place(self._log.uri, row["path"]),
            rows=row["num_records"] - row[DELETED],
            nbytes=row["size_bytes"],
            schema=schema,
            partition={name: row[f"partition.{name}"] for name in self._pinned.partition_by},
            storage_options=self._log.options,
            where=self._where,
            columns=self._columns,
            table=self.table_name,
            version=self.version,
            physical=self._pinned.physical,
            deleted=self._pinned.deleted.get(row["path"]),
        )

    def lazy(self) -> pl.LazyFrame:
        """The rows as a plain polars LazyFrame, in the order of the parts.

        Filters and projections that are added to it reach the files. It knows nothing of the
        lake any more: a file that is gone when it is collected is an error of polars.
        """
        parts = self.parts()
        if not parts:
            return shape(pl.LazyFrame(schema=dict(self._pinned.schema)), self._where, self._columns)
        return shape(scan(parts), self._where, self._columns)

    def frame(self) -> pl.DataFrame:
        """All rows in memory, in the order of the parts.

        Raises:
            LakeError: a file is gone, cut short or spoilt; it and the version are named.
        """
        return reading(self.parts(), self.lazy().collect)

    def dataset(self, target_bytes: int | None = None) -> ray.data.Dataset:
        """A plain ``ray.data.Dataset``; its tasks read the rows.

        Small files that follow each other are read by one task, a file of twice the target or more
        by several, each a range of its row groups. Ray keeps the order of blocks only when its
        execution option ``preserve_order`` is set.

        Args:
            target_bytes: compressed bytes that one task reads; by default the whole over four
                tasks a CPU, between 4 and 64 MiB.

        Raises:
            ConfigError: ``target_bytes`` is not a positive whole number.
            EngineError: Ray could not be started or joined.
            LakeError: raised by a task, and so in Ray's ``RayTaskError``: a file is gone, cut
                short or spoilt.
        """
        if self.parts():
            return dataset(self.parts(), target_bytes)
        import ray

        from raypipe.engine.cluster import ensure_ray

        ensure_ray()
        return ray.data.from_arrow(to_arrow(pl.DataFrame(schema=dict(self.schema))))

    def count(self) -> int:
        """Rows. Only files that hold both rows that pass the filter and rows that do not, as far
        as the log's statistics tell, are read; without a filter none is.

        Raises:
            LakeError: a file is gone, cut short or spoilt; it and the version are named.
        """
        return measure.count(self.parts(), self._kept, self._told)

    def least_known(self, column: str) -> int:
        """Rows that have a value of a column (neither missing nor NaN) for certain, as far as the
        log's statistics tell; no file is read, so there may be more.

        Raises:
            SchemaError: there is no such column.
        """
        refuse_unknown([column], list(self.schema))
        dtype = self.schema[column]
        return measure.least_known(self.parts(), self._kept, self._told, column, dtype)

    def min(self, column: str) -> Any:
        """The least value of a column, None without any; NaN counts only where all are NaN.

        It comes from the log where that tells it exactly, and the other files are read. A nested
        or binary column has none.

        Raises:
            SchemaError: there is no such column.
            LakeError: a file is gone, cut short or spoilt; it and the version are named.
        """
        return self._ends(column)[0]

    def max(self, column: str) -> Any:
        """The greatest value of a column; as ``min``."""
        return self._ends(column)[1]

    def _ends(self, column: str) -> tuple[Any, Any]:
        refuse_unknown([column], list(self.schema))
        wanted = {column: self.schema[column]}
        found = measure.measure(self.parts(), self._kept, self._told, wanted, nulls=False)
        return found.columns[column][1:]

    def describe(self) -> Description:
        """Rows, missing values, least and greatest of every column.

        Figures that the log tells exactly are taken from there; the files of which it tells less
        are read once, and ``source`` says how many those were. The log does not tell the ends of
        decimals, of strings of 32 bytes or more, of a float column of ours with NaN, of the
        floats and timestamps of other engines, and nothing of files with deletion vectors.

        Raises:
            LakeError: a file is gone, cut short or spoilt; it and the version are named.
        """
        found = measure.measure(self.parts(), self._kept, self._told, self.schema)
        rows = self.count()
        return Description(
            rows,
            tuple(
                ColumnFacts(name, dtype, rows - nulls, nulls, low, high)
                for (name, dtype), (nulls, low, high) in zip(
                    self.schema.items(), found.columns.values(), strict=True
                )
            ),
            found.source(self._pinned.files.height),
        )

    def explain(self) -> Explanation:
        """What reading the snapshot takes: files, row groups, bytes and columns, of how many, and
        how many files each part of the filter rules out. Reads at most footers.
        """
        known = self._pinned.schema
        used = known if self._columns is None else dict(self._columns)
        names = [n for n in known if n in set(_read_by(used)) | set(columns_of(self._told))]
        return explain(self.table_name, self._pinned, self.parts(), self._kept, self._told, names)

    def identity(self) -> dict[str, Any]:
        """JSON that names these rows for ever; ``Lake.snapshot`` gives the snapshot back."""
        columns = None
        if self._columns is not None:
            columns = [
                {"name": name, "expr": None if expr is None else encode(expr)}
                for name, expr in self._columns
            ]
        return {
            "table": self.table_name,
            "version": self.version,
            "where": None if self._where is None else encode(self._where),
            "columns": columns,
        }

    def restrict(self, identity: Mapping[str, Any]) -> Snapshot:
        """This snapshot with the filter and the columns of an identity."""
        where, columns = identity.get("where"), identity.get("columns")
        out = self if where is None else self.where(decode(where))
        if columns is None:
            return out
        chosen = tuple(
            (str(c["name"]), None if c["expr"] is None else decode(c["expr"])) for c in columns
        )
        refuse_unknown([n for n, e in chosen if e is None], list(self._pinned.schema))
        return Snapshot(self._lake, out._log, out._pinned, out._where, chosen)

    def _facts(self) -> list[tuple[str, object]]:
        facts: list[tuple[str, object]] = [
            ("table", self.table_name),
            ("version", self.version),
            ("files", f"{len(self.parts())} of {self._pinned.files.height}"),
            (
                "rows",
                f"{'' if self._where is None else 'at most '}{sum(p.rows for p in self.parts())}",
            ),
            ("columns", ", ".join(f"{n}: {t}" for n, t in self.schema.items())),
        ]
        if self._where is not None:
            facts.append(("where", str(self._where)))
        return facts

    def __repr__(self) -> str:
        return "Snapshot(" + ", ".join(f"{k}={v}" for k, v in self._facts()) + ")"

    def _repr_html_(self) -> str:
        return html_table(("snapshot", ""), self._facts())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Snapshot) and (
            self._log.uri == other._log.uri and self.identity() == other.identity()
        )

    def __hash__(self) -> int:
        return hash((self._log.uri, self.version))


def _read_by(chosen: Mapping[str, Any]) -> Iterator[str]:
    for name, expr in chosen.items():
        if isinstance(expr, pl.Expr):
            yield from expr.meta.root_names()
        else:
            yield name
