"""lookup: columns of a small table, found by a key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import polars as pl

from raypipe.core.errors import RecipeError
from raypipe.core.identity import canonical_json, content_hash
from raypipe.expressions.row_base import Value
from raypipe.expressions.values import parse, plain
from raypipe.features.columns import RAW_TYPES, canonical, raw_type, unknown
from raypipe.features.transforms.base import (
    Fitted,
    Json,
    RowStep,
    RowWriter,
    Schema,
    Slots,
    Transform,
    check_keys,
    check_text,
    slot,
    tampered,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from raypipe.core.scan import Scan

MAX_ROWS = 100_000
MAX_BYTES = 32 * 2**20  # half of what a stored recipe may be
_KEY_TYPES = ("string", "int64", "bool", "date")


@dataclass(frozen=True, slots=True, repr=False)
class Lookup(Transform):
    """Columns of a small table, joined by a unique key and kept inside the recipe.

    They are no features by themselves: later transforms read them as they read raw columns. A null
    key and a key that the table does not hold give null; an empty string is a key like others. NaN
    in the table counts as null, an infinity is refused.
    """

    on: str
    prefix: str
    digest: str  # stands for the table when two lookups are compared
    _table: pl.DataFrame
    kind: ClassVar[str] = "lookup"
    mends_null: ClassVar[bool] = True
    gives: ClassVar[str] = "columns"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lookup) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    def __repr__(self) -> str:
        rows, columns = self._table.height, self._table.columns[1:]
        return f"Lookup(on={self.on!r}, columns={columns}, rows={rows})"

    @property
    def _identity(self) -> tuple[str, str, str]:
        return (self.on, self.prefix, self.digest)

    @property
    def reads(self) -> tuple[str, ...]:
        """The key."""
        return (self.on,)

    def outputs(self, schema: Schema) -> dict[str, pl.DataType]:
        """The table's other columns."""
        have, want = schema[self.on], self._table.schema[self.on]
        if have != want:
            raise RecipeError(
                f"lookup: the key {self.on!r} is of another type in the table",
                f"{have} in the rows, {want} in the table",
                "Bring them to one type.",
                self.on,
            )
        return {
            self.prefix + name: dtype
            for name, dtype in self._table.schema.items()
            if name != self.on
        }

    def fitted(self, state: Json, schema: Schema) -> Fitted:
        """The table itself; there is no further state."""
        if state is not None:
            raise tampered(self.kind, "it has a state", self.on)
        return _Joined(tuple(self.outputs(schema)), self.on, self._table)

    def to_json(self) -> dict[str, Json]:
        """The settings and the whole table."""
        return {"on": self.on, "prefix": self.prefix, "table": _table_json(self._table)}

    @classmethod
    def from_json(cls, data: Mapping[str, Json]) -> Self:
        """The transform again, each value of the table checked."""
        check_keys(data, {"on", "prefix", "table"}, cls.kind)
        on, prefix = check_text(data["on"], cls.kind, "on"), data["prefix"]
        if not isinstance(prefix, str) or len(prefix) > 1_000:
            raise tampered(cls.kind, "prefix is not a text", "prefix")
        table = _table_from_json(data["table"])
        if table.columns[:1] != [on] or len(table.columns) < 2:
            raise tampered(cls.kind, "the table does not begin with the key", on)
        _check_table(table, on)
        return cls(on, prefix, content_hash(data["table"]), table)


@dataclass(frozen=True, slots=True)
class _Joined(Fitted):
    on: str
    table: pl.DataFrame

    def batch(self, frame: pl.LazyFrame, source: Slots, target: Slots) -> pl.LazyFrame:
        names = [slot(target[name]) for name in self.outputs]
        table = self.table.lazy().rename(
            dict(zip(self.table.columns, ["#key", *names], strict=True))
        )
        return frame.join(
            table,
            left_on=slot(source[self.on]),
            right_on="#key",
            how="left",
            coalesce=True,
            maintain_order="left",
        )

    def row(self, source: Slots, target: Slots) -> RowStep:
        have = source[self.on]
        places = [target[name] for name in self.outputs]
        found = {row[0]: row[1:] for row in self.table.iter_rows()}
        empty = (None,) * len(places)

        def step(slots: list[Any]) -> None:
            for place, value in zip(places, found.get(slots[have], empty), strict=True):
                slots[place] = value

        return step

    def code(self, write: RowWriter, source: Slots, target: Slots) -> bool:
        found = {row[0]: row[1:] for row in self.table.iter_rows()}
        empty = (None,) * len(self.outputs)
        parts = (write.bind(found.get), write.read(source[self.on]), write.bind(empty))
        whole = write.settled("{}({}, {})", *parts)
        for number, name in enumerate(self.outputs):
            item = write.settled("{}[{}]", whole, write.bind(number))
            dtype = self.table.schema[self.table.columns[number + 1]]
            write.values[target[name]] = Value(item, dtype, (item,))
        return True


