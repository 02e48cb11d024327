"""What a table is asked to be, by ``Lake.table``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, get_args

from raypipe.core.errors import ConfigError, SchemaError
from raypipe.lake.schema.spec import SORT_BY, Column, TableSpec, sort_property

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from raypipe.lake.quality.base import Rule
    from raypipe.lake.quality.masks import Mask

CHECKS_KEPT = "raypipe.checks"
"""Whether each write keeps what its expectations came to in ``<table>__checks``; true unless set
to false."""

Evolve = Literal["fail", "add", "quarantine"]

_CHECKPOINT_EVERY = (
    "20"  # versions: opening a log of 90 single commits takes 20 ms, of 10 it takes 5
)
_KNOWN = {
    "delta.appendOnly",
    "delta.autoOptimize.autoCompact",
    "delta.checkpointInterval",
    "delta.deletedFileRetentionDuration",
    "delta.enableChangeDataFeed",
    "delta.logRetentionDuration",
    "delta.setTransactionRetentionDuration",
    "delta.targetFileSize",
}
_FLAGS = {
    "delta.appendOnly",
    "delta.autoOptimize.autoCompact",
    "delta.enableChangeDataFeed",
    CHECKS_KEPT,
}
_FLAG = re.compile("true|false", re.IGNORECASE)
_INTERVAL = re.compile(
    r"\s*(interval\s+)?\d+\s+(micro|milli)?(second|minute|hour|day|week)s?\s*", re.IGNORECASE
)
_FORMS = {
    "delta.checkpointInterval": re.compile("0*[1-9][0-9]*"),
    "delta.deletedFileRetentionDuration": _INTERVAL,
    "delta.logRetentionDuration": _INTERVAL,
    "delta.setTransactionRetentionDuration": _INTERVAL,
}


@dataclass(frozen=True, slots=True)
class TableOptions:
    """Checked arguments of ``Lake.table``; they pickle.

    Attributes:
        expect: expectations that every write through this object is judged by.
        partition_by: columns by whose values files are kept apart, from the first write on.
        schema: the declared columns, or None: what the first write brings.
        evolve: what happens to columns that the table does not have.
        pii: how columns with personal data are masked.
        sort_by: columns by which the rows of each file are sorted, from the first write on.
        properties: Delta table properties that the table is made with.
    """

    expect: tuple[Rule, ...] = ()
    partition_by: tuple[str, ...] = ()
    schema: Mapping[str, Column] | None = None
    evolve: Evolve = "fail"
    pii: Mapping[str, Mask] | None = None
    sort_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)

    def first_spec(self, types: Mapping[str, pl.DataType]) -> TableSpec:
        """The spec of a table that is made with these options.

        Args:
            types: the columns of its first write; what is declared of them is added.

        Raises:
            SchemaError: ``sort_by`` names a column that it does not have and that cannot join.
        """
        declared = self.schema or {}
        columns = {n: declared[n] if n in declared else Column(t) for n, t in types.items()}
        own = {"delta.checkpointInterval": _CHECKPOINT_EVERY, **self.properties}
        unknown = [name for name in self.sort_by if name not in columns]
        if unknown and self.evolve != "add":  # a column may still join then
            raise SchemaError(
                f"the table has no column {unknown[0]!r} to be sorted by",
                f"columns {list(columns)}",
                None,
                "sort_by",
            )
        if self.sort_by:
            own[SORT_BY] = sort_property(self.sort_by)
        return TableSpec(columns, self.partition_by, own)


def checked_names(field_name: str, given: str | Sequence[str]) -> tuple[str, ...]:
    """Names of columns, each once.

    Raises:
        ConfigError: it is otherwise.
    """
    try:
        columns = (given,) if isinstance(given, str) else tuple(given)
    except TypeError:
        columns = (given,)  # type: ignore[assignment]
    if not all(isinstance(c, str) for c in columns) or len(set(columns)) < len(columns):
        raise ConfigError(f"{field_name} names columns, each once", columns, None, field_name)
    return columns


def checked_schema(
    schema: Mapping[str, pl.DataType | type[pl.DataType] | Column] | None,
) -> dict[str, Column] | None:
    """Declared columns.

    Raises:
        ConfigError: it names no column, or a type is none of polars.
    """
    if schema is None:
        return None
    if not isinstance(schema, Mapping) or not schema or not all(isinstance(n, str) for n in schema):
        raise ConfigError("a schema maps names of columns to types", schema, None, "schema")
    return {
        name: one if isinstance(one, Column) else Column(one)  # type: ignore[arg-type]
        for name, one in schema.items()
    }


def checked_evolve(evolve: Evolve) -> Evolve:
    """One of the ways to meet columns that the table does not have.

    Raises:
        ConfigError: it is none of them.
    """
    if evolve not in get_args(Evolve):
        raise ConfigError(
            "there is no such way to evolve",
            evolve,
            f"Use one of {', '.join(get_args(Evolve))}.",
            "evolve",
        )
    return evolve


def checked_properties(properties: Mapping[str, object] | None) -> dict[str, str]:
    """Delta table properties as text; true and false, and whole numbers, are put into words.

    Raises:
        ConfigError: a name is not known here, or a value is no text.
    """
    if properties is None:
        return {}
    if not isinstance(properties, Mapping):
        raise ConfigError("properties map names to text", properties, None, "properties")
    found = {}
    for key, value in properties.items():
        ours = isinstance(key, str) and key.startswith("raypipe.") and key != CHECKS_KEPT
        known = isinstance(key, str) and (key in _KNOWN or ("." in key and key[:6] != "delta."))
        if ours or not known:
            raise ConfigError(
                "a table cannot be made with this property",
                key,
                f"Use sort_by for the order of rows, or one of {', '.join(sorted(_KNOWN))}.",
                "properties",
            )
        if isinstance(value, bool):
            value = str(value).lower()
        if isinstance(value, int):
            value = str(value)
        if not isinstance(value, str) or not value:
            raise ConfigError(f"property {key!r} is a text", value, None, "properties")
        fits = _FLAG if key in _FLAGS else _FORMS.get(key)
        if fits is not None and not fits.fullmatch(value):
            raise ConfigError(
                f"property {key!r} cannot have this value",
                value,
                "Use True or False, a whole number, or 'interval 7 days' and the like.",
                "properties",
            )
        found[key] = value
    return found
