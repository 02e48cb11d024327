"""What a table is: columns with types, nullability and metadata, partitions and properties."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import polars as pl

from raypipe.core.errors import ConfigError, LakeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SORT_BY = "raypipe.sortBy"
PII = "raypipe.pii"
CONSTRAINT = "delta.constraints."
_TARGET_BYTES = 256 * 2**20
_UNITS = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "m": 2**20, "mb": 2**20, "g": 2**30, "gb": 2**30}
_PLAIN: dict[str, pl.DataType] = {
    "byte": pl.Int8(),
    "short": pl.Int16(),
    "integer": pl.Int32(),
    "long": pl.Int64(),
    "float": pl.Float32(),
    "double": pl.Float64(),
    "string": pl.String(),
    "boolean": pl.Boolean(),
    "binary": pl.Binary(),
    "date": pl.Date(),
    "timestamp": pl.Datetime("us", "UTC"),
    "timestamp_ntz": pl.Datetime("us"),
    "void": pl.Null(),
}
_NAMES = {dtype: name for name, dtype in _PLAIN.items()}
_DECIMAL = re.compile(r"decimal\((\d+),\s*(\d+)\)")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        dtype: its polars type, as a type or an instance.
        nullable: whether a row may have no value in it.
        metadata: what the Delta log keeps with it (JSON values by name).

    Raises:
        ConfigError: ``dtype`` is no polars type, or ``nullable`` is not a bool.
    """

    dtype: pl.DataType
    nullable: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: object = self.dtype
        if isinstance(given, type) and issubclass(given, pl.DataType):
            object.__setattr__(self, "dtype", given())
        elif not isinstance(given, pl.DataType):
            raise ConfigError(
                "a column has a polars type", given, "Give pl.Int64 or such.", "dtype"
            )
        if not isinstance(self.nullable, bool):
            raise ConfigError("nullable is True or False", self.nullable, None, "nullable")


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A table's columns, partitions and properties, as one version of its log says.

    Attributes:
        columns: the columns by name, in order.
        partition_by: the partition columns.
        properties: the Delta table properties, also of other engines.
    """

    columns: Mapping[str, Column]
    partition_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of_types(
        cls,
        types: Mapping[str, pl.DataType],
        partition_by: Iterable[str] = (),
        properties: Mapping[str, str] | None = None,
    ) -> TableSpec:
        """A spec of nullable columns."""
        columns = {name: Column(dtype) for name, dtype in types.items()}
        return cls(columns, tuple(partition_by), dict(properties or {}))

    @property
    def types(self) -> dict[str, pl.DataType]:
        """The polars types by name, in order."""
        return {name: column.dtype for name, column in self.columns.items()}

    @property
    def tags(self) -> dict[str, Any]:
        """How columns with personal data are masked, by name; without any key."""
        return {n: one.metadata[PII] for n, one in self.columns.items() if PII in one.metadata}

    @property
    def sort_by(self) -> tuple[str, ...]:
        """The columns by which the rows of each file are sorted."""
        text = self.properties.get(SORT_BY)
        if not text:
            return ()
        try:
            return tuple(str(name) for name in json.loads(text))
        except (ValueError, TypeError):
            raise _unfit(SORT_BY, text) from None

    @property
    def target_file_bytes(self) -> int:
        """How large a file should become (``delta.targetFileSize``), in bytes."""
        return _bytes("delta.targetFileSize", self.properties, _TARGET_BYTES)

    @property
    def change_feed(self) -> bool:
        """Whether commits must keep what changed (``delta.enableChangeDataFeed``)."""
        return self.flag("delta.enableChangeDataFeed")

    @property
    def append_only(self) -> bool:
        """Whether rows may never be changed or removed (``delta.appendOnly``)."""
        return self.flag("delta.appendOnly")

    @property
    def constraints(self) -> dict[str, str]:
        """The CHECK constraints by name, in SQL."""
        return {
            key.removeprefix(CONSTRAINT): text
            for key, text in self.properties.items()
            if key.startswith(CONSTRAINT)
        }

    def flag(self, name: str) -> bool:
        """Whether a property is ``true``."""
        return self.properties.get(name, "").lower() == "true"

    def with_columns(self, columns: Mapping[str, Column]) -> TableSpec:
        """This spec with columns replaced or added at the end."""
        return replace(self, columns={**self.columns, **columns})


def sort_property(columns: Iterable[str]) -> str:
    """How ``sort_by`` is kept in the table's properties."""
    return json.dumps(list(columns))


