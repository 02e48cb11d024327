"""A table at one version: fixed rows in a fixed order, read lazily, in parts, or on Ray."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.expressions import decode, encode
from raypipe.lake.log.prune import may_match
from raypipe.lake.outcome import html_table
from raypipe.lake.schema.spec import TableSpec, spec_of
from raypipe.lake.storage.store import locate

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa
    import ray

    from raypipe.lake.lake import Lake
    from raypipe.lake.log.table_log import TableLog

_CASTS = pl.ScanCastOptions(
    datetime_cast=["nanosecond-downcast", "convert-timezone"], integer_cast="upcast"
)


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the log tells of one version.

    Attributes:
        version: the version.
        spec: columns, partitions and properties.
        files: one row for each file with its statistics, in the order in which they are read:
            that of their commits, then that of their paths.
    """

    version: int
    spec: TableSpec
    files: pl.DataFrame

    @property
    def schema(self) -> Mapping[str, pl.DataType]:
        """Columns and types, in order."""
        return self.spec.types

    @property
    def partition_by(self) -> tuple[str, ...]:
        """The partition columns."""
        return self.spec.partition_by


def pin(log: TableLog, version: int | None) -> Pinned:
    """Reads the log at a version, the newest one by default.

    Raises:
        TableNotFoundError: there is no table.
        VersionNotFoundError: the table has no such version.
    """
    if version is not None:
        return _pinned(log, log.open(version))
    with log.newest() as table:
        return _pinned(log, table)


def _pinned(log: TableLog, table: Any) -> Pinned:
    files = _with_counts(log, pl.DataFrame(table.get_add_actions(flatten=True)))
    return Pinned(int(table.version()), spec_of(table), files.sort("modification_time", "path"))


def _with_counts(log: TableLog, files: pl.DataFrame) -> pl.DataFrame:
    """Row counts from the files' footers where another engine left them out of the log."""
    if "num_records" not in files.columns:
        files = files.with_columns(pl.lit(None, pl.Int64).alias("num_records"))
    if files["num_records"].null_count() == 0:
        return files
    counts = [
        count
        if count is not None
        else pl.scan_parquet(locate(log.uri, path), storage_options=log.options, glob=False)
        .select(pl.len())
        .collect()
        .item()
        for path, count in files.select("path", "num_records").iter_rows()
    ]
    return files.with_columns(pl.Series("num_records", counts, dtype=pl.Int64))