def _table_json(table: pl.DataFrame) -> Json:
    return [
        {
            "name": column.name,
            "type": raw_type(column.name, column.dtype),
            "values": [plain(value) for value in column.to_list()],
        }
        for column in table
    ]


def _table_from_json(data: Json) -> pl.DataFrame:
    if not isinstance(data, list) or not 0 < len(data) <= 1_000:
        raise tampered("lookup", "the table is not a list of columns", "table")
    columns: dict[str, pl.Series] = {}
    for column in data:
        check_keys(column, {"name", "type", "values"}, "lookup")
        name = check_text(column["name"], "lookup", "name")
        kind, values = column["type"], column["values"]
        if not isinstance(kind, str) or kind not in RAW_TYPES or name in columns:
            raise tampered("lookup", "a column is twice there or of an unknown type", name)
        if not isinstance(values, list) or len(values) > MAX_ROWS:
            raise tampered("lookup", "a column is not a list, or is too long", name)
        parsed = [None if value is None else parse(value, kind) for value in values]
        columns[name] = pl.Series(name, parsed, dtype=RAW_TYPES[kind])
    if len({len(column) for column in columns.values()}) != 1:
        raise tampered("lookup", "its columns are not of one length", "table")
    return pl.DataFrame(columns)


def _check_table(table: pl.DataFrame, on: str) -> None:
    kind = raw_type(on, table.schema[on])
    if kind not in _KEY_TYPES:
        raise RecipeError("lookup cannot take this key", kind, f"Use: {', '.join(_KEY_TYPES)}.", on)
    if table.height > MAX_ROWS:
        raise RecipeError(
            "lookup takes small tables", f"{table.height} rows", f"At most {MAX_ROWS} rows.", on
        )
    if table[on].null_count():
        raise RecipeError(f"lookup: the key {on!r} is null in a row of the table", None, None, on)
    twice = table[on].filter(table[on].is_duplicated())
    if len(twice):
        raise RecipeError(
            f"lookup: the key {on!r} stands twice in the table",
            repr(twice[0]),
            "Make it unique.",
            on,
        )
    for column in table:
        if column.dtype == pl.Float64 and column.is_infinite().any():
            raise RecipeError("lookup: the table holds an infinity", None, None, column.name)


def lookup(
    table: pl.DataFrame | pl.LazyFrame | Scan,
    *,
    on: str,
    columns: Sequence[str],
    prefix: str = "",
) -> Lookup:
    """Columns of a small table, found by a key, for later transforms to read.

    The table is read now and kept inside the recipe, up to 100,000 rows and 32 MiB of JSON, so that
    scoring needs nothing else. A null or unknown key gives null; NaN in the table counts as null.

    Args:
        table: where to look; its key holds no null and no value twice.
        on: the key, in the table and in the rows: a string, an integer, a boolean or a date.
        columns: the columns to take.
        prefix: put before their names, when a raw column has the same one.

    Raises:
        RecipeError: a column is not there or of an unreadable type, the key holds a null or a
            value twice, the table is too large or holds an infinity.
    """
    check_text(on, "lookup", "on")
    names = [check_text(column, "lookup", "columns") for column in columns]
    if not names or len({on, *names}) != len(names) + 1:
        raise RecipeError(
            "lookup needs columns other than the key, each once", repr(names), None, "columns"
        )
    lazy = table.lazy()
    schema = lazy.collect_schema()
    for name in (on, *names):
        if name not in schema:
            raise unknown(name, schema, "lookup")
    found = lazy.select(
        canonical(name, schema[name], raw_type(name, schema[name])) for name in (on, *names)
    ).collect()
    found = found.with_columns(pl.col(pl.Float64).fill_nan(None))
    _check_table(found, on)
    data = _table_json(found)
    size = len(canonical_json(data))
    if size > MAX_BYTES:
        raise RecipeError(
            "lookup takes small tables",
            f"{size} bytes as JSON",
            f"At most {MAX_BYTES} bytes, so that the recipe can be read again.",
            on,
        )
    digest = content_hash(data)
    return Lookup(on, prefix, digest, found)