def spec_of(table: Any) -> TableSpec:
    """The spec of an open ``DeltaTable``.

    Raises:
        LakeError: a column has a type that is not known here.
    """
    metadata = table.metadata()
    return TableSpec(
        parse_columns(table.schema().to_json()),
        tuple(metadata.partition_columns),
        dict(metadata.configuration),
    )


def parse_columns(schema: str) -> dict[str, Column]:
    """The columns of a Delta ``schemaString``.

    Raises:
        LakeError: a column has a type that is not known here.
    """
    return {
        one["name"]: Column(
            _dtype(one["type"], one["name"]), bool(one["nullable"]), dict(one.get("metadata") or {})
        )
        for one in json.loads(schema)["fields"]
    }


def _dtype(kind: Any, column: str) -> pl.DataType:
    if isinstance(kind, str):
        plain = _PLAIN.get(kind)
        if plain is not None:
            return plain
        digits = _DECIMAL.fullmatch(kind)
        if digits:
            return pl.Decimal(int(digits[1]), int(digits[2]))
    elif kind["type"] == "array":
        return pl.List(_dtype(kind["elementType"], column))
    elif kind["type"] == "map":
        return pl.Map(_dtype(kind["keyType"], column), _dtype(kind["valueType"], column))
    elif kind["type"] == "struct":
        return pl.Struct({f["name"]: _dtype(f["type"], column) for f in kind["fields"]})
    raise LakeError(
        f"column {column!r} has a type that is not known here",
        kind if isinstance(kind, str) else kind.get("type"),
        "Read the table with the engine that made it.",
        column,
    )


def schema_string(spec: TableSpec, before: str | None = None) -> str:
    """The spec's columns as a Delta ``schemaString``.

    Args:
        spec: the columns; their types are those of a table.
        before: the table's ``schemaString`` up to now. A column that keeps its type keeps its
            entry there, since polars' types know less than Delta's (whether an item may be null).

    Raises:
        LakeError: no Delta table has such a type.
    """
    known = {} if before is None else {one["name"]: one for one in json.loads(before)["fields"]}
    fields = []
    for name, column in spec.columns.items():
        old = known.get(name)
        same = old is not None and _dtype(old["type"], name) == column.dtype
        fields.append(
            {
                "name": name,
                "type": old["type"] if old and same else _delta_type(column.dtype, name),
                "nullable": column.nullable,
                "metadata": dict(column.metadata),
            }
        )
    return json.dumps({"type": "struct", "fields": fields}, separators=(",", ":"))


def delta_schema(spec: TableSpec) -> Any:
    """The spec's columns as deltalake's ``Schema``.

    Raises:
        LakeError: no Delta table has such a type.
    """
    from deltalake import Schema

    return Schema.from_json(schema_string(spec))


def _delta_type(dtype: Any, column: str) -> Any:
    dtype = dtype() if isinstance(dtype, type) else dtype
    if dtype in _NAMES:
        return _NAMES[dtype]
    if isinstance(dtype, pl.Decimal):
        return f"decimal({dtype.precision or 38},{dtype.scale})"
    if isinstance(dtype, pl.List):
        inner = _delta_type(dtype.inner, column)
        return {"type": "array", "elementType": inner, "containsNull": True}
    if isinstance(dtype, pl.Map):
        key, value = (_delta_type(t, column) for t in (dtype.key, dtype.value))
        return {"type": "map", "keyType": key, "valueType": value, "valueContainsNull": True}
    if isinstance(dtype, pl.Struct):
        fields = [
            {
                "name": f.name,
                "type": _delta_type(f.dtype, column),
                "nullable": True,
                "metadata": {},
            }
            for f in dtype.fields
        ]
        return {"type": "struct", "fields": fields}
    raise LakeError(f"a Delta table has no type for column {column!r}", str(dtype), None, column)


def _bytes(key: str, properties: Mapping[str, str], default: int) -> int:
    text = properties.get(key)
    if text is None:
        return default
    found = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", text)
    unit = _UNITS.get(found[2].lower()) if found else None
    if not found or unit is None or int(found[1]) == 0:
        raise _unfit(key, text)
    return int(found[1]) * unit


def _unfit(key: str, text: str) -> LakeError:
    return LakeError("a property of the table cannot be understood", text, "Set it anew.", key)