@dataclass(frozen=True, slots=True)
class LakePart:
    """One file of a snapshot; pickles, and is read by whoever gets it.

    Attributes:
        uri: where the file lies.
        rows: rows in the file, before any filter.
        nbytes: its size.
        storage_options: keys for the object store; a secret, so no ``repr`` shows them.
    """

    uri: str
    rows: int
    nbytes: int
    schema: Mapping[str, pl.DataType]
    partition: Mapping[str, Any]
    storage_options: Mapping[str, str] | None = field(repr=False)
    where: pl.Expr | None
    columns: tuple[tuple[str, pl.Expr | None], ...] | None

    def lazy(self) -> pl.LazyFrame:
        """The part as a plain LazyFrame, after filter and selection."""
        return _shape(_scan([self]), self.where, self.columns)

    def read(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The part's rows after the filter, in the file's order.

        Raises:
            SchemaError: a column is not there.
        """
        frame = self.lazy()
        if columns is not None:
            known = [n for n, _ in self.columns] if self.columns is not None else list(self.schema)
            _refuse_unknown(columns, known)
            frame = frame.select(columns)
        return frame.collect()


def _scan(parts: Sequence[LakePart]) -> pl.LazyFrame:
    """Files with the same partition values as one scan, in their order."""
    first = parts[0]
    stored = {n: t for n, t in first.schema.items() if n not in first.partition}
    frame = pl.scan_parquet(
        [part.uri for part in parts],
        schema=stored,
        glob=False,
        hive_partitioning=False,
        missing_columns="insert",
        extra_columns="ignore",
        cast_options=_CASTS,
        storage_options=dict(first.storage_options) if first.storage_options else None,
    )
    if not first.partition:
        return frame
    values = {n: pl.lit(v, dtype=first.schema[n]) for n, v in first.partition.items()}
    return frame.with_columns(**values).select(list(first.schema))


def _shape(
    frame: pl.LazyFrame,
    where: pl.Expr | None,
    columns: tuple[tuple[str, pl.Expr | None], ...] | None,
) -> pl.LazyFrame:
    if where is not None:
        frame = frame.filter(where)
    if columns is not None:
        frame = frame.select(
            pl.col(name) if expr is None else expr.alias(name) for name, expr in columns
        )
    return frame


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
        return dict(_shape(empty, None, self._columns).collect_schema())

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
        _refuse_unknown(columns, list(now))
        for expr in computed.values():
            encode(expr)
            self._check(expr, [n for n, e in now.items() if e is None])
        chosen = tuple((name, now[name]) for name in columns) + tuple(computed.items())
        return Snapshot(self._lake, self._log, self._pinned, self._where, chosen)

    def _check(self, expr: pl.Expr, known: Sequence[str] | set[str] | Mapping[str, object]) -> None:
        _refuse_unknown(expr.meta.root_names(), list(known))
        try:
            pl.LazyFrame(schema=dict(self._pinned.schema)).select(expr).collect_schema()
        except pl.exceptions.PolarsError as error:
            reason = str(error).split("\n", 1)[0]
            raise SchemaError("an expression does not fit the table", reason) from error

    def parts(self) -> tuple[LakePart, ...]:
        """One part for each file that can hold a row of the filter, in a fixed order.

        The order is that of the commits that added the files, then that of their paths, which is
        the order of the data that was written.
        """
        return self._parts

    @cached_property
    def _parts(self) -> tuple[LakePart, ...]:
        files = self._pinned.files
        if self._where is not None:
            files = files.filter(may_match(encode(self._where), files, self._pinned.schema))
        return tuple(self._part(row) for row in files.iter_rows(named=True))

    def _part(self, row: Mapping[str, Any]) -> LakePart:
        return LakePart(
            locate(self._log.uri, row["path"]),
            int(row["num_records"]),
            int(row["size_bytes"]),
            self._pinned.schema,
            {name: row[f"partition.{name}"] for name in self._pinned.partition_by},
            self._log.options,
            self._where,
            self._columns,
        )

    def lazy(self) -> pl.LazyFrame:
        """The rows as a plain polars LazyFrame, in the order of the parts."""
        parts = self.parts()
        if not parts:
            return _shape(
                pl.LazyFrame(schema=dict(self._pinned.schema)), self._where, self._columns
            )
        if self._pinned.partition_by:
            return pl.concat([part.lazy() for part in parts])
        return _shape(_scan(parts), self._where, self._columns)

    def frame(self) -> pl.DataFrame:
        """All rows in memory, in the order of the parts."""
        return self.lazy().collect()

    def dataset(self) -> ray.data.Dataset:
        """A plain ``ray.data.Dataset`` with one block for each part; rows are read by its tasks.

        Ray keeps the order of blocks only when its execution option ``preserve_order`` is set.
        """
        import ray

        from raypipe.engine.cluster import ensure_ray

        ensure_ray()
        parts = self.parts()
        if not parts:
            return ray.data.from_arrow(_arrow(pl.DataFrame(schema=dict(self.schema))))

        def read(batch: Mapping[str, Any]) -> pa.Table:
            return _arrow(pl.concat([parts[int(number)].read() for number in batch["id"]]))

        # One block a part: with fewer rows than blocks Ray would cut again.
        numbers = ray.data.range(len(parts), override_num_blocks=len(parts))
        return numbers.map_batches(read, batch_size=None, batch_format="numpy")

    def count(self) -> int:
        """Rows; without a filter this reads no file."""
        if self._where is None:
            return sum(part.rows for part in self.parts())
        return int(self.lazy().select(pl.len()).collect().item())

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
        _refuse_unknown([n for n, e in chosen if e is None], list(self._pinned.schema))
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


def _arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _refuse_unknown(wanted: Sequence[str], known: Sequence[str]) -> None:
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise SchemaError(
            f"there is no column {unknown[0]!r}", f"columns {list(known)}", None, unknown[0]
        )
